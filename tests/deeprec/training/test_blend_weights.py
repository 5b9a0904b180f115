"""Shape legend: R ratings, K predictors."""

import numpy as np
import pytest

from deeprec.errors import MetricError
from deeprec.training.blend_weights import Weights, fit_weights

ACTUAL_R = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
GOOD_R = np.array([1.2, 1.9, 3.1, 3.8, 5.0])
POOR_R = np.array([3.0, 2.0, 3.5, 2.5, 4.0])


def predicted_by(weights: Weights, predicted_RK: np.ndarray) -> np.ndarray:
    return weights.intercept + predicted_RK @ weights.weights_K


def test_weights_by_hand() -> None:
    # Centred, the predictors are (-1, 1, 0, 0) and (0, 0, -1, 1); each explains its own ratings.
    predicted_RK = np.array([[2.0, 4.0], [4.0, 4.0], [3.0, 3.0], [3.0, 5.0]])
    actual_R = np.array([1.0, 7.0, 3.0, 5.0])
    weights = fit_weights(predicted_RK, actual_R, ridge=0)
    assert [3.0, 1.0] == pytest.approx(weights.weights_K)
    assert 4 - 3 * 3 - 1 * 4 == pytest.approx(weights.intercept)


def test_a_pull_by_hand() -> None:
    predicted_RK = np.array([[2.0, 4.0], [4.0, 4.0], [3.0, 3.0], [3.0, 5.0]])
    actual_R = np.array([1.0, 7.0, 3.0, 5.0])
    # Equal shares are (-1/2, 1/2, -1/2, 1/2), of variance 1/4: the pull is 2 * 4 / 4 = 2 beside a
    # Gram matrix of 2 I, so each weight stops halfway between a half and what it fits to.
    weights = fit_weights(predicted_RK, actual_R, ridge=2)
    assert [(0.5 + 3) / 2, (0.5 + 1) / 2] == pytest.approx(weights.weights_K)


def test_without_a_pull_it_is_least_squares() -> None:
    predicted_RK = np.stack([GOOD_R, POOR_R], axis=1)
    design = np.column_stack([np.ones(5), predicted_RK])
    expected = np.linalg.lstsq(design, ACTUAL_R, rcond=None)[0]
    weights = fit_weights(predicted_RK, ACTUAL_R, ridge=0)
    assert expected.tolist() == pytest.approx([weights.intercept, *weights.weights_K])


def test_a_huge_pull_leaves_equal_shares_and_the_right_mean() -> None:
    predicted_RK = np.stack([GOOD_R, POOR_R + 7, GOOD_R], axis=1)
    weights = fit_weights(predicted_RK, ACTUAL_R, ridge=1e12)
    assert [1 / 3] * 3 == pytest.approx(weights.weights_K)
    assert ACTUAL_R.mean() == pytest.approx(predicted_by(weights, predicted_RK).mean())


def test_the_better_predictor_counts_more() -> None:
    weights = fit_weights(np.stack([POOR_R, GOOD_R], axis=1), ACTUAL_R, ridge=0.01)
    assert weights.weights_K[1] > 0.8 > abs(weights.weights_K[0])


def test_predictors_that_say_the_same_share_alike() -> None:
    weights = fit_weights(np.stack([GOOD_R, GOOD_R], axis=1), ACTUAL_R, ridge=0)
    assert weights.weights_K[0] == pytest.approx(weights.weights_K[1])


def test_a_predictor_without_variance_is_no_obstacle() -> None:
    predicted_RK = np.stack([GOOD_R, np.full(5, 3.0)], axis=1)
    error_R = predicted_by(fit_weights(predicted_RK, ACTUAL_R, ridge=0), predicted_RK) - ACTUAL_R
    assert np.abs(error_R).max() < 0.2


@pytest.mark.parametrize("num_ratings", [0, 1, 2])
def test_too_few_ratings_are_refused(num_ratings: int) -> None:
    predicted_RK = np.stack([GOOD_R, POOR_R], axis=1)[:num_ratings]
    with pytest.raises(MetricError, match=f"^{num_ratings} held-out ratings cannot weigh 2 pred"):
        fit_weights(predicted_RK, ACTUAL_R[:num_ratings], ridge=0.01)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_missing_prediction_is_refused(value: float) -> None:
    predicted_RK = np.stack([GOOD_R, POOR_R], axis=1)
    predicted_RK[3, 1] = value
    with pytest.raises(MetricError, match="values that are no numbers"):
        fit_weights(predicted_RK, ACTUAL_R, ridge=0.01)
