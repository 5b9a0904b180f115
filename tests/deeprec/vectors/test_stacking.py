"""Shape legend: U users, M movies, R ratings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from scipy import sparse

from deeprec import ratings as ratings_module
from deeprec.ratings import UNDATED, RatingMatrix
from deeprec.vectors.stacking import Stack, unite

NUM_MOVIES = 4
Cells = dict[tuple[int, int], int]  # user and movie, and which of three parts
CELLS = st.dictionaries(
    st.tuples(st.integers(0, 6), st.integers(0, NUM_MOVIES - 1)), st.integers(0, 2)
)


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several runs of rows, in matrices of a few entries."""
    monkeypatch.setattr(ratings_module, "_ENTRIES_AT_ONCE", 3)


def matrix(cells: Cells, *, has_days: bool = True) -> RatingMatrix:
    """Users 10 to 16; the first cell is rated 0, the second 1, every third one is undated."""
    places = sorted(cells)
    rows = np.array([user for user, _ in places], dtype=np.int64)
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            np.arange(len(places), dtype=np.float32),
            np.array([movie for _, movie in places], dtype=np.int32),
            np.searchsorted(rows, np.arange(8)).astype(np.int32),
        ),
        shape=(7, NUM_MOVIES),
    )
    days_R = np.arange(100, 100 + len(places), dtype=np.int32)
    days_R[::3] = UNDATED
    return RatingMatrix(
        np.arange(10, 17), np.arange(NUM_MOVIES), values_UM, days_R if has_days else None
    )


def assert_equal(expected: RatingMatrix, found: RatingMatrix) -> None:
    np.testing.assert_array_equal(expected.user_ids_U, found.user_ids_U)
    np.testing.assert_array_equal(expected.movie_ids_M, found.movie_ids_M)
    np.testing.assert_array_equal(expected.values_UM.indptr, found.values_UM.indptr)
    np.testing.assert_array_equal(expected.values_UM.indices, found.values_UM.indices)
    np.testing.assert_array_equal(expected.values_UM.data, found.values_UM.data)
    np.testing.assert_array_equal(expected.days_R, found.days_R)


@given(CELLS)
@example_settings(max_examples=60)
def test_parts_of_a_matrix_are_the_matrix_again(cells: Cells) -> None:
    whole, part_R = matrix(cells), np.array([cells[place] for place in sorted(cells)])
    parts = [whole.select_ratings(part_R == part) for part in range(3)]
    assert_equal(whole, unite(*parts))


@given(CELLS, st.integers(1, 7))
@example_settings(max_examples=60)
def test_runs_of_users_are_the_matrix_again(cells: Cells, users_at_once: int) -> None:
    whole = matrix(cells)
    stack = Stack(7, whole.num_ratings, whole.movie_ids_M, has_days=True)
    for start in range(0, 7, users_at_once):
        stack.push(whole.select_rows(slice(start, start + users_at_once)))
    assert_equal(whole, stack.whole())


def test_days_are_left_out_where_some_have_none() -> None:
    cells = {(0, 0): 0, (0, 1): 1}
    undated = matrix({(0, 2): 0}, has_days=False)
    assert unite(matrix(cells), undated).days_R is None
    stack = Stack(7, 2, undated.movie_ids_M, has_days=False)
    stack.push(matrix(cells))
    assert stack.whole().days_R is None


def test_one_matrix_is_not_copied() -> None:
    whole = matrix({(0, 0): 0})
    assert unite(whole) is whole


def test_a_stack_that_misses_users_is_not_whole() -> None:
    stack = Stack(8, 1, np.arange(NUM_MOVIES), has_days=True)
    stack.push(matrix({(0, 0): 0}))
    with pytest.raises(AssertionError):
        stack.whole()
