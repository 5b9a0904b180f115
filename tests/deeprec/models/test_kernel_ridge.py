"""Both kernel regressions against the ridge regressions that they stand for, written out.

Shape legend: U users, M movies, F features, R rated cells.
"""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import sparse

from deeprec.config.models import KernelRidgeConfig
from deeprec.errors import TrainingError
from deeprec.models.baselines import Biases, fit_biases
from deeprec.models.kernel_ridge import fit_movie_weights, movie_kernel, residuals
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.kernel_ridge import MovieKernelRidge, UserKernelRidge

Matrix = npt.NDArray[np.float64]
Ratings = sparse.csr_array[np.float32]

UNRATED_MOVIE, IDLE_USER = 3, 5
CONFIGS = {
    "as told": KernelRidgeConfig(),
    "no has-rated": KernelRidgeConfig(rated_weight=0),
    "no scaling": KernelRidgeConfig(count_power=0, ridge=0.4),
    "by count": KernelRidgeConfig(count_power=1, rated_weight=2.5, ridge=0.2),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())


@pytest.fixture(scope="module")
def values_UM() -> Ratings:
    """Eleven users and seven movies; one of each without ratings, and some ratings of zero."""
    rng = np.random.default_rng(6)
    rated_UM = rng.random((11, 7)) < 0.6
    rated_UM[IDLE_USER], rated_UM[:, UNRATED_MOVIE] = False, False
    user, movie = np.nonzero(rated_UM)
    ratings_R = rng.integers(0, 6, len(user)).astype(np.float32)
    assert (ratings_R == 0).any()
    return sparse.csr_array((ratings_R, (user, movie)), shape=rated_UM.shape)


@pytest.fixture(scope="module")
def biases(values_UM: Ratings) -> Biases:
    return fit_biases(values_UM, user_damping=2.0, movie_damping=3.0)


def layer(biases: Biases) -> DampedBiases:
    movie_bias_M = torch.from_numpy(biases.movie_bias_M)
    return DampedBiases(biases.global_mean, movie_bias_M, biases.user_damping)


def rated_cells(values_UM: Ratings) -> npt.NDArray[np.bool_]:
    rated_UM = np.zeros(values_UM.shape, dtype=bool)
    for user in range(values_UM.shape[0]):
        own = slice(values_UM.indptr[user], values_UM.indptr[user + 1])
        rated_UM[user, values_UM.indices[own]] = True
    return rated_UM


def baseline(values_UM: Ratings, biases: Biases) -> Matrix:
    own_U1 = biases.user_bias_U(values_UM)[:, None].astype(np.float64)
    predicted_UM: Matrix = biases.global_mean + biases.movie_bias_M + own_U1
    return predicted_UM


def ridge_weights(features_RF: Matrix, target_R: Matrix, ridge: float) -> Matrix:
    gram_FF = features_RF.T @ features_RF + ridge * np.eye(features_RF.shape[1])
    return np.asarray(np.linalg.solve(gram_FF, features_RF.T @ target_R), dtype=np.float64)


def by_regressions_over_movies(
    everyone_UM: Ratings,
    user_1M: Ratings,
    own_row: int | None,
    biases: Biases,
    config: KernelRidgeConfig,
) -> Matrix:
    """One regression over the movies that a user has rated, on what others make of movies."""
    rated_UM = rated_cells(everyone_UM)
    left_UM = (everyone_UM.toarray() - baseline(everyone_UM, biases)) * rated_UM
    scale_M = np.maximum(rated_UM.sum(0), 1.0) ** -config.count_power
    others = [user for user in range(len(rated_UM)) if user != own_row]
    features_MF = np.concatenate([left_UM[others], config.rated_weight * rated_UM[others]]).T
    features_MF = features_MF * scale_M[:, None]
    own_M, baseline_M = rated_cells(user_1M)[0], baseline(user_1M, biases)[0]
    target_M = user_1M.toarray()[0] - baseline_M
    weights_F = ridge_weights(features_MF[own_M], target_M[own_M], config.ridge)
    predicted_M: Matrix = baseline_M + features_MF @ weights_F
    return predicted_M


