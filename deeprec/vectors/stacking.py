"""Putting rating matrices together in room that is taken once: users below users, parts into one.

Shape legend: U users, M movies, R ratings.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deeprec.ratings import Ids, RatingMatrix, index_type, runs_of_rows


class Stack:
    """Matrices of consecutive users over the same movies, one below the other."""

    def __init__(
        self, num_users: int, num_ratings: int, movie_ids_M: Ids, *, has_days: bool
    ) -> None:
        index = index_type(num_ratings)
        self._user_ids_U = np.empty(num_users, dtype=np.int64)
        self._movie_ids_M = movie_ids_M
        self._row_starts = np.zeros(num_users + 1, dtype=index)
        self._column_R = np.empty(num_ratings, dtype=index)
        self._rating_R = np.empty(num_ratings, dtype=np.float32)
        self._days_R = np.empty(num_ratings, dtype=np.int32) if has_days else None
        self._num_users = self._num_ratings = 0

    def push(self, users: RatingMatrix) -> None:
        """Take in the next users."""
        rows = slice(self._num_users, self._num_users + users.num_users)
        entries = slice(self._num_ratings, self._num_ratings + users.num_ratings)
        row_ends = entries.start + users.values_UM.indptr[1:]
        self._user_ids_U[rows] = users.user_ids_U
        self._row_starts[rows.start + 1 : rows.stop + 1] = row_ends
        self._column_R[entries] = users.values_UM.indices
        self._rating_R[entries] = users.values_UM.data
        if self._days_R is not None:
            assert users.days_R is not None, "these users were to come with days"
            self._days_R[entries] = users.days_R
        self._num_users, self._num_ratings = rows.stop, entries.stop

    def whole(self) -> RatingMatrix:
        """The matrix of all users, who must be in by now."""
        assert self._num_users == len(self._user_ids_U), self._num_users
        assert self._num_ratings == len(self._rating_R), self._num_ratings
        values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
            (self._rating_R, self._column_R, self._row_starts),
            shape=(len(self._user_ids_U), len(self._movie_ids_M)),
        )
        return RatingMatrix(self._user_ids_U, self._movie_ids_M, values_UM, self._days_R)


def unite(*matrices: RatingMatrix) -> RatingMatrix:
    """All ratings of matrices over the same users and movies that have no pair in common.

    A single matrix is given back as it is; days are kept where each has them.
    """
    first, *others = matrices
    if not others:
        return first
    num_ratings = sum(matrix.num_ratings for matrix in matrices)
    has_days = all(matrix.days_R is not None for matrix in matrices)
    stack = Stack(first.num_users, num_ratings, first.movie_ids_M, has_days=has_days)
    row_starts: Ids = np.sum(
        [matrix.values_UM.indptr for matrix in matrices], axis=0, dtype=np.int64
    )
    for rows in runs_of_rows(row_starts):
        stack.push(_interleave([matrix.select_rows(rows) for matrix in matrices]))
    return stack.whole()


def _interleave(matrices: Sequence[RatingMatrix]) -> RatingMatrix:
    """As `unite`; it takes a multiple of the result's room."""
    first = matrices[0]
    order_R = np.argsort(np.concatenate([_cells(matrix) for matrix in matrices]), kind="stable")
    values = [matrix.values_UM for matrix in matrices]
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            np.concatenate([values_UM.data for values_UM in values])[order_R],
            np.concatenate([values_UM.indices for values_UM in values])[order_R],
            np.sum([values_UM.indptr for values_UM in values], axis=0),
        ),
        shape=first.values_UM.shape,
    )
    days = [matrix.days_R for matrix in matrices if matrix.days_R is not None]
    days_R = np.concatenate(days)[order_R] if len(days) == len(matrices) else None
    return RatingMatrix(first.user_ids_U, first.movie_ids_M, values_UM, days_R)


def _cells(ratings: RatingMatrix) -> npt.NDArray[np.int64]:
    """Where each rating stands in the flattened U x M."""
    row_start_U = np.arange(ratings.num_users, dtype=np.int64) * ratings.num_movies
    return np.repeat(row_start_U, np.diff(ratings.values_UM.indptr)) + ratings.values_UM.indices
