"""Three users, three movies, and two predictors that a pencil can measure."""

import math

import numpy as np
import pytest
from scipy import sparse

from deeprec.config.evaluation import EvaluateConfig
from deeprec.errors import MetricError
from deeprec.evaluation.measurement import HeldOut, measure
from deeprec.metrics.breakdowns import Dimension
from deeprec.models.registry import Evaluation
from deeprec.ratings import UNDATED, Days, Floats, RatingMatrix, RatingScale

SCALE = RatingScale(1, 5, 1)
# rows: users 1, 2, 3; columns: movies 10, 20, 30; 0 is unrated
TRAIN = [[4, 5, 0], [0, 0, 0], [1, 0, 2]]
HELD_OUT = [[0, 0, 3], [2, 5, 0], [0, 0, 0]]
PREDICTIONS = {
    "model": np.array([6, 2.5, 4], dtype=np.float32),
    "bias": np.array([3, 3, 3], dtype=np.float32),
}


def matrix(rows: list[list[int]], days_R: Days | None = None) -> RatingMatrix:
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(np.array(rows, dtype=np.float32))
    user_ids_U = np.arange(1, 1 + len(rows))
    return RatingMatrix(user_ids_U, np.array([10, 20, 30]), values_UM, days_R)


def held_out(days: list[int] | None = None) -> HeldOut:
    days_R = None if days is None else np.array(days, dtype=np.int32)
    return HeldOut.of(matrix(TRAIN), matrix(HELD_OUT, days_R))


def figures(predictions: dict[str, Floats] = PREDICTIONS) -> tuple[Evaluation, ...]:
    return measure(held_out(), predictions, "bias", SCALE, EvaluateConfig())[0]


def test_only_users_with_held_out_ratings_are_measured() -> None:
    found = held_out()
    assert [1, 2] == found.train.user_ids_U.tolist() == found.ratings.user_ids_U.tolist()
    assert [3, 2, 5] == found.actual_R.tolist()
    assert [0, 1, 1] == found.user_R.tolist()


def test_what_training_knew_is_counted_over_all_users() -> None:
    found = held_out()
    assert [2, 0, 0] == found.num_by_user_R.tolist()
    assert [1, 2, 1] == found.num_of_movie_R.tolist()
    assert 2 == found.num_cold


def test_a_movie_without_training_ratings_is_cold_too() -> None:
    found = HeldOut.of(matrix([[4, 5, 0], [0, 0, 0]]), matrix([[0, 0, 3], [2, 0, 0]]))
    assert [0, 1] == found.num_of_movie_R.tolist()
    assert [2, 0] == found.num_by_user_R.tolist()
    assert 2 == found.num_cold


def test_the_figures_by_hand() -> None:
    model, bias = figures()
    # clipped: 2, 0.5 and -1 off; unclipped: 3, 0.5 and -1; the floor: 0, 1 and -2
    assert ("model", 3, 2) == (model.predictor, model.num_ratings, model.num_cold)
    assert math.sqrt(5.25 / 3) == pytest.approx(model.rmse)
    assert 3.5 / 3 == pytest.approx(model.mae)
    assert math.sqrt(10.25 / 3) == pytest.approx(model.unclipped_rmse)
    assert 4.5 / 3 == pytest.approx(model.unclipped_mae)
    assert math.sqrt(5.25 / 3) - math.sqrt(5 / 3) == pytest.approx(model.minus_bias)
    assert (math.sqrt(5 / 3), 1.0, 0.0) == pytest.approx((bias.rmse, bias.mae, bias.minus_bias))


def test_the_intervals_by_hand() -> None:
    model, bias = figures()
    # a resample of two users is the first twice, the second twice, or one of each
    first, second = 2.0, math.sqrt(1.25 / 2)
    assert (second, first) == pytest.approx((model.rmse_low, model.rmse_high))
    assert (0.0, math.sqrt(5 / 2)) == pytest.approx((bias.rmse_low, bias.rmse_high))
    low, high = second - math.sqrt(5 / 2), first - 0.0
    assert (low, high) == pytest.approx((model.minus_bias_low, model.minus_bias_high))
    assert (0.0, 0.0) == (bias.minus_bias_low, bias.minus_bias_high)


def test_one_user_gives_no_interval() -> None:
    alone = HeldOut.of(matrix(TRAIN), matrix([HELD_OUT[0], [0, 0, 0], [0, 0, 0]]))
    predictions = {name: predicted_R[:1] for name, predicted_R in PREDICTIONS.items()}
    (model, _), groups = measure(alone, predictions, "bias", SCALE, EvaluateConfig())
    assert (2.0, 2.0) == (model.rmse, model.minus_bias)
    assert (None, None) == (model.rmse_low, model.minus_bias_high)
    assert 1 == groups[0].num_ratings


def test_a_missing_prediction_is_refused() -> None:
    missing = PREDICTIONS | {"model": np.array([6, np.nan, 4], dtype=np.float32)}
    with pytest.raises(MetricError, match="1 of 3 predictions are missing"):
        figures(missing)


def test_the_parts_come_in_order_and_sum_to_the_whole() -> None:
    new_year = 12_784  # 2005-01-01
    days = [new_year, UNDATED, new_year - 1]
    (model, bias), groups = measure(held_out(days), PREDICTIONS, "bias", SCALE, EvaluateConfig())
    assert ["model", "bias"] == list(dict.fromkeys(group.predictor for group in groups))
    for figure in (model, bias):
        for dimension in Dimension:
            parts = [
                group
                for group in groups
                if (group.predictor, group.dimension) == (figure.predictor, dimension)
            ]
            assert 3 == sum(part.num_ratings for part in parts)
            squared = sum(part.rmse**2 * part.num_ratings for part in parts)
            assert figure.rmse == pytest.approx(math.sqrt(squared / 3))
    buckets = [(group.dimension, group.bucket) for group in groups if group.predictor == "model"]
    assert [
        ("activity", "0"),
        ("activity", "1-9"),
        ("popularity", "1-9"),
        ("rating", "2"),
        ("rating", "3"),
        ("rating", "5"),
        ("month", "2004-12"),
        ("month", "2005-01"),
        ("month", "undated"),
        ("calibration", "2.5 to 2.75"),
        ("calibration", "4 to 4.25"),
        ("calibration", "4.75 to 5"),
    ] == buckets


def test_without_days_there_are_no_months() -> None:
    for days in (None, [UNDATED, UNDATED, UNDATED]):
        _, groups = measure(held_out(days), PREDICTIONS, "bias", SCALE, EvaluateConfig())
        assert set(Dimension) - {Dimension.MONTH} == {group.dimension for group in groups}
