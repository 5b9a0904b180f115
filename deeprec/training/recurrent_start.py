"""A recurrent network before its training: the clock, and stationary factors from a factorisation.

Shape legend: U users, M movies, R ratings.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from deeprec.errors import TrainingError
from deeprec.models.baselines import Biases
from deeprec.models.sequences import Clock, Days, rows_of
from deeprec.networks.recurrent import RecurrentRecommender
from deeprec.ratings import UNDATED
from deeprec.training.factorization import fit_factors

if TYPE_CHECKING:
    from deeprec.config.models import RecurrentConfig

_NUM_SWEEPS = 10


def build_recurrent(
    config: "RecurrentConfig",
    train_UM: sparse.csr_array[np.float32],
    days_R: Days | None,
    biases: Biases,
    seed: int,
    *,
    unit: float = 1.0,
) -> RecurrentRecommender:
    """A network whose states are random and whose stationary part predicts as PMF does.

    The paper is said to start from probabilistic matrix factorisation; here the factors are
    fitted to what damped biases leave, and the biases start where they are.

    Raises:
        TrainingError: there is nothing to train on, or it has no dates.
    """
    days_R = require_days(train_UM, days_R)
    clock = Clock.of(days_R, config.step_days)
    mean = biases.global_mean / unit
    network = RecurrentRecommender(*train_UM.shape, clock, mean, config, seed=seed, unit=unit)
    user_bias_U = biases.user_bias_U(train_UM)
    left_UM = train_UM.copy()
    left_UM.data -= biases.global_mean + user_bias_U[rows_of(train_UM)]
    left_UM.data -= biases.movie_bias_M[train_UM.indices]
    left_UM.data /= unit
    factors = fit_factors(left_UM, config.num_stationary, config.l2, _NUM_SWEEPS, seed)
    with torch.no_grad():
        network.users.factors_NK.copy_(torch.from_numpy(factors[0]))
        network.movies.factors_NK.copy_(torch.from_numpy(factors[1]))
        network.users.bias_N1.copy_(torch.from_numpy(user_bias_U / unit)[:, None])
        network.movies.bias_N1.copy_(torch.from_numpy(biases.movie_bias_M / unit)[:, None])
    return network


def require_days(train_UM: sparse.csr_array[np.float32], days_R: Days | None) -> Days:
    """The days of the training ratings, every one of them.

    Raises:
        TrainingError: there are no training ratings, or they have no dates.
    """
    if not train_UM.nnz:
        raise TrainingError("no training ratings: this split leaves none to train on")
    if days_R is None or (days_R == UNDATED).any():
        raise TrainingError(
            "a recurrent network reads ratings in the order of time, and some of these have no "
            "date; take in files with dates, or train a model of another kind"
        )
    assert len(days_R) == train_UM.nnz, (len(days_R), train_UM.nnz)
    return days_R
