"""Shape legend: U users, P predictors, S resamples."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from deeprec.metrics.bootstrap import percentile_interval, resample_rmse

Doubles = npt.NDArray[np.float64]


def users(num_users: int, seed: int = 3) -> tuple[Doubles, npt.NDArray[np.int64]]:
    """Squared errors under two predictors, the second a little worse, and numbers of ratings."""
    rng = np.random.default_rng(seed)
    count_U = rng.integers(1, 30, num_users)
    first_U = count_U * rng.gamma(2.0, 0.4, num_users)
    return np.column_stack([first_U, first_U + count_U * rng.normal(0.02, 0.1, num_users)]), count_U


def test_two_users_give_the_three_samples_that_there_are() -> None:
    squared_UP, count_U = np.array([[4.0], [1.0]]), np.array([1, 3])
    resampled = resample_rmse(squared_UP, count_U, 4_000, seed=0)[:, 0]
    one, both, other = np.sqrt(1 / 3), np.sqrt(5 / 4), 2.0
    values, counts = np.unique(resampled, return_counts=True)
    assert [one, both, other] == pytest.approx(values.tolist())
    assert [0.25, 0.5, 0.25] == pytest.approx((counts / 4_000).tolist(), abs=0.03)
    assert (one, other) == pytest.approx(percentile_interval(resampled))


def test_users_who_are_alike_leave_no_doubt() -> None:
    resampled = resample_rmse(np.full((9, 1), 8.0), np.full(9, 2), 100, seed=0)
    assert (2.0, 2.0) == percentile_interval(resampled[:, 0])


def rmse(squared: Doubles, count: Doubles, axis: int = -1) -> Doubles:
    return np.asarray(np.sqrt(squared.sum(axis) / count.sum(axis)))


def difference(first: Doubles, second: Doubles, count: Doubles, axis: int = -1) -> Doubles:
    return rmse(first, count, axis) - rmse(second, count, axis)


def scipy_interval(statistic: Callable[..., Doubles], *per_user: Doubles) -> tuple[float, float]:
    found = stats.bootstrap(
        per_user, statistic, paired=True, method="percentile", n_resamples=20_000, rng=2
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def test_intervals_are_those_of_scipy() -> None:
    squared_UP, count_U = users(60)
    first_U, second_U, double_U = *squared_UP.T, count_U.astype(float)
    first_S, second_S = resample_rmse(squared_UP, count_U, 20_000, seed=1).T
    expected = scipy_interval(rmse, first_U, double_U)
    assert expected == pytest.approx(percentile_interval(first_S), abs=3e-3)
    expected = scipy_interval(difference, first_U, second_U, double_U)
    assert expected == pytest.approx(percentile_interval(first_S - second_S), abs=1e-3)


def test_the_spread_is_that_of_the_delta_method() -> None:
    squared_UP, count_U = users(5_000)
    squared_U, count = squared_UP[:, 0], count_U.sum()
    mse = squared_U.sum() / count
    variance = np.square(squared_U - mse * count_U).sum() / count**2  # of the mean squared error
    resampled = resample_rmse(squared_UP, count_U, 2_000, seed=0)[:, 0]
    assert np.sqrt(variance) / (2 * np.sqrt(mse)) == pytest.approx(resampled.std(), rel=0.07)
    assert np.sqrt(mse) == pytest.approx(resampled.mean(), rel=1e-3)


def test_predictors_are_compared_on_the_same_resamples() -> None:
    squared_UP, count_U = users(40)
    doubled = resample_rmse(squared_UP[:, [0, 0]] * [1, 4], count_U, 100, seed=0)
    np.testing.assert_allclose(2 * doubled[:, 0], doubled[:, 1])


def test_a_seed_decides_the_resamples() -> None:
    squared_UP, count_U = users(40)
    first, again, other = (resample_rmse(squared_UP, count_U, 100, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_memory_does_not_grow_with_the_resamples() -> None:
    squared_UP, count_U = users(100_000)
    tracemalloc.start()
    resample_rmse(squared_UP, count_U, 100, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 100_000  # bytes: a tenth of the draws of all resamples
