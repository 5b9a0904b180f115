"""The files of MovieLens 100K, 1M and the later ones; reads single titles and users only."""

import csv
import re

from deeprec.ratings import RatingScale
from deeprec.readers.fields import clean, integer
from deeprec.readers.layouts import DateKind, Movie, MoviesLayout, RatingsLayout, User, UsersLayout
from deeprec.readers.rejections import Reason

CSV_NAMES = ("userId", "movieId", "rating", "timestamp")

_ONE_TO_FIVE = RatingScale(1, 5, 1)
_COLUMNS_OF_AN_ITEM = 24
_COLUMNS_OF_A_USER = 5
_COLUMNS_OF_A_MOVIE = 3
_TITLE_AND_YEAR = re.compile(r"(?P<title>.*\S)\s*\((?P<year>[0-9]{4})\)")

RATINGS_100K = RatingsLayout(
    format="ml-100k",
    columns=("user_id", "movie_id", "rating", "rated_at"),
    separator="\t",
    scale=_ONE_TO_FIVE,
    dates=DateKind.UNIX,
)
RATINGS_1M = RatingsLayout(
    format="ml-1m",
    columns=RATINGS_100K.columns,
    separator="::",
    scale=_ONE_TO_FIVE,
    dates=DateKind.UNIX,
)
RATINGS_CSV = RatingsLayout(
    format="ml-csv",
    columns=RATINGS_100K.columns,
    separator=",",
    scale=RatingScale(0.5, 5, 0.5),
    dates=DateKind.UNIX,
    names_line=True,
)


def movie(movie_id: str, title: str) -> Movie | Reason:
    """A movie whose year stands in brackets behind its title, where it is known."""
    number, title = integer(clean(movie_id)), clean(title)
    if number is None:
        return Reason.NOT_A_NUMBER
    if not title:
        return Reason.MISSING_VALUE
    found = _TITLE_AND_YEAR.fullmatch(title)
    return (
        Movie(number, found["title"], int(found["year"])) if found else Movie(number, title, None)
    )


def read_item(line: str) -> Movie | Reason:
    """The movie on a line of `u.item`."""
    return _movie_of(line.split("|"), _COLUMNS_OF_AN_ITEM)


def read_movie(line: str) -> Movie | Reason:
    """The movie on a line of `movies.dat`."""
    return _movie_of(line.split("::"), _COLUMNS_OF_A_MOVIE)


def read_movie_csv(line: str) -> Movie | Reason:
    """The movie on a line of `movies.csv`; titles with commas stand in quotes."""
    try:
        fields = next(csv.reader([line]), [])
    except csv.Error:
        return Reason.WRONG_COLUMN_COUNT
    return _movie_of(fields, _COLUMNS_OF_A_MOVIE)


def read_user_100k(line: str) -> User | Reason:
    """The user on a line of `u.user`."""
    return _user_of(line.split("|"))


def read_user_1m(line: str) -> User | Reason:
    """The user on a line of `users.dat`."""
    return _user_of(line.split("::"))


def _movie_of(fields: list[str], num_columns: int) -> Movie | Reason:
    if len(fields) != num_columns:
        return Reason.WRONG_COLUMN_COUNT
    return movie(fields[0], fields[1])


def _user_of(fields: list[str]) -> User | Reason:
    if len(fields) != _COLUMNS_OF_A_USER:
        return Reason.WRONG_COLUMN_COUNT
    user_id = integer(clean(fields[0]))
    return Reason.NOT_A_NUMBER if user_id is None else User(user_id)


ITEMS_100K = MoviesLayout(format="ml-100k", read_line=read_item)
USERS_100K = UsersLayout(format="ml-100k", read_line=read_user_100k)
MOVIES_1M = MoviesLayout(format="ml-1m", read_line=read_movie)
USERS_1M = UsersLayout(format="ml-1m", read_line=read_user_1m)
MOVIES_CSV = MoviesLayout(format="ml-csv", read_line=read_movie_csv, names_line=True)
