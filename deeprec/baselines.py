"""The floors under every model: the global mean, and damped user and movie biases.

Shape legend: U users, M movies, R ratings.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deeprec.ratings import Floats, count_by_column, runs_of_rows

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
        total_U, ones_M = np.zeros(values_UM.shape[0]), np.ones(values_UM.shape[1])
        for rows in runs_of_rows(values_UM.indptr):
            start, end = values_UM.indptr[[rows.start, rows.stop]]
            column_R = values_UM.indices[start:end]
            left_R = values_UM.data[start:end] - self.global_mean - self.movie_bias_M[column_R]
            starts = values_UM.indptr[rows.start : rows.stop + 1] - start
            left_UM = sparse.csr_array((left_R, column_R, starts), (len(starts) - 1, len(ones_M)))
            total_U[rows] = left_UM @ ones_M
        return _damped_means(total_U, np.diff(values_UM.indptr), self.user_damping)


def fit_biases(
    values_UM: sparse.csr_array[np.float32], user_damping: float, movie_damping: float
) -> Biases:
    """Biases that alternate between users and movies until neither moves much.

    Args:
        values_UM: the training ratings; at least one.
        user_damping: ratings' worth of pull to zero on a user's bias.
        movie_damping: the same on a movie's.
    """
    mean = float(values_UM.data.mean(dtype=np.float64))
    count_M = count_by_column(values_UM)
    biases = Biases(mean, np.zeros(len(count_M), dtype=np.float32), user_damping)
    user_bias_U = np.zeros(values_UM.shape[0], dtype=np.float32)
    for sweep in range(_NUM_SWEEPS):
        if sweep:
            user_bias_U = biases.user_bias_U(values_UM)
        total_M = _left_by_movie(values_UM, mean, user_bias_U)
        biases = replace(biases, movie_bias_M=_damped_means(total_M, count_M, movie_damping))
    return biases


def _left_by_movie(
    values_UM: sparse.csr_array[np.float32], mean: float, user_bias_U: Floats
) -> Sums:
    """What mean and user biases leave of the ratings of each movie, summed in double precision."""
    total_M = np.zeros(values_UM.shape[1])
    for rows in runs_of_rows(values_UM.indptr):
        bounds = values_UM.indptr[rows.start : rows.stop + 1]
        entries = slice(bounds[0], bounds[-1])
        left_R = values_UM.data[entries] - mean - np.repeat(user_bias_U[rows], np.diff(bounds))
        np.add.at(total_M, values_UM.indices[entries], left_R.astype(np.float64))
    return total_M


def _damped_means(total_G: Sums, count_G: npt.NDArray[np.integer], damping: float) -> Floats:
    """Sum of a group's residuals over its count plus the damping; 0 for an empty group."""
    weight_G = count_G + damping
    mean_G = np.zeros(len(total_G))
    np.divide(total_G, weight_G, out=mean_G, where=weight_G > 0)
    return mean_G.astype(np.float32)
