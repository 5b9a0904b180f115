import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pytest

from deeprec.config.models import BlendConfig
from deeprec.config.run import Config
from deeprec.config.training import TrainConfig
from deeprec.errors import BundleError, MetricError, SplitError, WarehouseError
from deeprec.evaluation.evaluate import evaluate
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.blends import BlendModel
from deeprec.models.bundles import Bundle, Manifest, open_bundle
from deeprec.models.registry import choose_bundle
from deeprec.ratings import Floats, RatingMatrix
from deeprec.scoring.score import score
from deeprec.splits import FileSplit, Part
from deeprec.training.blend_weights import fit_weights
from deeprec.training.fitting import weigh_members
from deeprec.training.material import Material
from deeprec.training.train import TrainReport, train
from deeprec.vectors.materialize import materialize, read_split
from deeprec.warehouse.opening import open_warehouse


def predictions(home: Home, bundle: Bundle, config: Config) -> Floats:
    """What the bundle's graph makes of the training ratings."""
    with open_warehouse(home) as warehouse:
        training = read_split(warehouse, config.split).part(Part.TRAIN)
    known = training.restrict_movies(bundle.vocabulary.movie_ids_M)
    model = bundle.model("cpu")
    return model.predict(known, model.movie_side(known), counted=True)


def test_a_report_holds_the_learning_curve_and_the_floors(
    trained_home: Home, tiny_config: Config
) -> None:
    report = train(trained_home, tiny_config)
    assert [1, 2, 3] == [epoch.epoch for epoch in report.epochs]
    assert report.dev is not None
    best = min(report.epochs, key=lambda epoch: epoch.dev_rmse or np.inf)
    assert best.epoch == report.members[0].best_epoch
    assert best.dev_rmse == pytest.approx(report.dev.figure("model").rmse, abs=1e-4)
    assert {"model", "bias", "global mean"} == {figure.predictor for figure in report.dev.figures}


def test_what_has_been_trained_is_not_trained_again(
    trained_home: Home, tiny_config: Config
) -> None:
    (bundle,) = trained_home.models.iterdir()
    report = train(trained_home, tiny_config)
    assert (False, bundle) == (report.changed, report.bundle)
    saving = tiny_config.train.model_copy(update={"checkpoint_every_s": 7.0})
    assert not train(trained_home, tiny_config.model_copy(update={"train": saving})).changed
    other = tiny_config.train.model_copy(update={"seed": 1})
    assert train(trained_home, tiny_config.model_copy(update={"train": other})).changed
    assert 2 == len(list(trained_home.models.iterdir()))


def test_a_bundle_that_was_damaged_is_trained_again(
    trained_home: Home, tiny_config: Config
) -> None:
    (bundle,) = trained_home.models.iterdir()
    (bundle / "model.onnx").write_bytes(b"damaged")
    report = train(trained_home, tiny_config)
    assert report.changed
    assert report.bundle_id == open_bundle(report.bundle).manifest.bundle_id


def test_a_bundle_that_is_asked_for_again_is_the_newest(
    trained_home: Home, tiny_config: Config
) -> None:
    first = train(trained_home, tiny_config)
    other = tiny_config.train.model_copy(update={"seed": 1})
    train(trained_home, tiny_config.model_copy(update={"train": other}))
    train(trained_home, tiny_config)
    with open_warehouse(trained_home) as warehouse:
        assert first.bundle_id == choose_bundle(trained_home, warehouse, None).manifest.bundle_id


def test_the_newest_bundle_is_the_one_that_is_used(trained_home: Home, tiny_config: Config) -> None:
    other = tiny_config.train.model_copy(update={"seed": 1})
    report = train(trained_home, tiny_config.model_copy(update={"train": other}))
    with open_warehouse(trained_home) as warehouse:
        assert report.bundle_id == choose_bundle(trained_home, warehouse, None).manifest.bundle_id


def test_the_same_seed_trains_the_same_model(
    tiny_config: Config, tiny_sources: list[str], tmp_path: Path
) -> None:
    found = []
    for name in ("one", "two"):
        home = Home(tmp_path / name)
        ingest(home, tiny_sources, tiny_config)
        materialize(home, tiny_config)
        bundle = open_bundle(train(home, tiny_config).bundle)
        found.append(predictions(home, bundle, tiny_config))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.long
