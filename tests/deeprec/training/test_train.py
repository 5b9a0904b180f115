"""Training: what is reported, kept, gone on with, and never seen."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deeprec.config.run import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.bundles import open_bundle
from deeprec.models.registry import choose_bundle
from deeprec.splits import FileSplit, Part
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize, read_split
from deeprec.warehouse.opening import open_warehouse

if TYPE_CHECKING:
    from tests.deeprec.training.conftest import KillAt, Predictions, TrainOnFiles


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
    predictions: "Predictions", tiny_config: Config, tiny_sources: list[str], tmp_path: Path
) -> None:
    found = []
    for name in ("one", "two"):
        home = Home(tmp_path / name)
        ingest(home, tiny_sources, tiny_config)
        materialize(home, tiny_config)
        bundle = open_bundle(train(home, tiny_config).bundle)
        found.append(predictions(home, bundle, tiny_config))
    np.testing.assert_array_equal(found[0], found[1])


def test_bundles_go_that_nobody_could_enter_any_more(
    trained_home: Home, tiny_config: Config
) -> None:
    entered = train(trained_home, tiny_config).bundle
    assert not (entered / ".unentered").exists()
    elsewhere = shutil.copytree(entered, trained_home.models / "elsewhere")
    died = shutil.copytree(entered, trained_home.models / "died")
    half = trained_home.models / ".half.building"
    half.mkdir()
    for bundle in (entered, died):  # as processes leave them that die just after, and before
        (bundle / ".unentered").touch()
    assert not train(trained_home, tiny_config).changed
    assert {entered, elsewhere} == set(trained_home.models.iterdir())
    assert not (entered / ".unentered").exists()


@pytest.mark.long
def test_several_processes_train_what_one_does(
    trained_home: Home, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    alone = train(trained_home, tiny_config)
    in_two = tiny_config.train.model_copy(update={"processes": 2})
    shared = tiny_config.model_copy(update={"train": in_two})
    assert alone == train(trained_home, shared), "trained already"
    shutil.rmtree(alone.bundle)
    report = train(trained_home, shared)
    assert report.changed
    expected, found = (
        [rmse for epoch in told.epochs for rmse in (epoch.train_rmse, epoch.dev_rmse or 0)]
        for told in (alone, report)
    )
    assert expected == pytest.approx(found, rel=1e-4)
    assert [] == list(trained_home.checkpoints.iterdir())


@pytest.mark.parametrize("epochs_done", [1, 3])
def test_a_killed_training_goes_on_to_the_same_model(
    predictions: "Predictions",
    kill_at: "KillAt",
    trained_home: Home,
    tiny_config: Config,
    tmp_path: Path,
    *,
    epochs_done: int,
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
    (checkpoint,) = trained_home.checkpoints.iterdir()
    report = train(trained_home, other)
    assert [1, 2, 3] == [epoch.epoch for epoch in report.epochs]
    found = predictions(trained_home, open_bundle(report.bundle), other)
    np.testing.assert_array_equal(expected, found)
    assert [] == list(trained_home.checkpoints.iterdir())

    checkpoint.touch()  # as a process leaves it that dies once its model is entered
    assert not train(trained_home, other).changed
    assert [] == list(trained_home.checkpoints.iterdir())


def test_checkpoints_go_that_no_fit_can_go_on_from_any_more(
    kill_at: "KillAt", trained_home: Home, tiny_config: Config, tmp_path: Path
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


def test_nothing_that_is_fitted_sees_a_held_out_rating(
    train_on_files: "TrainOnFiles", tiny_config: Config, tmp_path: Path
) -> None:
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
    train_on_files: "TrainOnFiles", tiny_config: Config, tmp_path: Path
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
