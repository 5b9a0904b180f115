"""Shape legend: U users, M movies."""

import numpy as np
import pytest
import torch
from scipy import sparse

from deeprec.config.models import RecurrentConfig
from deeprec.errors import TrainingError
from deeprec.models.baselines import fit_biases
from deeprec.training.factorization import fit_factors
from deeprec.training.recurrent_start import build_recurrent

CONFIG = RecurrentConfig(step_days=3, state_size=5, num_dynamic=4, num_stationary=2, l2=2.0)


@pytest.fixture
def train_UM() -> sparse.csr_array[np.float32]:
    rng = np.random.default_rng(6)
    rated = rng.random((9, 7)) < 0.6
    return sparse.csr_array(np.where(rated, rng.integers(1, 6, rated.shape), 0).astype(np.float32))


def days(train_UM: sparse.csr_array[np.float32]) -> np.typing.NDArray[np.int32]:
    return 100 + np.arange(train_UM.nnz, dtype=np.int32) % 20


def test_without_its_states_it_predicts_as_a_factorisation(
    train_UM: sparse.csr_array[np.float32],
) -> None:
    biases = fit_biases(train_UM, 5, 5)
    network = build_recurrent(CONFIG, train_UM, days(train_UM), biases, seed=3)
    floor_UM = biases.global_mean + biases.movie_bias_M + biases.user_bias_U(train_UM)[:, None]
    rated_UM = train_UM.toarray() != 0
    left_UM = sparse.csr_array(np.where(rated_UM, train_UM.toarray() - floor_UM, 0))
    users_UK, movies_MK = fit_factors(left_UM.astype(np.float32), 2, 2.0, 10, seed=3)
    with torch.no_grad():
        found_UM = network.users.factors_NK @ network.movies.factors_NK.T + network.global_mean
        found_UM += network.users.bias_N1 + network.movies.bias_N1.T
    np.testing.assert_allclose(floor_UM + users_UK @ movies_MK.T, found_UM.numpy(), atol=1e-4)


def test_sizes_and_clock_are_the_configured_ones(train_UM: sparse.csr_array[np.float32]) -> None:
    biases = fit_biases(train_UM, 5, 5)
    network = build_recurrent(CONFIG, train_UM, days(train_UM), biases, seed=0)
    assert (100, 3, 7) == (
        network.clock.first_day,
        network.clock.step_days,
        network.clock.num_steps,
    )
    assert (7, 40) == network.users.embedding_CE.shape
    assert (9, 40) == network.movies.embedding_CE.shape
    assert (4, 5) == network.users.affine_DH.shape
    assert biases.global_mean == pytest.approx(network.global_mean.item())


def test_the_ratings_are_left_alone(train_UM: sparse.csr_array[np.float32]) -> None:
    before = train_UM.toarray()
    build_recurrent(CONFIG, train_UM, days(train_UM), fit_biases(train_UM, 5, 5), seed=0)
    assert np.array_equal(before, train_UM.toarray())


def test_undated_ratings_are_refused(train_UM: sparse.csr_array[np.float32]) -> None:
    with pytest.raises(TrainingError, match="some of these have no date"):
        build_recurrent(CONFIG, train_UM, None, fit_biases(train_UM, 5, 5), seed=0)
