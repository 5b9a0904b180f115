import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprec.errors import MetricError
from deeprec.metrics.accuracy import Errors, GroupedErrors

PAIRS = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1)


def errors(pairs: list[tuple[int, int]]) -> Errors:
    actual_R, predicted_R = np.array(pairs, dtype=np.float32).T
    return Errors.of(actual_R, predicted_R)


def test_rmse_and_mae_by_hand() -> None:
    found = errors([(5, 4), (3, 3), (1, 4)])
    assert 3 == found.count
    assert math.sqrt((1 + 0 + 9) / 3) == pytest.approx(found.rmse)
    assert (1 + 0 + 3) / 3 == pytest.approx(found.mae)
    assert (9 / 3, 11 / 3) == (found.mean_actual, found.mean_predicted)


@given(PAIRS, PAIRS)
def test_parts_add_up_to_the_whole(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    assert errors(first + second) == errors(first) + errors(second)


@given(PAIRS, st.data())
def test_groups_hold_the_errors_of_their_pairs_and_add_up(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    group = st.integers(0, 3)
    group_R = np.array(data.draw(st.lists(group, min_size=len(pairs), max_size=len(pairs))))
    actual_R, predicted_R = np.array(pairs, dtype=np.float32).T
    found = list(GroupedErrors.of(actual_R, predicted_R, group_R, 4))
    for number, of_group in enumerate(found):
        assert Errors.of(actual_R[group_R == number], predicted_R[group_R == number]) == of_group
    assert errors(pairs) == sum(found, Errors())


@given(PAIRS)
def test_mae_is_no_more_than_rmse(pairs: list[tuple[int, int]]) -> None:
    found = errors(pairs)
    assert 0 <= found.mae <= found.rmse + 1e-12


def test_nothing_is_the_neutral_part_and_has_no_average() -> None:
    some = errors([(5, 4)])
    assert some == some + Errors()
    for figure in ("rmse", "mae", "mean_actual", "mean_predicted"):
        with pytest.raises(MetricError, match="no pair"):
            getattr(Errors(), figure)


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_a_missing_prediction_is_refused(missing: float) -> None:
    with pytest.raises(MetricError, match="1 of 2 predictions are missing"):
        Errors.of(np.array([3.0, 4.0]), np.array([3.0, missing]))


def test_ratings_without_a_prediction_each_are_refused() -> None:
    with pytest.raises(MetricError, match=r"\(2,\) ratings against \(1,\) predictions"):
        Errors.of(np.array([3.0, 4.0]), np.array([3.0]))


def test_sums_are_in_double_precision() -> None:
    many = np.full(10**6, 0.1, dtype=np.float32)
    found = Errors.of(np.zeros_like(many), many)
    assert float(np.float32(0.1)) == pytest.approx(found.mae, rel=1e-12)


def test_more_pairs_than_are_summed_at_once_are_all_counted() -> None:
    num_pairs = 2**20 + 2
    actual_R, predicted_R = np.zeros(num_pairs), np.arange(num_pairs) % 2 + 1.0
    whole = Errors(num_pairs, 2.5 * num_pairs, 1.5 * num_pairs, 0.0, 1.5 * num_pairs)
    assert whole == Errors.of(actual_R, predicted_R)
    by_prediction = GroupedErrors.of(actual_R, predicted_R, predicted_R.astype(np.int32), 3)
    assert [0, 2**19 + 1, 2**19 + 1] == by_prediction.count_G.tolist()
    assert whole == sum(by_prediction, Errors())


def test_a_prediction_that_is_missing_in_a_group_is_refused() -> None:
    with pytest.raises(MetricError, match="1 of 2 predictions are missing"):
        GroupedErrors.of(np.array([3.0, 4.0]), np.array([3.0, np.nan]), np.array([0, 1]), 2)