def by_regressions_over_users(
    train_UM: Ratings, users_UM: Ratings, biases: Biases, config: KernelRidgeConfig
) -> Matrix:
    """One regression a movie over its raters, on what they make of all other movies."""

    def features(values_UM: Ratings) -> tuple[Matrix, Matrix]:
        rated_UM = rated_cells(values_UM)
        left_UM = (values_UM.toarray() - baseline(values_UM, biases)) * rated_UM
        scale_U1 = np.maximum(rated_UM.sum(1, keepdims=True), 1.0) ** -config.count_power
        return left_UM * scale_U1, config.rated_weight * rated_UM * scale_U1

    train, users = features(train_UM), features(users_UM)
    rated_UM, target_UM = rated_cells(train_UM), train_UM.toarray() - baseline(train_UM, biases)
    predicted_UM = baseline(users_UM, biases)
    for movie in range(train_UM.shape[1]):
        known_UF, asked_UF = (
            np.concatenate([np.delete(part_UM, movie, axis=1) for part_UM in parts], axis=1)
            for parts in (train, users)
        )
        raters_U = rated_UM[:, movie]
        weights_F = ridge_weights(known_UF[raters_U], target_UM[raters_U, movie], config.ridge)
        predicted_UM[:, movie] += asked_UF @ weights_F
    return predicted_UM


def movie_predictions(
    everyone_UM: Ratings,
    users_UM: Ratings,
    biases: Biases,
    config: KernelRidgeConfig,
    *,
    counted: bool,
    num_steps: int = 40,
) -> Matrix:
    kernel = movie_kernel(everyone_UM, biases, config)
    module = MovieKernelRidge(layer(biases), config.rated_weight, config.ridge, num_steps)
    predicted_UM = module(
        torch.from_numpy(users_UM.toarray()),
        torch.from_numpy(rated_cells(users_UM).astype(np.float32)),
        torch.from_numpy(kernel.kernel_MM),
        torch.from_numpy(kernel.scale_M),
        torch.full((users_UM.shape[0], 1), float(counted)),
    )
    found_UM: Matrix = predicted_UM.numpy()
    return found_UM


def share_unsolved(
    values_UM: Ratings, biases: Biases, config: KernelRidgeConfig, num_steps: int
) -> float:
    kernel = movie_kernel(values_UM, biases, config)
    module = MovieKernelRidge(layer(biases), config.rated_weight, config.ridge, num_steps)
    unsolved_U1 = module.unsolved(
        torch.from_numpy(values_UM.toarray()),
        torch.from_numpy(rated_cells(values_UM).astype(np.float32)),
        torch.from_numpy(kernel.kernel_MM),
        torch.from_numpy(kernel.scale_M),
        torch.ones(values_UM.shape[0], 1),
    )
    return float(unsolved_U1.max())


def user_predictions(
    train_UM: Ratings, users_UM: Ratings, biases: Biases, config: KernelRidgeConfig
) -> Matrix:
    weights = fit_movie_weights(train_UM, biases, config)
    module = UserKernelRidge(
        layer(biases),
        torch.from_numpy(weights.residual_MM),
        torch.from_numpy(weights.rated_MM),
        config.rated_weight,
        config.count_power,
    )
    rated_UM = torch.from_numpy(rated_cells(users_UM).astype(np.float32))
    found_UM: Matrix = module(torch.from_numpy(users_UM.toarray()), rated_UM).numpy()
    return found_UM


def new_users() -> Ratings:
    """Three who were not there: some ratings, one rating of zero, none."""
    ratings = (np.array([5, 1, 4, 0], dtype=np.float32), [0, 2, 6, 1], [0, 3, 4, 4])
    return sparse.csr_array(ratings, shape=(3, 7))


def test_residuals_are_what_biases_leave_of_rated_cells(values_UM: Ratings, biases: Biases) -> None:
    left_UM = residuals(values_UM, biases)
    expected_UM = (values_UM.toarray() - baseline(values_UM, biases)) * rated_cells(values_UM)
    assert values_UM.nnz == left_UM.nnz
    np.testing.assert_allclose(left_UM.toarray(), expected_UM, atol=1e-5)


def test_a_kernel_by_hand() -> None:
    values_UM = sparse.csr_array(np.array([[4, 2], [5, 0]], dtype=np.float32))
    biases = Biases(3.0, np.array([0.5, -0.5], dtype=np.float32), user_damping=1e9)
    kernel = movie_kernel(values_UM, biases, KernelRidgeConfig(rated_weight=2, count_power=1))
    # What is left: 0.5 and -0.5 of the first user, 1.5 of the second; counts are 2 and 1.
    assert [0.5, 1.0] == kernel.scale_M.tolist()
    expected = [[(0.25 + 2.25 + 4 + 4) / 4, (-0.25 + 4) / 2], [(-0.25 + 4) / 2, 0.25 + 4]]
    np.testing.assert_allclose(kernel.kernel_MM, expected, rtol=1e-5)


@every_config
def test_over_movies_each_user_is_a_ridge_regression_without_his_own_part(
    values_UM: Ratings, biases: Biases, config: KernelRidgeConfig
) -> None:
    expected = [
        by_regressions_over_movies(values_UM, values_UM[[user]], user, biases, config)
        for user in range(values_UM.shape[0])
    ]
    found_UM = movie_predictions(values_UM, values_UM, biases, config, counted=True)
    np.testing.assert_allclose(found_UM, expected, atol=2e-4)


