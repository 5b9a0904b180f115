"""Exported models of every kind, held to the torch networks that they were made of.

Shape legend: U users, M movies, B users in a batch, C a code.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import sparse

from deeprec.config.models import (
    AutoencoderConfig,
    BiasConfig,
    KernelRidgeConfig,
    MemberModelConfig,
    RecurrentConfig,
)
from deeprec.config.training import ExportConfig, TrainConfig
from deeprec.errors import BundleError, ExportError
from deeprec.export.graphs import ExportReport
from deeprec.models.baselines import fit_biases
from deeprec.models.blends import BlendModel
from deeprec.models.interface import Model
from deeprec.models.learned_codes import ENCODER, USERS, CodeModel, write_user_codes
from deeprec.models.opening import GRAPH, open_model
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import Floats, Ids, RatingMatrix, RatingScale
from deeprec.training.autoencoders import FittedAutoencoder, build_network
from deeprec.training.epochs import FitResult
from deeprec.training.kernel_ridges import FittedMovieKernel, FittedUserKernel
from deeprec.training.material import Keeping, Material
from deeprec.training.members import fit_member

STARS = RatingScale(1, 5, 1)
NUM_USERS, NUM_MOVIES = 12, 7
IDLE = 4  # the row of a user without training ratings
RIDGE = 0.5
MOVIES = {"orientation": "movies", "output_activation": "identity", "hidden_layers": (5, 3)}


def ratings_of(values_UM: Floats, first_id: int = 100) -> RatingMatrix:
    num_users, num_movies = values_UM.shape
    user_ids_U = first_id + 2 * np.arange(num_users, dtype=np.int64)
    return RatingMatrix(
        user_ids_U, np.arange(10, 10 + num_movies, dtype=np.int64), sparse.csr_array(values_UM)
    )


def material_of(train: RatingMatrix) -> Material:
    damping = BiasConfig(user_damping=2, movie_damping=3)
    biases = fit_biases(train.values_UM, damping.user_damping, damping.movie_damping)
    return Material(train, None, None, STARS, biases, damping)


@pytest.fixture(scope="module")
def material() -> Material:
    rng = np.random.default_rng(8)
    rated_UM = rng.random((NUM_USERS, NUM_MOVIES)) < 0.6
    rated_UM[IDLE] = False
    values_UM = np.where(rated_UM, rng.integers(1, 6, rated_UM.shape), 0).astype(np.float32)
    return material_of(ratings_of(values_UM))


@pytest.fixture(scope="module")
def everyone(material: Material) -> RatingMatrix:
    """The training ratings, some that came since, the idle user's first, and two new users."""
    rng = np.random.default_rng(9)
    known_UM = material.train.values_UM.toarray()
    later_UM = np.where(rng.random(known_UM.shape) < 0.2, rng.integers(1, 6, known_UM.shape), 0)
    values_UM = np.where(known_UM > 0, known_UM, later_UM).astype(np.float32)
    values_UM[IDLE, :2] = [5, 1]
    new_UM = np.array([[5, 0, 0, 2, 0, 0, 1], [0, 4, 0, 0, 0, 0, 0]], dtype=np.float32)
    return ratings_of(np.concatenate([values_UM, new_UM]))


