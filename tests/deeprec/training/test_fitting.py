"""Blends, and models fitted again to train and dev: several fits in one training."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import numpy.typing as npt
import pytest

from deeprec.config.models import BlendConfig
from deeprec.config.run import Config
from deeprec.config.training import TrainConfig
from deeprec.errors import BundleError, MetricError, SplitError
from deeprec.evaluation.evaluate import evaluate
from deeprec.home import Home
from deeprec.models.blends import BlendModel
from deeprec.models.bundles import Bundle, Manifest, open_bundle
from deeprec.ratings import RatingMatrix
from deeprec.scoring.score import score
from deeprec.splits import NUM_SEEDS, FileSplit, LastKSplit, Part
from deeprec.training.blend_weights import fit_weights
from deeprec.training.fitting import told_members, weigh_members
from deeprec.training.material import Material
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize, read_split
from deeprec.warehouse.opening import open_warehouse

if TYPE_CHECKING:
    from tests.deeprec.training.conftest import KillAt, Predictions, TrainOnFiles

MEMBERS: list[dict[str, Any]] = [
    {
        "name": "users",
        "model": {"kind": "autoencoder", "hidden_layers": [4], "encoder_dropout": 0.3},
        "train": {"num_epochs": 3},
    },
    {
        "name": "movies",
        "model": {
            "kind": "autoencoder",
            "orientation": "movies",
            "hidden_layers": [3],
            "output_activation": "identity",
            "center": "biases",
        },
        "train": {"num_epochs": 4, "optimizer": "lbfgs", "loss": "sum", "l2": 2.0, "patience": 1},
    },
    {"name": "kernel", "model": {"kind": "kernel_ridge", "solver_steps": 8}},
]
SHARES = {"kind": "blend", "members": MEMBERS, "ridge": 0.1}


def with_values(config: Config, **values: Any) -> Config:  # noqa: ANN401 - whatever Config takes
    return Config.model_validate({**config.model_dump(), **values})


@pytest.fixture(scope="module")
def blend_config(tiny_config: Config) -> Config:
    return with_values(tiny_config, name="blend", model=SHARES)


@pytest.fixture(scope="module")
def _blended(
    _trained: Path, blend_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = shutil.copytree(_trained, tmp_path_factory.mktemp("blended") / "home")
    train(Home(path), blend_config)
    return path


@pytest.fixture
def blended_home(_blended: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(_blended, tmp_path / "blended"))


@pytest.fixture(scope="module")
def refit_config(tiny_config: Config) -> Config:
    overfitting = tiny_config.train.model_copy(
        update={"num_epochs": 12, "patience": 2, "learning_rate": 0.02}
    )
    return tiny_config.model_copy(update={"name": "again", "refit": True, "train": overfitting})


@pytest.fixture(scope="module")
def _refitted(
    _trained: Path, refit_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = shutil.copytree(_trained, tmp_path_factory.mktemp("refitted") / "home")
    train(Home(path), refit_config)
    return path


@pytest.fixture
def refitted_home(_refitted: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(_refitted, tmp_path / "refitted"))


def bundle_of(home: Home, config: Config) -> Bundle:
    (path,) = home.models.glob(f"{config.name}-*")
    return open_bundle(path)


def test_a_blend_is_sealed_with_every_members_files(
    blended_home: Home, blend_config: Config
) -> None:
    bundle = bundle_of(blended_home, blend_config)
    files = {str(p.relative_to(bundle.path)) for p in bundle.path.rglob("*") if p.is_file()}
    expected = {"kernel/model.onnx", "movies.parquet"}
    of_users = ("model.onnx", "users.npz", "users.onnx", "products.onnx", "movies.npy")
    of_movies = ("model.onnx", "movies.onnx", "products.onnx", "users.parquet")
    expected |= {f"users/{name}" for name in of_users}
    expected |= {f"movies/{name}" for name in of_movies}
    assert expected == set(bundle.manifest.digests)
    assert {*expected, "manifest.json"} == files
    assert ("train",) == bundle.manifest.trained_on
    told = {member.name: member for member in bundle.manifest.members}
    assert ["users", "movies", "kernel"] == list(told)
    assert (2.0, 0.0) == (told["movies"].fold_in_ridge, told["kernel"].fold_in_ridge)
    assert (0, 0) == (told["kernel"].num_epochs, told["kernel"].best_epoch)
    assert all(member.dev_rmse is not None for member in told.values())


def test_a_members_seed_goes_on_from_the_first_after_the_last() -> None:
    member = {"train": {"seed": NUM_SEEDS - 1}}
    members = [{"name": "one", **member}, {"name": "two", "model": {"kind": "kernel_ridge"}}]
    told = {"model": {"kind": "blend", "members": members}}
    one, two = told_members(Config.model_validate({**told, "train": {"seed": 3}}))
    assert (2, 3) == (one.train.seed, two.train.seed)


def test_what_does_nothing_for_a_blend_is_said(
    blended_home: Home, blend_config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    told = {"seed": 3, "momentum": 0.5, "num_epochs": TrainConfig().num_epochs}
    config = with_values(blend_config, train=told)
    assert {"train.momentum": "for a blend"} == config.idle_keys
    assert {} == with_values(config, model={"kind": "autoencoder"}).idle_keys
    train(blended_home, blend_config)
    assert "train.num_epochs does nothing for a blend" in caplog.messages


def test_a_blends_weights_are_those_that_dev_asks_for(
    blended_home: Home, blend_config: Config
) -> None:
    bundle, split = bundle_of(blended_home, blend_config), blend_config.split
    model = bundle.model("cpu")
    assert isinstance(model, BlendModel)
    with open_warehouse(blended_home) as warehouse:
        ratings = read_split(warehouse, split)
    movies = bundle.vocabulary.movie_ids_M
    known, dev = (ratings.part(part).restrict_movies(movies) for part in (Part.TRAIN, Part.DEV))
    each = model.predict_each(known, model.movie_side(known), counted=True)
    row_R = np.repeat(np.arange(dev.num_users), np.diff(dev.values_UM.indptr))
    predicted_RK = np.stack([a[row_R, dev.values_UM.indices] for a in each.values()], axis=1)
    expected = fit_weights(predicted_RK, dev.values_UM.data, ridge=0.1)
    found = [member.weight for member in bundle.manifest.members]
    assert expected.weights_K.tolist() == pytest.approx(found, abs=1e-3)
    assert expected.intercept == pytest.approx(bundle.manifest.intercept, abs=1e-3)
    error_RK = predicted_RK.clip(1, 5) - dev.values_UM.data[:, None]
    assert np.sqrt(np.square(error_RK).mean(0)).tolist() == pytest.approx(
        [member.dev_rmse for member in bundle.manifest.members], abs=1e-3
    )


def test_users_without_training_ratings_do_not_weigh_a_blend(
    blended_home: Home, blend_config: Config
) -> None:
    bundle = bundle_of(blended_home, blend_config)
    with open_warehouse(blended_home) as warehouse:
        ratings = read_split(warehouse, blend_config.split)
    movies = bundle.vocabulary.movie_ids_M
    train, dev = (ratings.part(part).restrict_movies(movies) for part in (Part.TRAIN, Part.DEV))
    is_cold_U = np.arange(train.num_users) % 2 == 0

    def of(users: RatingMatrix, keep_U: npt.NDArray[np.bool_]) -> RatingMatrix:
        return users.select_ratings(np.repeat(keep_U, np.diff(users.values_UM.indptr)))

    def weighed(dev: RatingMatrix) -> Manifest:
        known = of(train, ~is_cold_U)
        scale, biases = bundle.manifest.scale, bundle.biases
        return weigh_members(bundle, Material(known, dev, None, scale, biases, blend_config.biases))

    assert weighed(of(dev, ~is_cold_U)) == weighed(dev)
    with pytest.raises(MetricError, match=r"^0 held-out.*of users who are in train too"):
        weighed(of(dev, is_cold_U))


def test_a_blend_is_evaluated_scored_and_published_like_any_other(
    blended_home: Home, blend_config: Config
) -> None:
    evaluated = evaluate(blended_home, blend_config)
    assert evaluated.figure("model").num_ratings == evaluated.figure("bias").num_ratings > 0
    report = score(blended_home, blend_config)
    assert (41, 26) == (report.num_users, report.num_movies)
    with duckdb.connect(str(report.path), read_only=True) as connection:
        counts = connection.execute(
            "select count(*), count(distinct (user_id, movie_id)), "
            "count(*) filter (predicted_rating not between 1 and 5) from predicted_ratings"
        ).fetchall()
        found = dict(
            connection.execute(
                "select movie_id, predicted_rating from predicted_ratings where user_id = 1003"
            ).fetchall()
        )
    assert [(41 * 26, 41 * 26, 0)] == counts
    bundle = bundle_of(blended_home, blend_config)
    model, movies = bundle.model("cpu"), bundle.vocabulary.movie_ids_M
    with open_warehouse(blended_home) as warehouse:
        everyone = read_split(warehouse, blend_config.split).everything.restrict_movies(movies)
    user = everyone.select_users(everyone.user_ids_U == 1003)
    predicted_M = model.predict(user, model.movie_side(everyone), counted=True)[0].clip(1, 5)
    for movie_id, predicted in zip(movies.tolist(), predicted_M, strict=True):
        assert float(predicted) == pytest.approx(float(found[movie_id]), abs=0.0052)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (("users/model.onnx", None), "users/model.onnx is missing"),
        (("movies/users.parquet", None), "movies/users.parquet is missing"),
        (("users/model.onnx", "kernel/model.onnx"), "not the file that was sealed"),
        (("movies/movies.onnx", "movies/model.onnx"), "not the file that was sealed"),
    ],
)
def test_a_blend_with_a_missing_or_swapped_file_is_refused(
    blended_home: Home, blend_config: Config, spoil: tuple[str, str | None], message: str
) -> None:
    bundle = bundle_of(blended_home, blend_config)
    file, other = spoil
    if other is None:
        (bundle.path / file).unlink()
    else:
        shutil.copy(bundle.path / other, bundle.path / file)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle.path)


def test_a_blend_whose_members_go_by_other_names_is_refused(
    blended_home: Home, blend_config: Config
) -> None:
    bundle = bundle_of(blended_home, blend_config)
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    manifest["members"][0]["name"] = "stranger"
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"its members are .*stranger"):
        open_bundle(bundle.path)


@pytest.mark.long
def test_a_blend_killed_in_its_second_member_goes_on_to_the_same_blend(
    predictions: "Predictions",
    kill_at: "KillAt",
    trained_home: Home,
    blended_home: Home,
    blend_config: Config,
) -> None:
    kill_at(trained_home, blend_config, 2, "train movies")
    assert 2 == len(list(trained_home.checkpoints.iterdir()))
    report = train(trained_home, blend_config)
    expected, found = bundle_of(blended_home, blend_config), open_bundle(report.bundle)
    assert expected.manifest.members == found.manifest.members
    np.testing.assert_array_equal(
        predictions(blended_home, expected, blend_config),
        predictions(trained_home, found, blend_config),
    )
    assert [] == list(trained_home.checkpoints.iterdir())


def test_a_refit_is_on_train_and_dev_for_the_epochs_that_dev_chose(
    refitted_home: Home, refit_config: Config, tiny_config: Config
) -> None:
    bundle = bundle_of(refitted_home, refit_config)
    manifest = bundle.manifest
    with open_warehouse(refitted_home) as warehouse:
        ratings = read_split(warehouse, tiny_config.split)
    assert ("train", "dev") == manifest.trained_on
    assert ratings.part(Part.TRAIN, Part.DEV).num_ratings == manifest.num_train_ratings
    plain = train(refitted_home, refit_config.model_copy(update={"refit": False}))
    assert plain.members == manifest.members
    assert open_bundle(plain.bundle).manifest.metrics == manifest.metrics
    assert manifest.members[0].best_epoch < manifest.members[0].num_epochs


def test_a_refit_is_the_model_that_both_parts_give(
    train_on_files: "TrainOnFiles", refitted_home: Home, refit_config: Config, tmp_path: Path
) -> None:
    bundle = bundle_of(refitted_home, refit_config)
    with open_warehouse(refitted_home) as warehouse:
        both = read_split(warehouse, refit_config.split).part(Part.TRAIN, Part.DEV)
    rows = [
        f"{both.user_ids_U[user]},{both.movie_ids_M[movie]},{rating:g}"
        for user, movie, rating in zip(*both.values_UM.nonzero(), both.values_UM.data, strict=True)
    ]
    told = refit_config.train.model_copy(
        update={"num_epochs": bundle.manifest.members[0].best_epoch}
    )
    split = FileSplit(train="part.base", test="part.test", dev_fraction=0)
    config = refit_config.model_copy(update={"split": split, "refit": False, "train": told})
    home, report = train_on_files(tmp_path / "by hand", config, rows, ["5,10,3"])
    expected = open_bundle(report.bundle)
    assert expected.vocabulary.movie_ids_M.tolist() == bundle.vocabulary.movie_ids_M.tolist()
    known = both.restrict_movies(bundle.vocabulary.movie_ids_M)
    np.testing.assert_allclose(
        bundle.model("cpu").predict(known, {}, counted=True),
        expected.model("cpu").predict(known, {}, counted=True),
        atol=1e-4,
    )
    assert home.path != refitted_home.path


def test_a_refit_is_not_evaluated_on_dev(refitted_home: Home, refit_config: Config) -> None:
    on_dev = refit_config.evaluate.model_copy(update={"part": "dev"})
    with pytest.raises(BundleError, match="was fitted to dev ratings too"):
        evaluate(refitted_home, refit_config.model_copy(update={"evaluate": on_dev}))
    assert evaluate(refitted_home, refit_config).figure("model").num_ratings > 0


@pytest.mark.parametrize("is_blend", [False, True], ids=["refit", "blend"])
def test_without_dev_ratings_a_blend_and_a_refit_are_refused(
    trained_home: Home, refit_config: Config, blend_config: Config, is_blend: bool
) -> None:
    config = blend_config if is_blend else refit_config
    split = config.split.model_copy(update={"dev_fraction": 0.0})
    config = config.model_copy(update={"split": split})
    materialize(trained_home, config)
    with pytest.raises(SplitError, match="holds back no dev rating of a movie in train"):
        train(trained_home, config)


def test_how_a_split_comes_to_dev_ratings_is_told_by_its_kind(
    trained_home: Home, refit_config: Config
) -> None:
    without = refit_config.model_copy(update={"split": LastKSplit(test_k=1, dev_k=0)})
    materialize(trained_home, without)
    with pytest.raises(SplitError, match=r"give it some, as --set split\.dev_k=1"):
        train(trained_home, without)


@pytest.mark.long
def test_a_killed_refit_goes_on_to_the_same_model(
    predictions: "Predictions",
    kill_at: "KillAt",
    trained_home: Home,
    refitted_home: Home,
    refit_config: Config,
) -> None:
    kill_at(trained_home, refit_config, 1, "train model+refit")
    assert 2 == len(list(trained_home.checkpoints.iterdir()))
    report = train(trained_home, refit_config)
    expected, found = bundle_of(refitted_home, refit_config), open_bundle(report.bundle)
    assert expected.manifest.members == found.manifest.members
    np.testing.assert_array_equal(
        predictions(refitted_home, expected, refit_config),
        predictions(trained_home, found, refit_config),
    )
    assert [] == list(trained_home.checkpoints.iterdir())


def test_neither_blend_nor_refit_sees_a_test_rating(
    train_on_files: "TrainOnFiles", blend_config: Config, tmp_path: Path
) -> None:
    assert isinstance(blend_config.model, BlendConfig)
    split = FileSplit(train="part.base", test="part.test", dev_fraction=0.3)
    config = with_values(
        blend_config, split=split.model_dump(), refit=True, model={**SHARES, "members": MEMBERS[1:]}
    )
    rng = np.random.default_rng(0)
    rows = [f"{user},{movie},{rng.integers(2, 5)}" for user in range(9) for movie in range(1, 6)]
    found = []
    for name, test_rows in {"plain": ["1,9,3"], "loud": ["1,9,1", "77,5,7", "3,8,-4"]}.items():
        home, report = train_on_files(tmp_path / name, config, rows, test_rows)
        bundle = open_bundle(report.bundle)
        assert [1, 2, 3, 4, 5] == bundle.vocabulary.movie_ids_M.tolist()
        with open_warehouse(home) as warehouse:
            known = read_split(warehouse, split).part(Part.TRAIN, Part.DEV)
        users = known.select_users(np.isin(known.user_ids_U, np.arange(9)))
        inputs = users.restrict_movies(bundle.vocabulary.movie_ids_M)
        model = bundle.model("cpu")
        weights = [(member.weight, member.dev_rmse) for member in bundle.manifest.members]
        predicted = model.predict(inputs, model.movie_side(inputs), counted=True)
        found.append((weights, bundle.manifest.intercept, predicted.tolist()))
    assert found[0] == found[1]
