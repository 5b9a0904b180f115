"""The files of the Netflix Prize: ratings, a movie or many a file, and titles."""

from deeprec.ratings import RatingScale
from deeprec.readers.fields import clean, integer
from deeprec.readers.layouts import DateKind, Movie, MoviesLayout, RatingsLayout
from deeprec.readers.rejections import Reason

_COLUMNS_OF_A_TITLE = 3

ONE_TO_FIVE = RatingScale(1, 5, 1)
FOLDER = RatingsLayout(
    format="netflix-folder",
    columns=("user_id", "rating", "rated_at"),
    separator=",",
    scale=ONE_TO_FIVE,
    dates=DateKind.DAY,
)
COMBINED = RatingsLayout(
    format="netflix-combined",
    columns=FOLDER.columns,
    separator=FOLDER.separator,
    scale=FOLDER.scale,
    dates=FOLDER.dates,
)


def read_title(line: str) -> Movie | Reason:
    """The movie on a line `id,year,title`; the title may hold commas, the year may be `NULL`."""
    fields = line.split(",", _COLUMNS_OF_A_TITLE - 1)
    if len(fields) < _COLUMNS_OF_A_TITLE:
        return Reason.WRONG_COLUMN_COUNT
    return movie(*fields)


def movie(movie_id: str, year: str, title: str) -> Movie | Reason:
    """A movie from its three fields."""
    number, title, year = integer(clean(movie_id)), clean(title), clean(year)
    if number is None:
        return Reason.NOT_A_NUMBER
    if not title:
        return Reason.MISSING_VALUE
    if year.upper() in {"", "NULL"}:
        return Movie(number, title, None)
    if not (year.isascii() and year.isdigit() and len(year) == len("2005")):
        return Reason.UNKNOWN_DATE
    return Movie(number, title, int(year))


TITLES = MoviesLayout(format="netflix", read_line=read_title)
