"""Shape legend: U users, M movies, K factors."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from deeprec.training.factorization import fit_factors

L2 = 2.0
Matrix = npt.NDArray[np.float32]


@pytest.fixture
def left_UM() -> sparse.csr_array[np.float32]:
    """Two tastes and noise, half of it seen; the last user and the last movie have nothing."""
    rng = np.random.default_rng(2)
    tastes_UM = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 12))
    seen_UM = rng.random((20, 12)) < 0.5
    seen_UM[-1], seen_UM[:, -1] = False, False
    noisy_UM = tastes_UM + rng.normal(0, 0.1, tastes_UM.shape)
    return sparse.csr_array(np.where(seen_UM, noisy_UM, 0).astype(np.float32))


def objective(left_UM: sparse.csr_array[np.float32], users_UK: Matrix, movies_MK: Matrix) -> float:
    error_UM = (users_UK @ movies_MK.T - left_UM.toarray()) * (left_UM.toarray() != 0)
    squares = [np.square(array).sum() for array in (error_UM, users_UK, movies_MK)]
    return float(squares[0] + L2 * (squares[1] + squares[2]))


def test_one_solution_by_hand() -> None:
    # One user, one movie, one factor: u = r m / (m m + l), so both grow to u m = r - l.
    users_UK, movies_MK = fit_factors(
        sparse.csr_array(np.array([[3.0]], dtype=np.float32)), 1, 1.0, num_sweeps=100, seed=0
    )
    assert 3 - 1 == pytest.approx(float(users_UK[0, 0] * movies_MK[0, 0]), abs=1e-3)


def test_every_sweep_descends(left_UM: sparse.csr_array[np.float32]) -> None:
    values = [objective(left_UM, *fit_factors(left_UM, 2, L2, n, seed=1)) for n in (1, 2, 5, 20)]
    assert sorted(values, reverse=True) == values


def test_neither_side_wants_to_move(left_UM: sparse.csr_array[np.float32]) -> None:
    users_UK, movies_MK = fit_factors(left_UM, 2, L2, num_sweeps=200, seed=1)
    error_UM = (left_UM.toarray() - users_UK @ movies_MK.T) * (left_UM.toarray() != 0)
    np.testing.assert_allclose(error_UM @ movies_MK, L2 * users_UK, atol=1e-3)
    np.testing.assert_allclose(error_UM.T @ users_UK, L2 * movies_MK, atol=1e-3)


def test_who_has_nothing_gets_zeros(left_UM: sparse.csr_array[np.float32]) -> None:
    users_UK, movies_MK = fit_factors(left_UM, 2, L2, num_sweeps=3, seed=1)
    assert not users_UK[-1].any()
    assert not movies_MK[-1].any()


def test_factors_follow_from_the_seed(left_UM: sparse.csr_array[np.float32]) -> None:
    first, again, other = (fit_factors(left_UM, 2, L2, 3, seed) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
