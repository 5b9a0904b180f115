"""Ratings in the order of their users' vectors, with a part for each: placed and counted in memory.

Decides about no part but those of unseen users and movies: what a split says comes from SQL by way
of `partition`.

Shape legend: R ratings of a range of users, H of them held out, U users, M movies, P parts.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from deeprec.ratings import Ids
from deeprec.splits import Part
from deeprec.vectors.protocols import Counts

Codes = npt.NDArray[np.uint8]  # places in `Part`
Indexes = npt.NDArray[np.int32]

_PARTS = list(Part)
_TRAIN, _DEV, _TEST = (_PARTS.index(part) for part in (Part.TRAIN, Part.DEV, Part.TEST))
_UNSEEN_USER = _PARTS.index(Part.UNSEEN_USER)
_UNSEEN_MOVIE = _PARTS.index(Part.UNSEEN_MOVIE)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class UserRows:
    """The ratings of a range of users, by user, and by movie within a user."""

    user_index_U: Indexes
    user_ids_U: Ids
    bounds_U: Indexes  # where each user's ratings start, and where the last's end
    movie_R: Indexes
    rated_on_R: pa.Array

    @classmethod
    def of(cls, table: pa.Table) -> "UserRows":
        """From rows of `user_index`, `user_id`, `movie_indexes`, `rating_days`."""
        movies = table["movie_indexes"].combine_chunks()
        lengths_U = movies.value_lengths().to_numpy(zero_copy_only=False)
        days_R = table["rating_days"].combine_chunks().flatten()
        return cls(
            user_index_U=table["user_index"].to_numpy(),
            user_ids_U=table["user_id"].to_numpy(),
            bounds_U=np.concatenate([[0], np.cumsum(lengths_U)]).astype(np.int32),
            movie_R=movies.flatten().to_numpy(zero_copy_only=False),
            rated_on_R=days_R.view(pa.date32()),
        )

    @property
    def user_R(self) -> Indexes:
        """The index of each rating's user."""
        return np.repeat(self.user_index_U, np.diff(self.bounds_U))

    def table(self, movie_ids_M: Ids) -> pa.Table:
        """One row a rating: its place here, user, movie and day."""
        return pa.table(
            {
                "row_index": np.arange(len(self.movie_R), dtype=np.int32),
                "user_id": np.repeat(self.user_ids_U, np.diff(self.bounds_U)),
                "movie_id": movie_ids_M[self.movie_R],
                "rated_on": self.rated_on_R,
            }
        )

    def places(self, user_H: Indexes, movie_H: Indexes) -> npt.NDArray[np.int64]:
        """Where the rating of each user and movie stands, -1 where there is none."""
        stride = 1 + max(self.movie_R.max(initial=0), movie_H.max(initial=0))
        key_R = self.user_R * np.int64(stride) + self.movie_R
        key_H = user_H * np.int64(stride) + movie_H
        place_H = np.searchsorted(key_R, key_H)
        found_H = (
            key_R.take(place_H, mode="clip") == key_H if len(key_R) else np.zeros(len(key_H), bool)
        )
        return np.where(found_H, place_H, -1)

    def lists(self, part_R: Codes) -> pa.Table:
        """One row a user: the part of each of his ratings."""
        parts = pa.DictionaryArray.from_arrays(pa.array(part_R), pa.array(map(str, _PARTS)))
        return pa.table(
            {
                "user_index": self.user_index_U,
                "parts": pa.ListArray.from_arrays(self.bounds_U, parts),
            }
        )


class Tally:
    """How many ratings of each part every user and movie has, and the days of training."""

    def __init__(self, num_users: int, num_movies: int) -> None:
        self._num_UP = np.zeros((num_users, len(_PARTS)), dtype=np.int32)
        self._num_MP = np.zeros((num_movies, len(_PARTS)), dtype=np.int32)
        self.first_train_day: date | None = None
        self.last_train_day: date | None = None

    def add(self, rows: UserRows, part_R: Codes) -> None:
        """Count some users' ratings; those of other users may follow."""
        self._num_MP += _count(rows.movie_R, part_R, len(self._num_MP))
        user_R = np.repeat(np.arange(len(rows.user_index_U)), np.diff(rows.bounds_U))
        self._num_UP[rows.user_index_U] = _count(user_R, part_R, len(rows.user_index_U))
        self._add_days(rows.rated_on_R.filter(pa.array(part_R == _TRAIN)))

    def counts(self, parts: Collection[Part]) -> Counts:
        """Of all parts together; a user or movie that several have counts once."""
        codes = [_PARTS.index(part) for part in parts]
        num_U, num_M = (num[:, codes].sum(axis=1) for num in (self._num_UP, self._num_MP))
        return Counts(int(num_M.sum()), int((num_U > 0).sum()), int((num_M > 0).sum()))

    def without_unseen(self, rows: UserRows, part_R: Codes) -> Codes:
        """The parts of ratings counted before, where dev and test of the unseen is dropped."""
        is_held_out_R = np.isin(part_R, (_DEV, _TEST))
        user_R = np.repeat(self._num_UP[rows.user_index_U, _TRAIN] == 0, np.diff(rows.bounds_U))
        movie_R = (self._num_MP[:, _TRAIN] == 0)[rows.movie_R]
        dropped_R = np.where(user_R, _UNSEEN_USER, _UNSEEN_MOVIE).astype(np.uint8)
        return np.where(is_held_out_R & (user_R | movie_R), dropped_R, part_R)

    def _add_days(self, trained_on: pa.Array) -> None:
        """Widen the training days by some more."""
        days = pc.min_max(trained_on)
        first, last = days["min"].as_py(), days["max"].as_py()
        if first is not None:
            self.first_train_day = min(self.first_train_day or first, first)
            self.last_train_day = max(self.last_train_day or last, last)


def _count(index_R: npt.NDArray[np.integer], part_R: Codes, num_indexes: int) -> Indexes:
    """The ratings of each index and part."""
    num_parts = len(_PARTS)
    counts = np.bincount(index_R * np.int32(num_parts) + part_R, minlength=num_indexes * num_parts)
    return counts.reshape(num_indexes, num_parts).astype(np.int32)
