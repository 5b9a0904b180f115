"""Shape legend: R held-out ratings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprec.metrics.accuracy import Errors
from deeprec.metrics.breakdowns import (
    Buckets,
    Dimension,
    Group,
    break_down,
    breakdown_tables,
    by_activity,
    by_month,
    by_popularity,
    by_prediction,
    by_rating,
)
from deeprec.ratings import UNDATED, RatingScale

STARS = RatingScale(1, 5, 1)


def named(buckets: Buckets) -> list[str]:
    """The name of each pair's bucket."""
    return [buckets.names[place] for place in buckets.place_R]


def test_users_are_told_apart_by_their_training_ratings() -> None:
    counts = np.array([0, 1, 9, 10, 19, 20, 199, 200, 499, 500, 17_000])
    expected = ["0", "1-9", "1-9", "10-19", "10-19", "20-49", "100-199"]
    assert [*expected, "200-499", "200-499", "500+", "500+"] == named(by_activity(counts))


def test_movies_are_told_apart_by_theirs() -> None:
    counts = np.array([0, 9, 10, 999, 1_000, 99_999, 100_000, 232_944])
    expected = ["0", "1-9", "10-49", "500-999", "1,000-9,999", "10,000-99,999"]
    assert [*expected, "100,000+", "100,000+"] == named(by_popularity(counts))


def test_each_rating_there_is_has_a_bucket() -> None:
    halves_R = np.array([4.5, 0.5, 4.5, 3], dtype=np.float32)
    buckets = by_rating(halves_R, RatingScale(0.5, 5, 0.5))
    assert ("0.5", "3", "4.5") == buckets.names
    assert ["4.5", "0.5", "4.5", "3"] == named(buckets)


def test_ratings_that_nearly_agree_have_names_of_their_own() -> None:
    near_R = np.array([1 / 3, 0.333333, 1, 1_234_567, 1_234_568], dtype=np.float32)
    buckets = by_rating(near_R, RatingScale(0, 2e6))
    assert ["0.33333334", "0.333333", "1", "1234567", "1234568"] == named(buckets)
    groups = [
        group
        for name in ("model", "bias")
        for group in break_down(name, buckets, near_R, np.ones_like(near_R))
    ]
    (table,) = breakdown_tables(groups)
    assert [len(table.header)] * len(near_R) == [len(row) for row in table.rows]


def test_a_scale_of_many_ratings_is_put_into_bins() -> None:
    percent_R = np.arange(0, 101, dtype=np.float32)
    buckets = by_rating(percent_R, RatingScale(0, 100, 1))
    assert 16 == len(buckets.names)
    assert ("0 to 6.25", "93.75 to 100") == (buckets.names[0], buckets.names[-1])
    assert [7, 6, 6, 6] == np.bincount(buckets.place_R)[:4].tolist()


def test_predictions_stand_in_bins_that_are_closed_below() -> None:
    predicted_R = np.array([1, 1.2, 1.25, 4.74, 4.75, 5], dtype=np.float32)
    bins = ["1 to 1.25", "1 to 1.25", "1.25 to 1.5", "4.5 to 4.75", "4.75 to 5", "4.75 to 5"]
    assert bins == named(by_prediction(predicted_R, STARS))


def test_a_rating_that_no_float_holds_stands_in_the_bin_that_begins_there() -> None:
    rating_R = np.arange(20, 101, dtype=np.float32) / np.float32(100)
    names = named(by_rating(rating_R, RatingScale(0.2, 1, 0.01)))
    ends = {rating: names[round(100 * rating) - 20] for rating in (0.35, 0.65, 0.9)}
    assert {0.35: "0.35 to 0.4", 0.65: "0.65 to 0.7", 0.9: "0.9 to 0.95"} == ends


