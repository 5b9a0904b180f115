"""The floors under every model: the global mean, and damped user and movie biases.

Shape legend: U users, M movies, R ratings.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deeprec.ratings import Floats

_NUM_SWEEPS = 20


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
        residual_R = values_UM.data - self.global_mean - self.movie_bias_M[values_UM.indices]
        return _damped_means(residual_R, _rows(values_UM), values_UM.shape[0], self.user_damping)


def fit_biases(
    values_UM: sparse.csr_array[np.float32], user_damping: float, movie_damping: float
) -> Biases:
    """Biases that alternate between users and movies until neither moves much.

    Args:
        values_UM: the training ratings; at least one.
        user_damping: ratings' worth of pull to zero on a user's bias.
        movie_damping: the same on a movie's.
    """
    num_users, num_movies = values_UM.shape
    row_R, column_R, rating_R = _rows(values_UM), values_UM.indices, values_UM.data
    mean = float(rating_R.mean(dtype=np.float64))
    user_bias_U = np.zeros(num_users, dtype=np.float32)
    movie_bias_M = np.zeros(num_movies, dtype=np.float32)
    for _ in range(_NUM_SWEEPS):
        left_R = rating_R - mean - user_bias_U[row_R]
        movie_bias_M = _damped_means(left_R, column_R, num_movies, movie_damping)
        left_R = rating_R - mean - movie_bias_M[column_R]
        user_bias_U = _damped_means(left_R, row_R, num_users, user_damping)
    return Biases(mean, movie_bias_M, user_damping)


def _rows(values_UM: sparse.csr_array[np.float32]) -> npt.NDArray[np.int64]:
    """The row of each stored entry."""
    return np.repeat(np.arange(values_UM.shape[0], dtype=np.int64), np.diff(values_UM.indptr))


def _damped_means(
    residual_R: Floats,
    group_R: npt.NDArray[np.integer],
    n: int,
    damping: float,
) -> Floats:
    """Sum of a group's residuals over its count plus the damping; 0 for an empty group."""
    total_G = np.bincount(group_R, weights=residual_R, minlength=n)
    weight_G = np.bincount(group_R, minlength=n) + damping
    mean_G = np.zeros(n)
    np.divide(total_G, weight_G, out=mean_G, where=weight_G > 0)
    return mean_G.astype(np.float32)
