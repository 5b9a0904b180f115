"""Ridge regression of what biases leave of a rating, in closed form; numpy and scipy only.

Features of a movie are its residuals, one a user, and beside them which users rated it; features
of a user are the same over movies. Both are divided by a power of their count. Ratings that are
missing stay missing: every regression runs over the rated cells of one user (or one movie) only,
and never sees its own residuals among the features. Residuals are counted in the unit of the rating
scale, so that one penalty and one weight of the has-rated features mean the same on every scale.

Shape legend: U users, M movies, R rated cells, V the raters of one movie.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from deeprec.errors import TrainingError
from deeprec.models.baselines import Biases
from deeprec.progress import Progress, silent
from deeprec.ratings import Floats, with_values

if TYPE_CHECKING:
    from deeprec.config.models import KernelRidgeConfig

_EVERY = 100  # movies between two words of progress


@dataclass(frozen=True)
class MovieKernel:
    """How alike movies are over everybody's ratings, for regressions over a user's movies."""

    kernel_MM: Floats
    scale_M: Floats


@dataclass(frozen=True)
class MovieWeights:
    """What a user's scaled residuals, and his scaled has-rated vector, add to each movie."""

    residual_MM: Floats
    rated_MM: Floats


def residuals(
    values_UM: sparse.csr_array[np.float32], biases: Biases, unit: float = 1.0
) -> sparse.csr_array[np.float32]:
    """U x M: what mean and biases leave of every rating, counted in units; same structure."""
    row_R = np.repeat(np.arange(values_UM.shape[0]), np.diff(values_UM.indptr))
    known_R = biases.global_mean + biases.movie_bias_M[values_UM.indices]
    left_R = values_UM.data - known_R - biases.user_bias_U(values_UM)[row_R]
    return with_values(values_UM, left_R / unit)


def movie_kernel(
    values_UM: sparse.csr_array[np.float32],
    biases: Biases,
    config: "KernelRidgeConfig",
    unit: float = 1.0,
) -> MovieKernel:
    """The kernel of movies over all users' ratings: residuals' and has-rated features' products."""
    scale_M = _scales(np.bincount(values_UM.indices, minlength=values_UM.shape[1]), config)
    scale_R = scale_M[values_UM.indices]
    left_UM = residuals(values_UM, biases, unit)
    residual_UM = with_values(values_UM, left_UM.data * scale_R)
    rated_UM = with_values(values_UM, config.rated_weight * scale_R)
    kernel_MM = (residual_UM.T @ residual_UM + rated_UM.T @ rated_UM).toarray()
    return MovieKernel(kernel_MM, scale_M)


def fit_movie_weights(
    values_UM: sparse.csr_array[np.float32],
    biases: Biases,
    config: "KernelRidgeConfig",
    progress: Progress = silent,
    unit: float = 1.0,
) -> MovieWeights:
    """One regression a movie over the users who rated it, each solved exactly.

    Takes a kernel of U x U and, at the most rated movie, a solve of its number of raters cubed:
    fit for tens of thousands of users, not for hundreds of thousands.

    Raises:
        TrainingError: a regression is too near to singular for single precision.
    """
    num_movies = values_UM.shape[1]
    scale_U = _scales(np.diff(values_UM.indptr), config)
    scale_R = np.repeat(scale_U, np.diff(values_UM.indptr))
    left_UM = residuals(values_UM, biases, unit)
    residual_UM = with_values(values_UM, left_UM.data * scale_R)
    rated_UM = with_values(values_UM, config.rated_weight * scale_R)
    kernel_UU = (residual_UM @ residual_UM.T + rated_UM @ rated_UM.T).toarray()
    targets_UM = left_UM.tocsc()
    weights = MovieWeights(*(np.zeros((num_movies, num_movies), np.float32) for _ in range(2)))
    for movie in range(num_movies):
        cells = slice(targets_UM.indptr[movie], targets_UM.indptr[movie + 1])
        raters_V = targets_UM.indices[cells]
        if len(raters_V):
            scaled_V = scale_U[raters_V]
            target_V = targets_UM.data[cells]
            own_V = target_V * scaled_V
            kernel_VV = kernel_UU[np.ix_(raters_V, raters_V)]
            kernel_VV -= np.outer(own_V, own_V)
            kernel_VV -= config.rated_weight**2 * np.outer(scaled_V, scaled_V)
            dual_V = _solve(kernel_VV, target_V, config.ridge)
            weights.residual_MM[:, movie] = residual_UM[raters_V].T @ dual_V
            weights.rated_MM[:, movie] = rated_UM[raters_V].T @ dual_V
            weights.residual_MM[movie, movie] = weights.rated_MM[movie, movie] = 0.0
        if movie % _EVERY == 0 or movie == num_movies - 1:
            progress("train", movie + 1, num_movies, "movies", "cpu")
    return weights


def _solve(kernel_VV: Floats, target_V: Floats, ridge: float) -> Floats:
    """(kernel + ridge I)^-1 target, in place of the kernel."""
    kernel_VV[np.diag_indices_from(kernel_VV)] += ridge
    try:
        factor = linalg.cho_factor(kernel_VV, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError as error:
        raise TrainingError(
            f"the regression over a movie's {len(target_V)} users cannot be solved: model.ridge = "
            f"{ridge:g} is lost beside their kernel; raise it, or model.count_power"
        ) from error
    solved_V: Floats = linalg.cho_solve(factor, target_V, check_finite=False)
    return solved_V


def _scales(counts: npt.NDArray[np.integer], config: "KernelRidgeConfig") -> Floats:
    """Count to the power of minus `count_power`; 1 for what has no rating."""
    scales: Floats = np.power(np.maximum(counts, 1), -config.count_power).astype(np.float32)
    return scales
