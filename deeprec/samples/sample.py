"""A synthetic data set on disk in the Netflix Prize layouts; what is in it is drawn elsewhere.

Shape legend: U users, M movies, R ratings.
"""

import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from deeprec.ahead import in_turn
from deeprec.cores import num_cores
from deeprec.errors import SourceError
from deeprec.progress import Progress, silent
from deeprec.ratings import Ids
from deeprec.samples.synthetic import (
    HIGHEST,
    LOWEST,
    MovieRatings,
    Movies,
    draw_movies,
    draw_ratings,
    draw_users,
)

Layout = Literal["netflix-folder", "netflix-combined"]

_RATINGS_PER_BATCH = 200_000
_MOVIES_PER_FILE = 4500  # of the one-file layout, about as in Netflix's own
_YEARLESS_EVERY = 100  # titles; their year is NULL
_COMMA_EVERY = 4  # titles
_ADJECTIVES = ("Amber", "Brisk", "Distant", "Éternal", "Hollow", "Ivory", "Quiet", "Velvet")
_NOUNS = ("Archive", "Beacon", "Café", "Compass", "Ferry", "Lantern", "Meridian", "Orchard")
_README = """\
SYNTHETIC DATA. There are no such films, and nobody has rated them.

Made by deeprec in the layout of the Netflix Prize files, from seed {seed}: {num_ratings} ratings
by {num_users} users of {num_movies} movies. A model that knew everything but the noise would
have an RMSE of {attainable_rmse:.3f}.
"""


class SampleReport(BaseModel):
    """What a sample holds."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    layout: Layout
    seed: int
    num_users: int
    num_movies: int
    num_ratings: int
    histogram: dict[int, int]
    attainable_rmse: float


def write_sample(
    folder: Path,
    *,
    num_users: int = 2000,
    num_movies: int = 400,
    num_ratings: int = 100_000,
    seed: int = 0,
    layout: Layout = "netflix-folder",
    progress: Progress = silent,
) -> SampleReport:
    """A folder of ratings and titles: the same bytes for the same arguments.

    It appears whole or not at all. Every movie has a rating; a user may have none and is then
    in no file. `attainable_rmse` is that of a model which knows everything but the noise.

    Raises:
        SourceError: the folder exists, or so many ratings cannot be shared out.
    """
    if folder.exists():
        raise SourceError(f"{folder}: already exists; name a new folder for the sample")
    if not num_movies <= num_ratings <= num_users * num_movies:
        raise SourceError(
            f"{num_ratings} ratings cannot be shared out: {num_movies} movies need one each, and "
            f"{num_users} users can give {num_users * num_movies} at most"
        )
    users = draw_users(np.random.default_rng([seed, 0]), num_users)
    movies = draw_movies(np.random.default_rng([seed, 1]), num_movies, num_ratings, num_users)
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    _write_titles(building / "movie_titles.txt", movies)
    tally = _Tally(num_users)

    def draw(movie: int) -> MovieRatings:
        return draw_ratings(np.random.default_rng([seed, 2, movie]), users, movies, movie)

    def make(batch: range) -> _Batch:
        ratings = [draw(movie) for movie in batch]
        return _Batch(batch, ratings, _as_lines(users.ids_U, ratings))

    for batch in in_turn(make, _batches(movies.num_ratings_M), num_cores()):
        for movie, ratings, lines in zip(batch.movies, batch.ratings, batch.lines, strict=True):
            _append(_rating_file(building, layout, movie + 1), movie + 1, lines)
            tally.add(ratings)
        progress("sample", batch.movies.stop, num_movies, "movies")
    report = tally.report(folder, layout, seed, num_movies)
    (building / "README.txt").write_text(_README.format(**report.model_dump()), encoding="utf-8")
    building.replace(folder)
    return report


@dataclass(frozen=True)
class _Batch:
    """Successive movies, drawn and put into words."""

    movies: range
    ratings: list[MovieRatings]
    lines: list[bytes]


class _Tally:
    """What has been written so far."""

    def __init__(self, num_users: int) -> None:
        self._has_rated_U = np.zeros(num_users, dtype=bool)
        self._count_of_star = np.zeros(HIGHEST + 1, dtype=np.int64)
        self._squared_error = 0.0

    def add(self, ratings: MovieRatings) -> None:
        """Count one movie's ratings."""
        self._has_rated_U[ratings.user_R] = True
        self._count_of_star += np.bincount(ratings.stars_R, minlength=HIGHEST + 1)
        self._squared_error += float(np.sum((ratings.stars_R - ratings.noiseless_R) ** 2))

    def report(self, folder: Path, layout: Layout, seed: int, num_movies: int) -> SampleReport:
        """The counts as the sample's report."""
        num_ratings = int(self._count_of_star.sum())
        return SampleReport(
            folder=folder,
            layout=layout,
            seed=seed,
            num_users=int(self._has_rated_U.sum()),
            num_movies=num_movies,
            num_ratings=num_ratings,
            histogram={star: int(self._count_of_star[star]) for star in range(LOWEST, HIGHEST + 1)},
            attainable_rmse=(self._squared_error / num_ratings) ** 0.5,
        )