def test_months_are_in_order_and_what_has_no_date_comes_last() -> None:
    days_R = np.array([12_784, UNDATED, 12_783, -1, 12_814, UNDATED], dtype=np.int32)
    buckets = by_month(days_R)
    assert buckets is not None
    assert ("1969-12", "2004-12", "2005-01", "undated") == buckets.names
    assert ["2005-01", "undated", "2004-12", "1969-12", "2005-01", "undated"] == named(buckets)


def test_without_any_date_there_are_no_months() -> None:
    assert by_month(np.array([UNDATED, UNDATED], dtype=np.int32)) is None


def test_a_bucket_has_its_own_figures_and_an_empty_one_none() -> None:
    buckets = Buckets(Dimension.RATING, ("1", "2", "3"), np.array([2, 0, 2], dtype=np.int32))
    actual_R = np.array([3, 1, 3], dtype=np.float32)
    predicted_R = np.array([4, 1.5, 1], dtype=np.float32)
    one, three = break_down("model", buckets, actual_R, predicted_R)
    assert (
        Group(
            predictor="model",
            dimension=Dimension.RATING,
            bucket="3",
            num_ratings=2,
            rmse=np.sqrt((1 + 4) / 2),
            mae=(1 + 2) / 2,
            mean_actual=3,
            mean_predicted=2.5,
        )
        == three
    )
    assert ("1", 1, 0.5, 1.0, 1.5) == (
        one.bucket,
        one.num_ratings,
        one.mae,
        one.mean_actual,
        one.mean_predicted,
    )


rows = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(0, 600), st.integers(-90, 90))


@given(st.lists(rows, min_size=1))
def test_the_buckets_of_a_dimension_sum_to_the_whole(
    pairs: list[tuple[int, int, int, int]],
) -> None:
    columns = np.array(pairs).T
    actual_R, predicted_R = columns[:2].astype(np.float32)
    count_R, day_R = columns[2:].astype(np.int32)
    day_R[day_R % 3 == 0] = UNDATED
    whole = Errors.of(actual_R, predicted_R)
    for buckets in (
        by_activity(count_R),
        by_popularity(count_R),
        by_rating(actual_R, STARS),
        by_month(day_R),
        by_prediction(predicted_R, STARS),
    ):
        if buckets is None:
            assert (day_R == UNDATED).all()
            continue
        parts = sum(
            (
                Errors(
                    group.num_ratings,
                    group.rmse**2 * group.num_ratings,
                    group.mae * group.num_ratings,
                    group.mean_actual * group.num_ratings,
                    group.mean_predicted * group.num_ratings,
                )
                for group in break_down("model", buckets, actual_R, predicted_R)
            ),
            Errors(),
        )
        assert whole.count == parts.count
        assert (whole.rmse, whole.mae) == pytest.approx((parts.rmse, parts.mae))
        assert (whole.mean_actual, whole.mean_predicted) == pytest.approx(
            (parts.mean_actual, parts.mean_predicted)
        )


def test_predictors_stand_side_by_side_and_calibration_is_of_the_first() -> None:
    actual_R = np.array([1, 5, 5], dtype=np.float32)
    ratings = by_rating(actual_R, STARS)
    groups: list[Group] = []
    for name, predicted in {"model": [1, 4, 4], "bias": [3, 3, 3]}.items():
        predicted_R = np.array(predicted, dtype=np.float32)
        for buckets in (ratings, by_prediction(predicted_R, STARS)):
            groups += break_down(name, buckets, actual_R, predicted_R)
    by_actual, calibration = breakdown_tables(groups)
    header = ("actual rating", "ratings", "mean actual", "RMSE model", "RMSE bias")
    assert header == by_actual.header
    assert (("1", 1, 1.0, 0.0, 2.0), ("5", 2, 5.0, 1.0, 2.0)) == by_actual.rows
    header = ("predicted rating", "ratings", "mean predicted", "mean actual", "RMSE model")
    assert header == calibration.header
    assert ("1 to 1.25", 1, 1.0, 1.0, 0.0) == calibration.rows[0]
    assert ("4 to 4.25", 2, 4.0, 5.0, 1.0) == calibration.rows[1]