@every_config
def test_over_movies_a_new_user_leaves_everybody_in(
    values_UM: Ratings, biases: Biases, config: KernelRidgeConfig
) -> None:
    expected = [
        by_regressions_over_movies(values_UM, new_users()[[user]], None, biases, config)
        for user in range(3)
    ]
    found_UM = movie_predictions(values_UM, new_users(), biases, config, counted=False)
    np.testing.assert_allclose(found_UM, expected, atol=2e-4)


@every_config
def test_over_users_each_movie_is_a_ridge_regression_without_its_own_part(
    values_UM: Ratings, biases: Biases, config: KernelRidgeConfig
) -> None:
    for users_UM in (values_UM, new_users()):
        expected_UM = by_regressions_over_users(values_UM, users_UM, biases, config)
        found_UM = user_predictions(values_UM, users_UM, biases, config)
        np.testing.assert_allclose(found_UM, expected_UM, atol=2e-4)


def test_conjugate_gradients_reach_the_exact_solution(values_UM: Ratings, biases: Biases) -> None:
    config = KernelRidgeConfig()
    exact = [
        by_regressions_over_movies(values_UM, values_UM[[user]], user, biases, config)
        for user in range(values_UM.shape[0])
    ]
    errors = [
        np.abs(
            movie_predictions(values_UM, values_UM, biases, config, counted=True, num_steps=steps)
            - exact
        ).max()
        for steps in (1, 7, 200)
    ]
    assert errors[0] > 1e-3
    assert max(errors[1:]) < 2e-4  # as many steps as ratings are enough, and more do no harm


def test_what_is_unsolved_goes_down_to_nothing(values_UM: Ratings, biases: Biases) -> None:
    unsolved = [
        share_unsolved(values_UM, biases, KernelRidgeConfig(), num_steps=steps)
        for steps in (1, 3, 40)
    ]
    assert unsolved == sorted(unsolved, reverse=True)
    assert unsolved[0] > 0.05
    assert unsolved[-1] < 1e-5


def test_a_ridge_that_is_lost_beside_the_kernel_is_named() -> None:
    ratings_M = np.random.default_rng(0).integers(1, 6, 40).astype(np.float32)
    alike_UM = sparse.csr_array(np.tile(ratings_M, (60, 1)))
    biases = Biases(3.0, np.zeros(40, dtype=np.float32), user_damping=5.0)
    config = KernelRidgeConfig(orientation="users", count_power=0, ridge=1e-9)
    with pytest.raises(TrainingError, match=r"60 users .* model\.ridge = 1e-09 .*count_power"):
        fit_movie_weights(alike_UM, biases, config)


def test_who_has_rated_nothing_gets_biases(values_UM: Ratings, biases: Biases) -> None:
    expected_M = (biases.global_mean + biases.movie_bias_M).tolist()
    config, idle_1M = KernelRidgeConfig(), values_UM[[IDLE_USER]]
    for counted in (True, False):
        over_movies_UM = movie_predictions(values_UM, idle_1M, biases, config, counted=counted)
        assert expected_M == pytest.approx(over_movies_UM[0].tolist(), abs=1e-6)
    over_users_UM = user_predictions(values_UM, idle_1M, biases, config)
    assert expected_M == pytest.approx(over_users_UM[0].tolist(), abs=1e-6)


def test_what_nobody_has_rated_gets_biases(values_UM: Ratings, biases: Biases) -> None:
    expected_U = baseline(values_UM, biases)[:, UNRATED_MOVIE]
    config = KernelRidgeConfig()
    over_movies_UM = movie_predictions(values_UM, values_UM, biases, config, counted=True)
    over_users_UM = user_predictions(values_UM, values_UM, biases, config)
    np.testing.assert_allclose(over_movies_UM[:, UNRATED_MOVIE], expected_U, atol=1e-5)
    np.testing.assert_allclose(over_users_UM[:, UNRATED_MOVIE], expected_U, atol=1e-5)


def test_a_movies_own_rating_adds_nothing_to_its_prediction(
    values_UM: Ratings, biases: Biases
) -> None:
    weights = fit_movie_weights(values_UM, biases, KernelRidgeConfig())
    assert not np.diag(weights.residual_MM).any()
    assert not np.diag(weights.rated_MM).any()


def test_progress_is_told_of_the_first_and_the_last_movie(
    values_UM: Ratings, biases: Biases
) -> None:
    told: list[tuple[int, int | None]] = []

    def tell(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        assert ("train", "movies", "cpu") == (what, unit, note)
        told.append((done, total))

    fit_movie_weights(values_UM, biases, KernelRidgeConfig(), tell)
    assert [(1, 7), (7, 7)] == told
