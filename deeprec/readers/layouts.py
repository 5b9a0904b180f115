"""How the lines of a file are laid out, as values; not which file has which layout."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

from deeprec.ratings import RatingScale
from deeprec.readers.rejections import Reason

Column = Literal["user_id", "movie_id", "rating", "rated_at"]


class Role(StrEnum):
    """What the rows of a file are."""

    RATINGS = "ratings"
    MOVIES = "movies"
    USERS = "users"


class DateKind(StrEnum):
    """How a date is written."""

    DAY = "day"
    TIMESTAMP = "timestamp"
    UNIX = "unix"


@dataclass(frozen=True)
class RatingsLayout:
    """Ratings as text, one a line.

    `columns` says what each column of a line holds, None for one that is not needed. Without
    `movie_id` among them, a line `N:` names the movie of the lines after it.
    """

    format: str
    columns: tuple[Column | None, ...]
    separator: str
    scale: RatingScale | None
    dates: DateKind | None = None
    names_line: bool = False
    role: Literal[Role.RATINGS] = Role.RATINGS

    @property
    def has_movie_headers(self) -> bool:
        """Whether lines `N:` name the movie."""
        return "movie_id" not in self.columns

    @property
    def has_prize_lines(self) -> bool:
        """Whether a line may be of the Netflix Prize's form, `1488844,3,2005-09-06`."""
        is_so_divided = self.columns == ("user_id", "rating", "rated_at") and self.separator == ","
        return is_so_divided and self.dates is DateKind.DAY and not self.names_line

    def __str__(self) -> str:
        columns = self.separator.join(column or "-" for column in self.columns)
        return f"{self.format}: {columns!r}, dates {self.dates}, scale {self.scale}"


@dataclass(frozen=True)
class ParquetLayout:
    """Ratings as a Parquet table: the table's name of each column that is needed."""

    format: str
    names: tuple[tuple[Column, str], ...]
    scale: RatingScale | None
    dates: DateKind | None = None
    role: Literal[Role.RATINGS] = Role.RATINGS

    def __str__(self) -> str:
        names = ", ".join(f"{column}={name}" for column, name in self.names)
        return f"{self.format}: parquet {names}, dates {self.dates}, scale {self.scale}"


class Movie(NamedTuple):
    """A line of a movies file."""

    movie_id: int
    title: str
    year: int | None


class User(NamedTuple):
    """A line of a users file."""

    user_id: int


@dataclass(frozen=True)
class MoviesLayout:
    """Titles as text, one movie a line."""

    format: str
    read_line: Callable[[str], Movie | Reason]
    names_line: bool = False
    role: Literal[Role.MOVIES] = Role.MOVIES

    def __str__(self) -> str:
        return f"{self.format}: {self.role}"


@dataclass(frozen=True)
class UsersLayout:
    """Users as text, one a line."""

    format: str
    read_line: Callable[[str], User | Reason]
    names_line: bool = False
    role: Literal[Role.USERS] = Role.USERS

    def __str__(self) -> str:
        return f"{self.format}: {self.role}"


@dataclass(frozen=True)
class UnknownLayout:
    """That of a file whose columns could not be found out, and why; reading it says so."""

    reason: str
    format: str = "unknown"
    role: Literal[Role.RATINGS] = Role.RATINGS
    scale: None = None

    def __str__(self) -> str:
        return self.format


AnyRatingsLayout = RatingsLayout | ParquetLayout | UnknownLayout
CatalogLayout = MoviesLayout | UsersLayout
Layout = AnyRatingsLayout | CatalogLayout


@dataclass(frozen=True)
class SourceFile:
    """A file to take in, and how to read it."""

    path: Path
    layout: Layout