def test_several_processes_train_what_one_does(
    trained_home: Home, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    alone = train(trained_home, tiny_config)
    shared = tiny_config.train.model_copy(update={"processes": 2})
    assert alone == train(trained_home, with_values(tiny_config, train=shared)), "trained already"
    shutil.rmtree(alone.bundle)
    report = train(trained_home, with_values(tiny_config, train=shared))
    assert report.changed
    expected, found = (
        [rmse for epoch in told.epochs for rmse in (epoch.train_rmse, epoch.dev_rmse or 0)]
        for told in (alone, report)
    )
    assert expected == pytest.approx(found, rel=1e-4)
    assert [] == list(trained_home.checkpoints.iterdir())


KILLED_AFTER_AN_EPOCH = """
import os, signal, sys
from pathlib import Path
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.training.train import train

def die(what, done, total, unit, note=""):
    if what == sys.argv[4] and done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

train(Home(Path(sys.argv[1])), Config.model_validate_json(sys.argv[2]), die)
"""
KillAt = Callable[[Home, Config, int, str], None]


@pytest.fixture
def kill_at(python: Callable[..., subprocess.CompletedProcess[str]]) -> KillAt:
    """Trains in a process that is killed after an epoch."""

    def train_and_kill(home: Home, config: Config, epochs_done: int, what: str) -> None:
        arguments = [str(home.path), config.model_dump_json(), str(epochs_done), what]
        killed = python("-c", KILLED_AFTER_AN_EPOCH, *arguments)
        assert -signal.SIGKILL == killed.returncode, killed.stderr

    return train_and_kill


@pytest.mark.parametrize("epochs_done", [1, 3])
def test_a_killed_training_goes_on_to_the_same_model(
    kill_at: KillAt, trained_home: Home, tiny_config: Config, tmp_path: Path, epochs_done: int
) -> None:
    other = tiny_config.model_copy(
        update={
            "model": tiny_config.model.model_copy(update={"encoder_dropout": 0.3}),
            "train": tiny_config.train.model_copy(update={"seed": 5}),
        }
    )
    undisturbed = Home(shutil.copytree(trained_home.path, tmp_path / "undisturbed"))
    expected = predictions(undisturbed, open_bundle(train(undisturbed, other).bundle), other)
    kill_at(trained_home, other, epochs_done, "train")
    assert 1 == len(list(trained_home.checkpoints.iterdir()))
    report = train(trained_home, other)
    assert [1, 2, 3] == [epoch.epoch for epoch in report.epochs]
    found = predictions(trained_home, open_bundle(report.bundle), other)
    np.testing.assert_array_equal(expected, found)
    assert [] == list(trained_home.checkpoints.iterdir())


def test_checkpoints_go_that_no_fit_can_go_on_from_any_more(
    kill_at: KillAt, trained_home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    first, second, third = (
        tiny_config.model_copy(
            update={"train": tiny_config.train.model_copy(update={"seed": seed})}
        )
        for seed in (5, 6, 7)
    )
    kill_at(trained_home, first, 1, "train")
    (left,) = trained_home.checkpoints.iterdir()
    train(trained_home, second)
    assert [left] == list(trained_home.checkpoints.iterdir())
    more = tmp_path / "more.csv"
    more.write_text("user_id,movie_id,rating,date\n99,10,5,2005-02-02\n")
    ingest(trained_home, [str(more)], tiny_config)
    materialize(trained_home, tiny_config)
    train(trained_home, third)
    assert [] == list(trained_home.checkpoints.iterdir())


def train_on_files(
    folder: Path, config: Config, train_rows: list[str], test_rows: list[str]
) -> tuple[Home, TrainReport]:
    home = Home(folder / "home")
    home.path.mkdir(parents=True)
    for name, rows in (("part.base", train_rows), ("part.test", test_rows)):
        (folder / name).write_text("\n".join(["user_id,movie_id,rating", *rows]) + "\n")
        ingest(home, [str(folder / name)], config)
    materialize(home, config)
    return home, train(home, config)


def test_nothing_that_is_fitted_sees_a_held_out_rating(tiny_config: Config, tmp_path: Path) -> None:
    split = FileSplit(train="part.base", test="part.test", dev_fraction=0)
    config = tiny_config.model_copy(update={"split": split})
    rng = np.random.default_rng(0)
    rows = [f"{user},{movie},{rng.integers(2, 5)}" for user in range(9) for movie in range(1, 6)]
    plain = train_on_files(tmp_path / "plain", config, rows, ["1,9,3"])
    loud = train_on_files(tmp_path / "loud", config, rows, ["1,9,1", "77,5,7", "3,8,-4"])
    graphs = []
    for home, report in (plain, loud):
        bundle = open_bundle(report.bundle)
        assert [1, 2, 3, 4, 5] == bundle.vocabulary.movie_ids_M.tolist()
        assert (2.0, 4.0) == (bundle.manifest.scale.minimum, bundle.manifest.scale.maximum)
        with open_warehouse(home) as warehouse:
            known = read_split(warehouse, config.split).part(Part.TRAIN)
        users = known.select_users(np.isin(known.user_ids_U, np.arange(9)))
        inputs = users.restrict_movies(bundle.vocabulary.movie_ids_M)
        graphs.append(bundle.model("cpu").predict(inputs, {}, counted=True))
    np.testing.assert_array_equal(graphs[0], graphs[1])


def test_without_dev_ratings_there_is_nothing_to_choose_by(
    tiny_config: Config, tmp_path: Path
) -> None:
    split = FileSplit(train="part.base", test="part.test", dev_fraction=0)
    config = tiny_config.model_copy(update={"split": split})
    rows = [f"{user},{movie},{1 + user % 5}" for user in range(6) for movie in range(5)]
    _, report = train_on_files(tmp_path / "files", config, rows, ["1,9,3"])
    assert (3, None) == (report.members[0].best_epoch, report.dev)


def test_stale_vectors_are_not_trained_on(
    trained_home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    more = tmp_path / "more.csv"
    more.write_text("user_id,movie_id,rating,date\n99,10,5,2005-02-02\n")
    ingest(trained_home, [str(more)], tiny_config)
    with pytest.raises(WarehouseError, match="deeprec materialize"):
        train(trained_home, tiny_config)


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
    kill_at: KillAt, trained_home: Home, blended_home: Home, blend_config: Config
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
    refitted_home: Home, refit_config: Config, tmp_path: Path
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


@pytest.mark.long
def test_a_killed_refit_goes_on_to_the_same_model(
    kill_at: KillAt, trained_home: Home, refitted_home: Home, refit_config: Config
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


def test_neither_blend_nor_refit_sees_a_test_rating(blend_config: Config, tmp_path: Path) -> None:
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
