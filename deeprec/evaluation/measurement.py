"""What predictors come to on the same held-out ratings: figures with intervals, and breakdowns.

Shape legend: U users with held-out ratings, N movies, R held-out ratings, P predictors,
S resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprec.config.evaluation import EvaluateConfig
from deeprec.metrics.accuracy import Errors, GroupedErrors
from deeprec.metrics.bootstrap import percentile_interval, resample_rmse
from deeprec.metrics.breakdowns import (
    Buckets,
    Group,
    break_down,
    by_activity,
    by_month,
    by_popularity,
    by_prediction,
    by_rating,
)
from deeprec.models.registry import Evaluation
from deeprec.ratings import Floats, RatingMatrix, RatingScale

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True)
class HeldOut:
    """The held-out ratings of the users who have any, and what training knew of each.

    `train` are the training ratings of the same users; `user_R` is the row of each held-out
    rating, `num_by_user_R` and `num_of_movie_R` count the training ratings of its user and movie.
    """

    train: RatingMatrix
    ratings: RatingMatrix
    user_R: Counts
    num_by_user_R: Counts
    num_of_movie_R: Counts

    @classmethod
    def of(cls, train: RatingMatrix, held_out: RatingMatrix) -> "HeldOut":
        """From all users' training and held-out ratings, over the same users and movies."""
        has_some_U = np.diff(held_out.values_UM.indptr) > 0
        num_of_movie_N = train.num_by_movie_M
        train, ratings = train.select_users(has_some_U), held_out.select_users(has_some_U)
        rows_U = np.arange(ratings.num_users, dtype=np.int32)
        user_R = np.repeat(rows_U, np.diff(ratings.values_UM.indptr))
        num_by_user_U = np.diff(train.values_UM.indptr).astype(np.int32)
        num_of_movie_R = num_of_movie_N.astype(np.int32)[ratings.values_UM.indices]
        return cls(train, ratings, user_R, num_by_user_U[user_R], num_of_movie_R)

    @property
    def actual_R(self) -> Floats:
        """The held-out ratings themselves."""
        return self.ratings.values_UM.data

    @property
    def num_cold(self) -> int:
        """How many are of a user or a movie without training ratings."""
        return int(np.count_nonzero((self.num_by_user_R == 0) | (self.num_of_movie_R == 0)))


def measure(
    held_out: HeldOut,
    predictions: Mapping[str, Floats],
    floor: str,
    scale: RatingScale,
    config: EvaluateConfig,
) -> tuple[tuple[Evaluation, ...], tuple[Group, ...]]:
    """The figures and the breakdowns of every predictor, in the order they are given.

    Args:
        held_out: the ratings.
        predictions: of each predictor, unclipped, one for each rating.
        floor: the predictor that the others are held against.
        scale: predictions are clipped to it, except where a figure says that it is not.
        config: how often the users are resampled, and with which seed.

    Raises:
        MetricError: a prediction is missing.
    """
    errors: dict[str, tuple[Errors, Errors]] = {}
    by_user: dict[str, GroupedErrors] = {}
    groups: list[Group] = []
    actual_R, shared = held_out.actual_R, _buckets(held_out, scale)
    for name, unclipped_R in predictions.items():
        predicted_R = np.clip(unclipped_R, scale.minimum, scale.maximum)
        errors[name] = Errors.of(actual_R, predicted_R), Errors.of(actual_R, unclipped_R)
        by_user[name] = GroupedErrors.of(
            actual_R, predicted_R, held_out.user_R, held_out.ratings.num_users
        )
        for buckets in (*shared, by_prediction(predicted_R, scale)):
            groups += break_down(name, buckets, actual_R, predicted_R)
    intervals = _intervals(by_user, floor, config)
    figures = tuple(
        Evaluation(
            predictor=name,
            num_ratings=clipped.count,
            num_cold=held_out.num_cold,
            rmse=clipped.rmse,
            mae=clipped.mae,
            unclipped_rmse=unclipped.rmse,
            unclipped_mae=unclipped.mae,
            minus_bias=clipped.rmse - errors[floor][0].rmse,
            **intervals.get(name, {}),
        )
        for name, (clipped, unclipped) in errors.items()
    )
    return figures, tuple(groups)


def _buckets(held_out: HeldOut, scale: RatingScale) -> list[Buckets]:
    """The buckets that do not depend on the predictor."""
    days_R = held_out.ratings.days_R
    by_date = by_month(days_R) if days_R is not None else None
    return [
        by_activity(held_out.num_by_user_R),
        by_popularity(held_out.num_of_movie_R),
        by_rating(held_out.actual_R, scale),
        *([by_date] if by_date else []),
    ]


def _intervals(
    by_user: Mapping[str, GroupedErrors], floor: str, config: EvaluateConfig
) -> dict[str, dict[str, float]]:
    """The bounds in each predictor's figures, by field; none at all where there is one user.

    All predictors are held against each other on the same resamples: what makes a user hard is
    hard for each of them, so their difference is far surer than either figure.
    """
    count_U = by_user[floor].count_G
    if len(count_U) == 1:
        return {}
    squared_UP = np.column_stack([errors.squared_G for errors in by_user.values()])
    resampled_SP = resample_rmse(squared_UP, count_U, config.num_resamples, config.seed)
    resampled = dict(zip(by_user, resampled_SP.T, strict=True))
    bounds = {}
    for name, rmse_S in resampled.items():
        rmse = percentile_interval(rmse_S)
        minus_bias = percentile_interval(rmse_S - resampled[floor])
        bounds[name] = {
            "rmse_low": rmse.low,
            "rmse_high": rmse.high,
            "minus_bias_low": minus_bias.low,
            "minus_bias_high": minus_bias.high,
        }
    return bounds
