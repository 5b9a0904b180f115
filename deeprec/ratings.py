"""The contract for ratings in memory: the scale they stand on, and users x movies as CSR.

Shape legend: U users, M movies, R ratings, K of them kept, V movies of a vocabulary, T users known
before, B bounds of some users' ratings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse  # a quarter of a second, which taking ratings in need not wait for

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Days = npt.NDArray[np.int32]
Digests = npt.NDArray[np.uint64]

UNDATED = int(np.iinfo(np.int32).min)  # in the place of the day of a rating without a date
_WIDTH_OF_STARS = 4.0  # of a scale from 1 to 5
_STEP_TOLERANCE = 1e-3  # of a step; float32 holds 4.1 no closer
_FLOAT_TOLERANCE = 2.0**-23  # of a rating; float32 holds 999.99 no closer
_ENTRIES_AT_ONCE = 2**18  # of a matrix, where each needs room beside it: these stay in the cache
# Of SplitMix64 (Steele et al. 2014): what is added, then shifts and factors; one to one.
_ADDED = np.uint64(0x9E3779B97F4A7C15)
_MIXED = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


@dataclass(frozen=True)
class RatingScale:
    """The values a rating may take: `minimum` to `maximum`, in steps when `step` is known."""

    minimum: float
    maximum: float
    step: float | None = None

    def __post_init__(self) -> None:
        if not self.minimum < self.maximum:
            raise ValueError(f"a rating scale needs minimum < maximum, got {self}")

    def __str__(self) -> str:
        return describe_scale(self.minimum, self.maximum, self.step)

    @property
    def unit(self) -> float:
        """What one star is on this scale: penalties, rates and tolerances are meant for stars."""
        return (self.maximum - self.minimum) / _WIDTH_OF_STARS

    def admits(self, ratings: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Which ratings stand on the scale; a value that is not finite never does."""
        with np.errstate(invalid="ignore", over="ignore"):
            inside = (ratings >= self.minimum) & (ratings <= self.maximum)
            if self.step:
                is_off = inside & ~(self._off_step(ratings) < _STEP_TOLERANCE)
                doubtful = ratings[is_off].astype(np.float64)
                rounding = np.abs(doubtful) * _FLOAT_TOLERANCE / self.step
                inside[is_off] = self._off_step(doubtful) < _STEP_TOLERANCE + rounding
        return np.asarray(inside)

    def _off_step(self, ratings: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """How far each rating is from a whole number of steps, in steps."""
        steps = (ratings - self.minimum) / (self.step or 1)
        return np.asarray(np.abs(steps - np.round(steps)))


def rating_text(value: float) -> str:
    """The shortest text of a rating that no other has: 4.1, and not 1e+06 for 1000001."""
    return np.format_float_positional(np.float32(value), trim="-")


def describe_scale(minimum: float, maximum: float, step: float | None) -> str:
    """A scale in words; one that was observed may have a single value."""
    steps = f" in steps of {rating_text(step)}" if step else ""
    return f"{rating_text(minimum)} to {rating_text(maximum)}{steps}"


@dataclass(frozen=True)
class RatingMatrix:
    """Ratings as users x movies. Rated is the structure of `values_UM`, never `rating != 0`.

    `user_ids_U` and `movie_ids_M` are the source's ids, ascending; columns of `values_UM` are
    sorted within a row and hold no pair twice. `days_R`, beside `values_UM.data`, are whole days
    since 1970-01-01, `UNDATED` where a rating has no date; None where nobody asked for them.
    """

    user_ids_U: Ids
    movie_ids_M: Ids
    values_UM: "sparse.csr_array[np.float32]"
    days_R: Days | None = None

    def __post_init__(self) -> None:
        expected = (len(self.user_ids_U), len(self.movie_ids_M))
        assert self.values_UM.shape == expected, (self.values_UM.shape, expected)
        assert self.days_R is None or self.days_R.shape == self.values_UM.data.shape

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.user_ids_U)

    @property
    def num_movies(self) -> int:
        """M."""
        return len(self.movie_ids_M)

    @property
    def num_ratings(self) -> int:
        """R, the stored entries."""
        return int(self.values_UM.nnz)

    @property
    def num_by_movie_M(self) -> npt.NDArray[np.int64]:
        """How many ratings each movie has."""
        return count_by_column(self.values_UM)

    def restrict_movies(self, movie_ids_V: Ids) -> "RatingMatrix":
        """The same users over another ascending list of movies; ratings of others are left out."""
        if np.array_equal(movie_ids_V, self.movie_ids_M):
            return self
        place_M = np.searchsorted(movie_ids_V, self.movie_ids_M)
        place_M = np.minimum(place_M, max(len(movie_ids_V) - 1, 0))
        known_M = (
            movie_ids_V[place_M] == self.movie_ids_M
            if len(movie_ids_V)
            else np.zeros(self.num_movies, dtype=bool)
        )
        kept = self.select_ratings(known_M[self.values_UM.indices])
        column_R = place_M.astype(kept.values_UM.indices.dtype)[kept.values_UM.indices]
        values_UV: sparse.csr_array[np.float32] = type(kept.values_UM)(
            (kept.values_UM.data, column_R, kept.values_UM.indptr),
            shape=(self.num_users, len(movie_ids_V)),
        )
        return RatingMatrix(self.user_ids_U, movie_ids_V, values_UV, kept.days_R)

    def select_ratings(self, keep_R: npt.NDArray[np.bool_]) -> "RatingMatrix":
        """The same users and movies with only the marked entries stored; itself if all are."""
        if keep_R.all():
            return self
        kept_K = np.flatnonzero(keep_R)
        row_starts = np.searchsorted(kept_K, self.values_UM.indptr)
        kept_UM: sparse.csr_array[np.float32] = type(self.values_UM)(
            (
                self.values_UM.data[kept_K],
                self.values_UM.indices[kept_K],
                row_starts.astype(self.values_UM.indptr.dtype),
            ),
            shape=self.values_UM.shape,
        )
        return RatingMatrix(self.user_ids_U, self.movie_ids_M, kept_UM, self._days_of(kept_K))

    def select_rows(self, rows: slice) -> "RatingMatrix":
        """A run of users, all movies."""
        start, stop, step = rows.indices(self.num_users)
        assert step == 1, rows
        first, end = self.values_UM.indptr[[start, stop]]
        return RatingMatrix(
            self.user_ids_U[rows],
            self.movie_ids_M,
            self.values_UM[rows],
            self._days_of(slice(first, end)),
        )

    def select_users(self, keep_U: npt.NDArray[np.bool_]) -> "RatingMatrix":
        """The marked users, all movies; itself where all are marked."""
        if keep_U.all():
            return self
        days_R = self.days_R
        if days_R is not None:
            days_R = days_R[np.repeat(keep_U, np.diff(self.values_UM.indptr))]
        return RatingMatrix(
            self.user_ids_U[keep_U], self.movie_ids_M, self.values_UM[keep_U], days_R
        )

    def _days_of(self, entries: slice | Ids) -> Days | None:
        """The days of some stored entries, where days were read."""
        return None if self.days_R is None else self.days_R[entries]


