import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprec.errors import MetricError
from deeprec.metrics import Errors

PAIRS = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1)


def errors(pairs: list[tuple[int, int]]) -> Errors:
    actual_R, predicted_R = np.array(pairs, dtype=np.float32).T
    return Errors.of(actual_R, predicted_R)


def test_rmse_and_mae_by_hand() -> None:
    found = errors([(5, 4), (3, 3), (1, 4)])
    assert 3 == found.count
    assert math.sqrt((1 + 0 + 9) / 3) == pytest.approx(found.rmse)
    assert (1 + 0 + 3) / 3 == pytest.approx(found.mae)


@given(PAIRS, PAIRS)
def test_parts_add_up_to_the_whole(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    assert errors(first + second) == errors(first) + errors(second)


@given(PAIRS)
def test_mae_is_no_more_than_rmse(pairs: list[tuple[int, int]]) -> None:
    found = errors(pairs)
    assert 0 <= found.mae <= found.rmse + 1e-12


def test_nothing_is_the_neutral_part_and_has_no_average() -> None:
    some = errors([(5, 4)])
    assert some == some + Errors()
    for figure in ("rmse", "mae"):
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