def fitted_network(material: Material, config: AutoencoderConfig) -> FittedAutoencoder:
    """A network with every parameter as if trained; over movies, of those users who have rated."""
    is_rater_U = np.diff(material.train.values_UM.indptr) > 0
    if config.orientation == "movies":
        material = replace(material, train=material.train.select_users(is_rater_U))
    network = build_network(config, material, seed=3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return FittedAutoencoder(config, network, FitResult((), 0, "cpu"), RIDGE)


def dense(values: sparse.csr_array[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
    ratings = torch.from_numpy(values.toarray())
    return ratings, (ratings != 0).float()


def by_transpose(
    network: RatingPredictor, material: Material, everyone: RatingMatrix
) -> tuple[RatingMatrix, Floats]:
    """The users that the network knows, and its predictions for them from movies' whole vectors."""
    known = everyone.select_users(np.isin(everyone.user_ids_U, raters_of(material.train)))
    with torch.no_grad():
        predicted_MT = network.eval()(*dense(sparse.csr_array(known.values_UM.T)))
    return known, predicted_MT.numpy().T


def raters_of(ratings: RatingMatrix) -> Ids:
    """Who has rated anything."""
    return ratings.user_ids_U[np.diff(ratings.values_UM.indptr) > 0]


def rated_as_before(ratings: RatingMatrix, before: RatingMatrix) -> npt.NDArray[np.bool_]:
    """Whose ratings are what they were; those who have any and were there already."""
    old = dict(zip(before.user_ids_U.tolist(), before.values_UM.toarray().tolist(), strict=True))
    now = zip(ratings.user_ids_U.tolist(), ratings.values_UM.toarray().tolist(), strict=True)
    return np.array([any(row) and row == old.get(user) for user, row in now])


KINDS: dict[str, AutoencoderConfig | KernelRidgeConfig] = {
    "users": AutoencoderConfig(hidden_layers=(5, 3)),
    "users, all options": AutoencoderConfig(
        hidden_layers=(5, 3), center="biases", has_rated=True, kernel_size=2, decoder_layers=(4,)
    ),
    "movies": AutoencoderConfig(**MOVIES),
    "movies, centred": AutoencoderConfig(**MOVIES, center="biases", encoder_dropout=0.5),
    "movies, has rated": AutoencoderConfig(**MOVIES, has_rated=True, tied=True, code_dropout=0.5),
    "movies, kernels": AutoencoderConfig(**MOVIES, kernel_size=2),
    "kernel over movies": KernelRidgeConfig(solver_steps=NUM_MOVIES),
    "kernel over users": KernelRidgeConfig(orientation="users"),
}
every_code_model = pytest.mark.parametrize("name", [k for k in KINDS if k.startswith("movies")])


Fitted = FittedAutoencoder | FittedUserKernel | FittedMovieKernel


def fitted_of(name: str, material: Material) -> Fitted:
    config = KINDS[name]
    if isinstance(config, AutoencoderConfig):
        return fitted_network(material, config)
    fitted = fit_member(config, TrainConfig(), material, Keeping())
    assert isinstance(fitted, FittedUserKernel | FittedMovieKernel)
    return fitted


@dataclass(frozen=True)
class Exported:
    """A model of one kind, its files, and what they were made of."""

    fitted: Fitted
    folder: Path
    report: ExportReport
    model: Model

    @property
    def network(self) -> RatingPredictor:
        assert isinstance(self.fitted, FittedAutoencoder)
        return self.fitted.network


Export = Callable[[str], Exported]


@pytest.fixture(scope="module")
def export(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Exports a kind once, in train mode: dropout must be off all the same."""

    @lru_cache
    def once(name: str) -> Exported:
        fitted, folder = fitted_of(name, material), tmp_path_factory.mktemp("exported")
        if isinstance(fitted, FittedAutoencoder):
            fitted.network.train()
        report = fitted.export(folder, material, ExportConfig())
        return Exported(fitted, folder, report, opened(folder, name, material))

    return once


def opened(folder: Path, name: str, material: Material) -> Model:
    return open_model(folder, KINDS[name], material.biases, fold_in_ridge=RIDGE, device="cpu")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_agrees_with_torch(name: str, export: Export, everyone: RatingMatrix) -> None:
    model, report = export(name).model, export(name).report
    assert 0 <= report.largest_difference <= 1e-4 == report.tolerance
    side = model.movie_side(everyone)
    assert bool(side) == model.looks_at_movies
    whole_UM = model.predict(everyone, side, counted=True)
    assert (NUM_USERS + 2, NUM_MOVIES) == whole_UM.shape
    assert np.isfinite(whole_UM).all()
    for row in (0, IDLE, NUM_USERS + 1):  # alone as in any batch
        alone = everyone.select_rows(slice(row, row + 1))
        np.testing.assert_allclose(
            model.predict(alone, side, counted=True)[0], whole_UM[row], atol=1e-5
        )


@every_code_model
def test_over_movies_a_score_is_the_transpose_by_hand(
    name: str, export: Export, material: Material, everyone: RatingMatrix
) -> None:
    model = export(name).model
    for ratings, num_unchanged in ((material.train, NUM_USERS - 1), (everyone, 7)):
        known, expected_UM = by_transpose(export(name).network, material, ratings)
        assert NUM_USERS - 1 == known.num_users
        is_unchanged_U = rated_as_before(known, material.train)
        assert num_unchanged == is_unchanged_U.sum()
        found_UM = model.predict(known, model.movie_side(ratings), counted=True)
        np.testing.assert_allclose(found_UM[is_unchanged_U], expected_UM[is_unchanged_U], atol=1e-4)


@every_code_model
def test_over_movies_who_is_new_or_has_rated_since_gets_the_code_that_fits_him_best(
    name: str, export: Export, material: Material, everyone: RatingMatrix
) -> None:
    model, is_centred = export(name).model, export(name).network.biases is not None
    assert isinstance(model, CodeModel)
    side = model.movie_side(everyone)
    mean_C = model.known.codes_TC.mean(0)
    movie_codes_MC = side["movie_codes"].astype(np.float64)
    new = everyone.select_users(~rated_as_before(everyone, material.train))
    is_known_U = np.isin(new.user_ids_U, model.known.user_ids_T)
    assert 4 == is_known_U.sum()
    assert [108, 124, 126] == new.user_ids_U[~is_known_U].tolist()  # the idle one among them
    found_UC = model.user_codes(new, side, counted=True)
    num_units = mean_C.size - (2 if is_centred else 1)
    held_C = np.array([RIDGE] * num_units + [2.0] + [1e9] * is_centred)
    for row in range(new.num_users):
        own = new.values_UM[[row]]
        seen_RC = movie_codes_MC[own.indices]
        gram_CC = seen_RC.T @ seen_RC + np.diag(held_C)
        expected_C = np.linalg.solve(gram_CC, seen_RC.T @ own.data + held_C * mean_C)
        np.testing.assert_allclose(found_UC[row], expected_C, atol=1e-3)


def test_over_movies_who_is_not_counted_is_folded_in_though_known(
    export: Export, everyone: RatingMatrix
) -> None:
    model = export("movies").model
    side = model.movie_side(everyone)
    first = everyone.select_rows(slice(0, 1))
    renamed = RatingMatrix(np.array([999_999]), first.movie_ids_M, first.values_UM)
    counted_1M = model.predict(first, side, counted=True)
    new_1M = model.predict(first, side, counted=False)
    assert not np.allclose(counted_1M, new_1M, atol=1e-3)
    np.testing.assert_array_equal(new_1M, model.predict(renamed, side, counted=True))


@pytest.mark.parametrize("rating", [5, 3, 0], ids=["one more", "another", "one less"])
def test_over_movies_a_known_user_who_rates_anew_is_a_newcomer_with_his_ratings(
    rating: int, export: Export, material: Material
) -> None:
    model, train = export("movies").model, material.train
    assert isinstance(model, CodeModel)
    side = model.movie_side(train)
    row_M = train.values_UM.toarray()[0]
    column = int(np.flatnonzero((row_M == 0) if rating == 5 else (row_M > 0) & (row_M != 3))[0])
    row_M[column] = rating
    changed = RatingMatrix(train.user_ids_U[:1], train.movie_ids_M, sparse.csr_array([row_M]))
    newcomer = replace(changed, user_ids_U=np.array([999_999]))
    found_1M = model.predict(changed, side, counted=True)
    np.testing.assert_array_equal(model.predict(newcomer, side, counted=True), found_1M)
    unchanged = train.select_rows(slice(0, 1))
    np.testing.assert_array_equal(
        model.known.codes_TC[:1], model.user_codes(unchanged, side, counted=True)
    )
    assert not np.allclose(model.predict(unchanged, side, counted=True), found_1M, atol=1e-3)


def test_over_movies_a_user_of_whom_nothing_is_known_is_the_mean_of_all(
    export: Export, material: Material
) -> None:
    model = export("movies").model
    assert isinstance(model, CodeModel)
    side = model.movie_side(material.train)
    idle = material.train.select_rows(slice(IDLE, IDLE + 1))
    expected_M = side["movie_codes"] @ model.known.codes_TC.mean(0)
    np.testing.assert_allclose(model.predict(idle, side, counted=True)[0], expected_M, atol=1e-5)


def test_nothing_is_learned_of_users_without_training_ratings(material: Material) -> None:
    config, told = AutoencoderConfig(**MOVIES), TrainConfig(num_epochs=2, device="cpu")
    dev = ratings_of(np.eye(NUM_USERS, NUM_MOVIES, dtype=np.float32) * 3)
    fitted = fit_member(config, told, replace(material, dev=dev), Keeping())
    assert isinstance(fitted, FittedAutoencoder)
    assert NUM_USERS - 1 == len(fitted.network.autoencoder.last_weight())


@pytest.mark.parametrize("name", ["movies", "kernel over movies"])
def test_the_movies_side_follows_new_ratings(
    name: str, export: Export, material: Material, everyone: RatingMatrix
) -> None:
    model = export(name).model
    first = material.train.select_rows(slice(0, 1))
    before = model.predict(first, model.movie_side(material.train), counted=True)
    after = model.predict(first, model.movie_side(everyone), counted=True)
    assert not np.allclose(before, after, atol=1e-3)


def test_a_blend_is_the_weighted_sum_of_its_members(export: Export, everyone: RatingMatrix) -> None:
    # One name begins like another: each member must get its own side, and nothing else.
    names = {"k": "kernel over movies", "k-two": "movies", "k-two-three": "users"}
    members = {name: export(kind).model for name, kind in names.items()}
    blend = BlendModel(members, {"k": 0.5, "k-two": 0.75, "k-two-three": -0.25}, intercept=0.1)
    side = blend.movie_side(everyone)
    assert {"k.kernel", "k.scale", "k-two.movie_codes"} == set(side)
    expected_UM = 0.1 + sum(
        weight * members[name].predict(everyone, members[name].movie_side(everyone), counted=True)
        for name, weight in blend.weights.items()
    )
    found_UM = blend.predict(everyone, side, counted=True)
    np.testing.assert_allclose(found_UM, expected_UM, atol=1e-5)
    assert blend.looks_at_movies
    assert not BlendModel({"k-two-three": members["k-two-three"]}, {}, 0).looks_at_movies


@pytest.mark.parametrize("name", ["movies", "kernel over movies"])
@pytest.mark.parametrize("bad", [float("nan"), 1e7], ids=["not a number", "huge"])
def test_a_graph_that_disagrees_is_refused(
    name: str, bad: float, material: Material, tmp_path: Path
) -> None:
    fitted = fitted_of(name, material)
    if isinstance(fitted, FittedAutoencoder):
        with torch.no_grad():
            fitted.network.autoencoder.last_weight().mul_(bad)
    else:
        fitted.module.biases.column_bias_N.mul_(bad)
    with pytest.raises(ExportError, match=r"differ by .* export\.tolerance allows|is not solved"):
        fitted.export(tmp_path, material, ExportConfig(tolerance=1e-12))


def test_regressions_that_the_steps_do_not_solve_are_refused(
    material: Material, tmp_path: Path
) -> None:
    config = KernelRidgeConfig(solver_steps=2, count_power=0)
    fitted = fit_member(config, TrainConfig(), material, Keeping())
    named = r"model\.ridge \(now 1\.5\), model\.count_power \(now 0\) or model\.solver_steps"
    with pytest.raises(ExportError, match=f"after 2 steps .* is not solved: .* raise {named}"):
        fitted.export(tmp_path, material, ExportConfig())


def shorten_codes(folder: Path, material: Material) -> None:
    codes_UC = np.zeros((NUM_USERS, 6), dtype=np.float32)
    write_user_codes(folder, material.train, codes_UC)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder, _: (folder / USERS).unlink(), "not a bundle's user codes"),
        (lambda folder, _: (folder / USERS).write_bytes(b"codes"), "not a bundle's user codes"),
        (shorten_codes, "the encoder takes 11 users, users.parquet has 12"),
        (
            lambda folder, _: shutil.copy(folder / "other.onnx", folder / ENCODER),
            "the encoder takes 7 users, users.parquet has 11",
        ),
        (lambda folder, _: (folder / ENCODER).unlink(), "onnxruntime cannot load this graph"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    spoil: Callable[[Path, Material], Any],
    message: str,
    export: Export,
    material: Material,
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(export("movies").folder, tmp_path / "spoilt")
    shutil.copy(export("users").folder / GRAPH, folder / "other.onnx")
    spoil(folder, material)
    with pytest.raises(BundleError, match=message):
        opened(folder, "movies", material)


def test_a_graph_of_other_movies_is_refused(export: Export, material: Material) -> None:
    folder, config = export("kernel over users").folder, KINDS["kernel over users"]
    fewer = replace(material.biases, movie_bias_M=np.zeros(3, dtype=np.float32))
    with pytest.raises(BundleError, match="the graph takes 7 movies, the vocabulary has 3"):
        open_model(folder, config, fewer, device="cpu")


RECURRENT = RecurrentConfig(embedding_size=3, state_size=3, num_dynamic=2, num_stationary=2)
LBFGS = TrainConfig(optimizer="lbfgs", learning_rate=1, loss="sum", l2=0.3, device="cpu")
ADAM = TrainConfig(optimizer="adam", learning_rate=0.01, weight_decay=0.1, device="cpu")
TRAINED: dict[str, tuple[MemberModelConfig, TrainConfig]] = {
    "users": (KINDS["users"], ADAM),
    "users, linear, re-fed": (
        AutoencoderConfig(hidden_layers=(4,), output_activation="identity"),
        ADAM.model_copy(update={"refeed_steps": 1}),
    ),
    "users, sigmoid, hidden": (
        AutoencoderConfig(hidden_layers=(4,), output_activation="sigmoid"),
        ADAM.model_copy(update={"hide_fraction": 0.3}),
    ),
    "users, all options": (KINDS["users, all options"], LBFGS),
    "users, re-fed to themselves": (
        AutoencoderConfig(hidden_layers=(4,), center="biases"),
        ADAM.model_copy(update={"refeed_steps": 1, "refeed_target": "output"}),
    ),
    "movies": (KINDS["movies"], LBFGS),
    "movies, centred": (KINDS["movies, centred"], LBFGS),
    "movies, kernels": (KINDS["movies, kernels"], LBFGS),
    "kernel over movies": (KINDS["kernel over movies"], ADAM),
    "kernel over users": (KINDS["kernel over users"], ADAM),
    "recurrent": (RECURRENT, ADAM),
}
LEFT_BY_BIASES = [name for name in TRAINED if name.startswith("kernel") or "centred" in name]


def moved(ratings: RatingMatrix, factor: float, added: float) -> RatingMatrix:
    """The same on another scale; each on a day of its own."""
    values_UM = ratings.values_UM.copy()
    values_UM.data = (factor * values_UM.data + added).astype(np.float32)
    days_R = np.arange(values_UM.nnz, dtype=np.int32)
    return replace(ratings, values_UM=values_UM, days_R=days_R)


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_of_ratings_on_another_scale_is_the_same_model(
    name: str, material: Material, everyone: RatingMatrix, tmp_path: Path
) -> None:
    """To the bit, nearly, where nothing is added and the factor is a power of two."""
    config, told = TRAINED[name]
    other = (20.0, 3.0) if name in LEFT_BY_BIASES else (0.25, 0.0)
    found = []
    for a, b in ((1.0, 0.0), other):
        scale = RatingScale(a * STARS.minimum + b, a * STARS.maximum + b)
        assert a == scale.unit
        train = moved(material.train, a, b)
        dev = train.select_ratings(np.arange(train.num_ratings) % 3 == 0)
        material_here = replace(material_of(train), scale=scale, dev=dev)
        settings = told.model_copy(update={"num_epochs": 3})
        fitted = fit_member(config, settings, material_here, Keeping())
        folder = tmp_path / str(a)
        folder.mkdir()
        report = fitted.export(folder, material_here, ExportConfig())
        assert report.tolerance == pytest.approx(1e-4 * a)
        model = open_model(
            folder,
            config,
            material_here.biases,
            fold_in_ridge=fitted.fold_in_ridge,
            unit=scale.unit,
            device="cpu",
        )
        here = moved(everyone, a, b)
        predicted_UM = model.predict(here, model.movie_side(here), counted=True)
        rmse = [[e.train_rmse, e.dev_rmse or 0] for e in fitted.result.epochs]
        found.append(((predicted_UM - b) / a, np.array(rmse) / a))
    (expected_UM, expected_rmse), (found_UM, found_rmse) = found
    tolerance = 1e-3 if name in LEFT_BY_BIASES else 1e-5
    np.testing.assert_allclose(found_UM, expected_UM, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found_rmse, expected_rmse, rtol=tolerance)
