"""Shape legend: U users, M movies, R ratings."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from scipy import sparse

from deeprec import ratings as ratings_module
from deeprec.models.baselines import Biases, Sums, fit_biases
from deeprec.ratings import Floats

UNRATED = 0


def ratings(rows: list[list[int]]) -> sparse.csr_array[np.float32]:
    return sparse.csr_array(np.array(rows, dtype=np.float32))


MATRICES = st.integers(1, 5).flatmap(
    lambda num_movies: st.lists(
        st.lists(st.integers(UNRATED, 5), min_size=num_movies, max_size=num_movies),
        min_size=1,
        max_size=6,
    )
)


def test_ratings_that_are_a_sum_of_biases_are_found_whole() -> None:
    # 3 + user (-1, 1) + movie (0, 1, -1), every cell rated, nothing damped.
    biases = fit_biases(ratings([[2, 3, 1], [4, 5, 3]]), user_damping=0, movie_damping=0)
    assert 3 == pytest.approx(biases.global_mean)
    assert [0, 1, -1] == pytest.approx(biases.movie_bias_M.tolist(), abs=1e-6)
    user_bias_U = biases.user_bias_U(ratings([[2, 3, 1], [4, 5, 3]]))
    assert [-1, 1] == pytest.approx(user_bias_U.tolist(), abs=1e-6)


def test_damping_is_counted_in_ratings() -> None:
    biases = Biases(3.0, np.array([1.0, 0.0], dtype=np.float32), user_damping=2.0)
    # (5 - 4) + (4 - 3) over two ratings and two of damping; then 5 - 4 over one and two.
    user_bias_U = biases.user_bias_U(ratings([[5, 4], [5, UNRATED], [UNRATED, UNRATED]]))
    assert [2 / 4, 1 / 3, 0] == pytest.approx(user_bias_U.tolist())


@pytest.mark.parametrize("damping", [0.0, 5.0])
def test_who_has_no_ratings_has_no_bias(damping: float) -> None:
    values_UM = ratings([[4, UNRATED], [UNRATED, UNRATED]])
    biases = fit_biases(values_UM, damping, damping)
    assert 0 == biases.movie_bias_M[1]
    assert 0 == biases.user_bias_U(values_UM)[1]


def test_a_rating_of_zero_is_a_rating() -> None:
    two_ratings = (np.array([0, 4], dtype=np.float32), np.array([0, 1]), np.array([0, 2]))
    assert 2.0 == fit_biases(sparse.csr_array(two_ratings, shape=(1, 2)), 5, 5).global_mean


@given(MATRICES.filter(lambda rows: any(map(any, rows))), st.floats(0.5, 20))
@example_settings(max_examples=40)
def test_adding_to_every_rating_moves_the_mean_alone(rows: list[list[int]], damping: float) -> None:
    values_UM = ratings(rows)
    raised_UM = values_UM.copy()
    raised_UM.data += 1
    low, high = (fit_biases(matrix, damping, damping) for matrix in (values_UM, raised_UM))
    assert low.global_mean + 1 == pytest.approx(high.global_mean)
    np.testing.assert_allclose(low.movie_bias_M, high.movie_bias_M, atol=1e-5)
    np.testing.assert_allclose(low.user_bias_U(values_UM), high.user_bias_U(raised_UM), atol=1e-5)


@given(MATRICES.filter(lambda rows: any(map(any, rows))), st.floats(5, 20))
@example_settings(max_examples=40)
def test_the_fit_is_where_neither_side_wants_to_move(rows: list[list[int]], damping: float) -> None:
    values_UM = ratings(rows)
    biases = fit_biases(values_UM, damping, damping)
    user_R, movie_R = values_UM.nonzero()
    user_bias_U = biases.user_bias_U(values_UM)
    left_R = values_UM.data - biases.global_mean - user_bias_U[user_R]
    pull_M = np.bincount(movie_R, left_R - biases.movie_bias_M[movie_R], len(rows[0]))
    np.testing.assert_allclose(pull_M, damping * biases.movie_bias_M, atol=1e-2)


def in_one_piece(values_UM: sparse.csr_array[np.float32], damping: float) -> Biases:
    """The same sums, each over all ratings at once."""
    row_R = np.repeat(np.arange(values_UM.shape[0]), np.diff(values_UM.indptr))
    column_R, rating_R = values_UM.indices, values_UM.data.astype(np.float64)
    mean = float(rating_R.mean())

    def means(left_R: Sums, group_R: npt.NDArray[np.integer], num_groups: int) -> Floats:
        total_G = np.bincount(group_R, left_R, num_groups)
        return (total_G / (np.bincount(group_R, minlength=num_groups) + damping)).astype(np.float32)

    user_bias_U = np.zeros(values_UM.shape[0], dtype=np.float32)
    for _ in range(20):
        left_R = rating_R - mean - user_bias_U[row_R]
        movie_bias_M = means(left_R, column_R, values_UM.shape[1])
        left_R = rating_R - mean - movie_bias_M[column_R]
        user_bias_U = means(left_R, row_R, values_UM.shape[0])
    return Biases(mean, movie_bias_M, damping)


@pytest.mark.parametrize("entries_at_once", [1, 7, 2**18])
def test_runs_of_rows_leave_not_a_bit_changed(
    entries_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    values_UM = ratings((rng.integers(1, 6, (50, 9)) * (rng.random((50, 9)) < 0.4)).tolist())
    expected = in_one_piece(values_UM, 5.0)
    expected_bias_U = expected.user_bias_U(values_UM)
    monkeypatch.setattr(ratings_module, "_ENTRIES_AT_ONCE", entries_at_once)
    found = fit_biases(values_UM, 5.0, 5.0)
    assert expected.global_mean == found.global_mean
    np.testing.assert_array_equal(expected.movie_bias_M, found.movie_bias_M)
    np.testing.assert_array_equal(expected_bias_U, expected.user_bias_U(values_UM))