def _rating_file(folder: Path, layout: Layout, movie_id: int) -> Path:
    if layout == "netflix-combined":
        return folder / f"combined_data_{1 + (movie_id - 1) // _MOVIES_PER_FILE}.txt"
    return folder / "training_set" / f"mv_{movie_id:07d}.txt"


def _batches(num_ratings_M: Ids) -> Iterator[range]:
    """Successive movies, of about so many ratings that one call writes at full speed."""
    up_to_M = np.cumsum(num_ratings_M)
    first = 0
    while first < len(up_to_M):
        before = up_to_M[first - 1] if first else 0
        last = int(np.searchsorted(up_to_M, before + _RATINGS_PER_BATCH, side="left"))
        yield range(first, min(last + 1, len(up_to_M)))
        first = last + 1


def _append(path: Path, movie_id: int, lines: bytes) -> None:
    """One movie's block: its id and a colon, then its lines."""
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(f"{movie_id}:\n".encode() + lines)


def _as_lines(ids_U: Ids, ratings: Sequence[MovieRatings]) -> list[bytes]:
    """`user,rating,date` lines, a block a movie."""
    lines = pl.DataFrame(
        {
            "user_id": ids_U[np.concatenate([one.user_R for one in ratings])],
            "rating": np.concatenate([one.stars_R for one in ratings]),
            "rated_on": pl.Series(np.concatenate([one.rated_on_R for one in ratings])).cast(
                pl.Date
            ),
        }
    )
    text = io.BytesIO()
    lines.write_csv(text, include_header=False)
    data = text.getvalue()
    line_ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
    counts = [len(one.stars_R) for one in ratings]
    cuts = [0, *line_ends[np.cumsum(counts) - 1].tolist()]
    return [data[start:stop] for start, stop in pairwise(cuts)]


def _write_titles(path: Path, movies: Movies) -> None:
    """`id,year,title` as Netflix has it: latin-1, unquoted commas, NULL for some years."""
    lines = [
        f"{movie_id},{'NULL' if movie_id % _YEARLESS_EVERY == 0 else year},{_title(movie_id)}\n"
        for movie_id, year in enumerate(movies.year_M, start=1)
    ]
    path.write_text("".join(lines), encoding="latin-1")


def _title(movie_id: int) -> str:
    """A title that no film has."""
    adjective = _ADJECTIVES[movie_id % len(_ADJECTIVES)]
    noun = _NOUNS[movie_id // len(_ADJECTIVES) % len(_NOUNS)]
    has_comma = movie_id % _COMMA_EVERY == 0
    name = f"{adjective} {noun}, The" if has_comma else f"The {adjective} {noun}"
    return f"Synthetic Film {movie_id}: {name}"
