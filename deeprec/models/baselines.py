"""The floors under every model: the global mean, and damped user and movie biases.

Shape legend: U users, M movies, R ratings, B users at once, G users or movies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deeprec.ratings import Floats, count_by_column, runs_of_rows, sum_by_column

_NUM_SWEEPS = 20
Sums = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Biases:
    """rating ~ global_mean + user bias + movie bias (Koren 2010, section 2.1).

    Movie biases are fitted once; a user's bias follows from his ratings whenever it is needed,
    so a user who was not there at training gets one too.
    """

    global_mean: float
    movie_bias_M: Floats
    user_damping: float

    def user_bias_U(self, values_UM: sparse.csr_array[np.float32]) -> Floats:
        """Damped mean of what the global mean and the movie biases leave; 0 without ratings."""
        if not values_UM.nnz:
            return np.zeros(values_UM.shape[0], dtype=np.float32)
        bias_M = self.movie_bias_M.astype(np.float64)
        parts = _rated_parts(values_UM, self.global_mean)
        return np.concatenate([part.user_bias_B(bias_M, self.user_damping) for part in parts])


def fit_biases(
    values_UM: sparse.csr_array[np.float32], user_damping: float, movie_damping: float
) -> Biases:
    """Biases that alternate between users and movies until neither moves much.

    A sweep goes through the ratings once, some users at a time: their biases follow from those of
    the movies before it, and what they leave of the movies' ratings is summed at once.

    Args:
        values_UM: the training ratings; at least one.
        user_damping: ratings' worth of pull to zero on a user's bias.
        movie_damping: the same on a movie's.
    """
    mean = float(values_UM.data.mean(dtype=np.float64))
    count_M = count_by_column(values_UM)
    total_M = sum_by_column(values_UM) - mean * count_M
    parts = list(_rated_parts(values_UM, mean))
    movie_bias_M = _damped_means(total_M, count_M, movie_damping)
    for _ in range(1, _NUM_SWEEPS):
        bias_M, left_M = movie_bias_M.astype(np.float64), total_M.copy()
        for part in parts:
            left_M -= part.cells_BM.T @ part.user_bias_B(bias_M, user_damping)
        movie_bias_M = _damped_means(left_M, count_M, movie_damping)
    return Biases(mean, movie_bias_M, user_damping)


@dataclass(frozen=True)
class _Rated:
    """Some users: 1 wherever they have rated, and what the global mean leaves of their ratings."""

    cells_BM: sparse.csr_array[np.float64]
    count_B: npt.NDArray[np.integer]
    total_B: Sums

    def user_bias_B(self, movie_bias_M: Sums, damping: float) -> Floats:
        """The users' biases beside these of the movies."""
        return _damped_means(self.total_B - self.cells_BM @ movie_bias_M, self.count_B, damping)


def _rated_parts(values_UM: sparse.csr_array[np.float32], mean: float) -> Iterator[_Rated]:
    """All users in order, some at a time."""
    runs = list(runs_of_rows(values_UM.indptr))
    bounds = [values_UM.indptr[rows.start : rows.stop + 1] for rows in runs]
    one_R = np.ones(max(int(bound_B[-1] - bound_B[0]) for bound_B in bounds))
    one_M = np.ones(values_UM.shape[1])
    for bound_B in bounds:
        entries, starts = slice(bound_B[0], bound_B[-1]), bound_B - bound_B[0]
        shape = (len(starts) - 1, len(one_M))
        column_R = values_UM.indices[entries]
        values_BM = sparse.csr_array((values_UM.data[entries], column_R, starts), shape)
        cells_BM = sparse.csr_array((one_R[: len(column_R)], column_R, starts), shape)
        count_B = np.diff(starts)
        yield _Rated(cells_BM, count_B, values_BM @ one_M - mean * count_B)


def _damped_means(total_G: Sums, count_G: npt.NDArray[np.integer], damping: float) -> Floats:
    """Sum of a group's residuals over its count plus the damping; 0 for an empty group."""
    weight_G = count_G + damping
    mean_G = np.zeros(len(total_G))
    np.divide(total_G, weight_G, out=mean_G, where=weight_G > 0)
    return mean_G.astype(np.float32)
