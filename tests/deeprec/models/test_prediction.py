import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from deeprec.models.prediction import best_unrated
from deeprec.ratings import RatingMatrix


@given(
    num_movies=st.integers(1, 400),
    top_n=st.integers(1, 12),
    density=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_the_best_are_those_that_sorting_everything_gives(
    num_movies: int, top_n: int, density: float, seed: int
) -> None:
    """Whether all columns are looked at or groups of them; no two values are equal here."""
    rng = np.random.default_rng(seed)
    predicted_BN = rng.permutation(5 * num_movies).reshape(5, num_movies).astype(np.float32)
    is_rated_BN = rng.random((5, num_movies)) < density
    values = sparse.csr_array(is_rated_BN.astype(np.float32))
    users = RatingMatrix(np.arange(5), np.arange(num_movies), values)
    before_BN = predicted_BN.copy()
    found_BT = best_unrated(predicted_BN, users, top_n)
    assert (np.where(is_rated_BN, -np.inf, before_BN) == predicted_BN).all()
    for row in range(5):
        order = np.argsort(-before_BN[row])
        expected = order[~is_rated_BN[row][order]][:top_n]
        padding = [-1] * (min(top_n, num_movies) - len(expected))
        assert [*expected.tolist(), *padding] == found_BT[row].tolist()


@given(num_movies=st.integers(1, 900), top_n=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_among_equals_each_movie_comes_once_and_none_that_is_rated(
    num_movies: int, top_n: int, seed: int
) -> None:
    """Whether a row's best are told apart by their values or, among equals, by nothing."""
    rng = np.random.default_rng(seed)
    predicted_BN = rng.integers(1, 6, (5, num_movies)).astype(np.float32)
    predicted_BN[:2] = rng.permutation(2 * num_movies).reshape(2, num_movies)
    is_rated_BN = rng.random((5, num_movies)) < 0.3
    values = sparse.csr_array(is_rated_BN.astype(np.float32))
    users = RatingMatrix(np.arange(5), np.arange(num_movies), values)
    before_BN = predicted_BN.copy()
    for row, found_T in enumerate(best_unrated(predicted_BN, users, top_n)):
        found_K = found_T[found_T >= 0]
        unrated = np.sort(before_BN[row][~is_rated_BN[row]])[::-1][:top_n]
        assert unrated.tolist() == before_BN[row][found_K].tolist()
        assert len(set(found_K.tolist())) == len(found_K)
        assert not is_rated_BN[row][found_K].any()
