"""How much each of several predictors counts in their sum.

Shape legend: R ratings, K predictors.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprec.errors import MetricError


@dataclass(frozen=True)
class Weights:
    """prediction = intercept + sum of weight times predictor."""

    weights_K: npt.NDArray[np.float64]
    intercept: float


def fit_weights(
    predicted_RK: npt.NDArray[np.floating], actual_R: npt.NDArray[np.floating], ridge: float
) -> Weights:
    """Least squares on held-out ratings, pulled towards equal shares (Jahrer et al. 2010).

    Args:
        predicted_RK: what each predictor says of each rating.
        actual_R: the ratings.
        ridge: weight of the pull, relative to the variance of the predictors' mean.

    Raises:
        MetricError: a prediction is missing, or there are fewer ratings than predictors.
    """
    num_ratings, num_predictors = predicted_RK.shape
    if num_ratings <= num_predictors:
        raise MetricError(
            f"{num_ratings} held-out ratings cannot weigh {num_predictors} predictors; hold back "
            "more for dev, of users who are in train too"
        )
    if not np.isfinite(predicted_RK).all():
        raise MetricError("a predictor of the blend gives values that are no numbers")
    mean_K, mean = predicted_RK.mean(axis=0, dtype=np.float64), float(actual_R.mean())
    centred_RK = predicted_RK - mean_K
    equal_K = np.full(num_predictors, 1 / num_predictors)
    left_R = actual_R - mean - centred_RK @ equal_K
    pull = ridge * num_ratings * float(np.var(centred_RK @ equal_K))
    gram_KK = centred_RK.T @ centred_RK + pull * np.eye(num_predictors)
    weights_K = equal_K + np.linalg.lstsq(gram_KK, centred_RK.T @ left_R, rcond=None)[0]
    return Weights(weights_K, mean - float(mean_K @ weights_K))
