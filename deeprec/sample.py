"""A made-up Netflix-format data set to try the pipeline on; reads nothing, trains nothing.

A rating is a mean, plus a user's and a movie's bias, plus how well their latent tastes agree,
plus noise, rounded to a star. Movies are drawn and written one at a time, each from a generator
of its own, so memory holds a few numbers a user however many ratings there are.

Shape legend: U users, M movies, K latent tastes, R ratings of one movie, S stars.
"""

import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict

from deeprec.errors import SourceError
from deeprec.progress import Progress, silent
from deeprec.ratings import Floats, Ids

Layout = Literal["netflix-folder", "netflix-combined"]
Days = npt.NDArray[np.int32]  # since 1970-01-01

FIRST_DAY = date(1999, 11, 11)
LAST_DAY = date(2005, 12, 31)
_FIRST_YEAR = 1930
_LOWEST, _HIGHEST = 1, 5

# Standard deviations in stars. With the rounding they give Netflix's spread, about 1.08; tastes
# weigh as much as both biases together, so a model that finds them stands out from the floors.
_MEAN = 3.45
_USER_BIAS = 0.45
_MOVIE_BIAS = 0.5
_TASTE = 0.7
_NOISE = 0.6
_NUM_TASTES = 8

_ACTIVITY_SPREAD = 1.0  # of the logarithm of a user's eagerness to rate
_POPULARITY_SPREAD = 1.3  # of the logarithm of a movie's number of ratings
_POPULAR_IS_BETTER = 0.4  # correlation of that with its bias
_IDS_PER_USER = 5  # Netflix's ids have gaps too: 480,189 of 2.6 million
_MOVIES_PER_FILE = 4500  # of the one-file layout, about as in Netflix's own
_YEARLESS = 0.01  # share of titles whose year is NULL

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


@dataclass(frozen=True)
class _Users:
    ids_U: Ids
    eagerness_U: Floats
    bias_U: Floats
    taste_UK: Floats
    joined_on_U: Days


@dataclass(frozen=True)
class _Movies:
    num_ratings_M: Ids
    bias_M: Floats
    taste_MK: Floats
    year_M: Ids


@dataclass(frozen=True)
class _Ratings:
    """Those of one movie, by user."""

    user_R: Ids
    stars_R: Ids
    rated_on_R: Days
    noiseless_R: Floats


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
    users = _draw_users(np.random.default_rng([seed, 0]), num_users)
    movies = _draw_movies(np.random.default_rng([seed, 1]), num_movies, num_ratings, num_users)
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    _write_titles(building, movies)
    tally = _Tally(num_users)
    for movie in range(num_movies):
        ratings = _draw_ratings(np.random.default_rng([seed, 2, movie]), users, movies, movie)
        _write_ratings(building, layout, movie + 1, users.ids_U, ratings)
        tally.add(ratings)
        progress("sample", movie + 1, num_movies, "movies")
    report = tally.report(folder, layout, seed, num_movies)
    (building / "README.txt").write_text(_README.format(**report.model_dump()), encoding="utf-8")
    os.replace(building, folder)
    return report


class _Tally:
    """What has been written so far."""

    def __init__(self, num_users: int) -> None:
        self._has_rated_U = np.zeros(num_users, dtype=bool)
        self._count_S = np.zeros(_HIGHEST + 1, dtype=np.int64)
        self._squared_error = 0.0

    def add(self, ratings: _Ratings) -> None:
        """Count one movie's ratings."""
        self._has_rated_U[ratings.user_R] = True
        self._count_S += np.bincount(ratings.stars_R, minlength=_HIGHEST + 1)
        self._squared_error += float(np.sum((ratings.stars_R - ratings.noiseless_R) ** 2))

    def report(self, folder: Path, layout: Layout, seed: int, num_movies: int) -> SampleReport:
        """The counts as the sample's report."""
        num_ratings = int(self._count_S.sum())
        return SampleReport(
            folder=folder,
            layout=layout,
            seed=seed,
            num_users=int(self._has_rated_U.sum()),
            num_movies=num_movies,
            num_ratings=num_ratings,
            histogram={star: int(self._count_S[star]) for star in range(_LOWEST, _HIGHEST + 1)},
            attainable_rmse=(self._squared_error / num_ratings) ** 0.5,
        )


def _draw_users(rng: np.random.Generator, num_users: int) -> _Users:
    ids_U = 1 + rng.choice(_IDS_PER_USER * num_users, num_users, replace=False)
    span = (LAST_DAY - FIRST_DAY).days
    return _Users(
        ids_U=np.sort(ids_U).astype(np.int64),
        eagerness_U=rng.lognormal(0, _ACTIVITY_SPREAD, num_users).astype(np.float32),
        bias_U=_normal(rng, _USER_BIAS, num_users),
        taste_UK=_normal(rng, 1, num_users, _NUM_TASTES),
        # the square root lets more users join each year than the year before
        joined_on_U=_day(FIRST_DAY) + (span * np.sqrt(rng.random(num_users))).astype(np.int32),
    )