def places_among(
    known_ids_T: Ids, ids_U: Ids
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Each id's place among the known ones, which ascend, and whether it is one of them."""
    place_U = np.minimum(np.searchsorted(known_ids_T, ids_U), len(known_ids_T) - 1)
    return place_U, known_ids_T[place_U] == ids_U


def index_type(num_ratings: int) -> type[np.int32] | type[np.int64]:
    """What rows' starts and columns are counted in; given two types, scipy copies to the wider."""
    return np.int32 if num_ratings <= np.iinfo(np.int32).max else np.int64


def runs_of_rows(row_starts: npt.NDArray[np.integer]) -> Iterator[slice]:
    """All rows of a CSR matrix in order, in runs of so few entries that they stay in the cache."""
    wanted = np.arange(_ENTRIES_AT_ONCE, int(row_starts[-1]), _ENTRIES_AT_ONCE)
    ends = np.unique([0, *np.searchsorted(row_starts, wanted), len(row_starts) - 1])
    return (slice(start, end) for start, end in pairwise(ends.tolist()))


def count_by_column(values_UM: "sparse.csr_array[np.float32]") -> npt.NDArray[np.int64]:
    """How many entries each column has."""
    count_M = np.zeros(values_UM.shape[1], dtype=np.int64)
    for start in range(0, values_UM.nnz, _ENTRIES_AT_ONCE):  # of which `bincount` makes a copy
        entries = slice(start, start + _ENTRIES_AT_ONCE)
        count_M += np.bincount(values_UM.indices[entries], minlength=len(count_M))
    return count_M


def sum_by_column(values_UM: "sparse.csr_array[np.float32]") -> npt.NDArray[np.float64]:
    """What the entries of each column come to, in double precision."""
    total_M = np.zeros(values_UM.shape[1])
    for start in range(0, values_UM.nnz, _ENTRIES_AT_ONCE):  # of which `bincount` makes copies
        entries = slice(start, start + _ENTRIES_AT_ONCE)
        column_R, value_R = values_UM.indices[entries], values_UM.data[entries]
        total_M += np.bincount(column_R, value_R, minlength=len(total_M))
    return total_M


def digest_by_row(values_UM: "sparse.csr_array[np.float32]") -> Digests:
    """64 bits of each row's entries, in whatever order; rows that differ in one never agree."""
    digest_U = np.zeros(values_UM.shape[0], dtype=np.uint64)
    for rows in runs_of_rows(values_UM.indptr):
        start_B = values_UM.indptr[rows.start : rows.stop + 1]
        entries = slice(start_B[0], start_B[-1])
        cell_R = values_UM.indices[entries].astype(np.uint64) << np.uint64(32)
        cell_R |= values_UM.data[entries].view(np.uint32)
        cell_R += _ADDED
        for shift, factor in _MIXED:
            cell_R = (cell_R ^ (cell_R >> np.uint64(shift))) * np.uint64(factor)
        total_R = np.concatenate([[np.uint64(0)], np.cumsum(cell_R)])
        digest_U[rows] = np.diff(total_R[start_B - start_B[0]])
    return digest_U


def rated_cells(values_UM: "sparse.csr_array[np.float32]") -> "sparse.csr_array[np.float32]":
    """1 wherever a rating is stored."""
    return with_values(values_UM, np.ones(values_UM.nnz, dtype=np.float32))


def with_values(
    values_UM: "sparse.csr_array[np.float32]", value_R: Floats
) -> "sparse.csr_array[np.float32]":
    """Other values in the same cells."""
    cells = (value_R, values_UM.indices, values_UM.indptr)
    return type(values_UM)(cells, shape=values_UM.shape)