def _draw_movies(
    rng: np.random.Generator, num_movies: int, num_ratings: int, num_users: int
) -> _Movies:
    popularity_M = rng.standard_normal(num_movies)
    own_M = rng.standard_normal(num_movies)
    shared = _POPULAR_IS_BETTER
    quality_M = shared * popularity_M + np.sqrt(1 - shared**2) * own_M
    weight_M = np.exp(_POPULARITY_SPREAD * popularity_M)
    recency_M = np.sqrt(rng.random(num_movies))
    return _Movies(
        num_ratings_M=_share_out(num_ratings, weight_M, num_users),
        bias_M=(_MOVIE_BIAS * quality_M).astype(np.float32),
        taste_MK=_normal(rng, _TASTE / np.sqrt(_NUM_TASTES), num_movies, _NUM_TASTES),
        year_M=_FIRST_YEAR + ((LAST_DAY.year - _FIRST_YEAR) * recency_M).astype(np.int64),
    )


def _draw_ratings(rng: np.random.Generator, users: _Users, movies: _Movies, movie: int) -> _Ratings:
    num_users, num_ratings = len(users.ids_U), int(movies.num_ratings_M[movie])
    # Exponential clocks: the first to ring are a weighted draw without repetition.
    rings_at_U = rng.standard_exponential(num_users, dtype=np.float32) / users.eagerness_U
    user_R = np.sort(np.argpartition(rings_at_U, num_ratings - 1)[:num_ratings])
    agreement_R = users.taste_UK[user_R] @ movies.taste_MK[movie]
    score_R = _MEAN + users.bias_U[user_R] + movies.bias_M[movie] + agreement_R
    noisy_R = score_R + _normal(rng, _NOISE, num_ratings)
    released_on = _day(date(int(movies.year_M[movie]), 1, 1))
    earliest_R = np.maximum(users.joined_on_U[user_R], released_on)
    days_left_R = _day(LAST_DAY) + 1 - earliest_R
    return _Ratings(
        user_R=user_R,
        stars_R=np.clip(np.rint(noisy_R), _LOWEST, _HIGHEST).astype(np.int64),
        rated_on_R=earliest_R + (days_left_R * rng.random(num_ratings)).astype(np.int32),
        noiseless_R=np.clip(score_R, _LOWEST, _HIGHEST),
    )


def _share_out(total: int, weight_M: npt.NDArray[np.float64], most: int) -> Ids:
    """`total` in whole numbers from 1 to `most`, as nearly in proportion to weight as that lets."""

    def shares(scale: float) -> Ids:
        return np.clip((scale * weight_M).astype(np.int64), 1, most)

    low, high = 0.0, (most + 1) / float(weight_M.min())
    for _ in range(100):  # halvings; more than a float64 has bits
        middle = (low + high) / 2
        low, high = (middle, high) if shares(middle).sum() <= total else (low, middle)
    share_M = shares(low)
    heaviest = np.argsort(-weight_M, kind="stable")
    with_room = heaviest[share_M[heaviest] < most]
    share_M[with_room[: total - int(share_M.sum())]] += 1
    assert share_M.sum() == total, (share_M.sum(), total)
    return share_M


def _write_ratings(
    folder: Path, layout: Layout, movie_id: int, ids_U: Ids, ratings: _Ratings
) -> None:
    """Append one movie's block: its id and a colon, then `user,rating,date` lines."""
    lines = pl.DataFrame(
        {
            "user_id": ids_U[ratings.user_R],
            "rating": ratings.stars_R,
            "rated_on": pl.Series(ratings.rated_on_R).cast(pl.Date),
        }
    )
    with _rating_file(folder, layout, movie_id).open("ab") as file:
        file.write(f"{movie_id}:\n".encode())
        lines.write_csv(file, include_header=False)


def _rating_file(folder: Path, layout: Layout, movie_id: int) -> Path:
    if layout == "netflix-combined":
        return folder / f"combined_data_{1 + (movie_id - 1) // _MOVIES_PER_FILE}.txt"
    training_set = folder / "training_set"
    training_set.mkdir(exist_ok=True)
    return training_set / f"mv_{movie_id:07d}.txt"


def _write_titles(folder: Path, movies: _Movies) -> None:
    """`id,year,title` as Netflix has it: latin-1, unquoted commas, NULL for some years."""
    every = round(1 / _YEARLESS)
    lines = [
        f"{movie_id},{'NULL' if movie_id % every == 0 else year},{_title(movie_id)}\n"
        for movie_id, year in enumerate(movies.year_M, start=1)
    ]
    (folder / "movie_titles.txt").write_text("".join(lines), encoding="latin-1")


def _title(movie_id: int) -> str:
    """A title that no film has; every fourth has a comma."""
    adjective = _ADJECTIVES[movie_id % len(_ADJECTIVES)]
    noun = _NOUNS[movie_id // len(_ADJECTIVES) % len(_NOUNS)]
    name = f"{adjective} {noun}, The" if movie_id % 4 == 0 else f"The {adjective} {noun}"
    return f"Synthetic Film {movie_id}: {name}"


def _normal(rng: np.random.Generator, deviation: float, *shape: int) -> Floats:
    return np.float32(deviation) * rng.standard_normal(shape, dtype=np.float32)


def _day(day: date) -> np.int32:
    return np.int32((day - date(1970, 1, 1)).days)
