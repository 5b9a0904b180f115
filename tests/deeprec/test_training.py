import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deeprec.bundles import Bundle, open_bundle
from deeprec.config import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.ingestion import ingest
from deeprec.ratings import Floats
from deeprec.registry import choose_bundle
from deeprec.splits import FileSplit, Part
from deeprec.training import TrainReport, train
from deeprec.vectors import materialize, read_split
from deeprec.warehouse import open_warehouse


def predictions(home: Home, bundle: Bundle, config: Config) -> Floats:
    """What the bundle's graph makes of the training ratings."""
    with open_warehouse(home) as warehouse:
        training = read_split(warehouse, config.split).part(Part.TRAIN)
    known = training.restrict_movies(bundle.vocabulary.movie_ids_M)
    return bundle.model("cpu").predict(known, {}, counted=True)


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


KILLED_AFTER_AN_EPOCH = """
import os, signal, sys
from pathlib import Path
from deeprec.config import Config
from deeprec.home import Home
from deeprec.training import train

def die(what, done, total, unit, note=""):
    if what == "train" and done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

train(Home(Path(sys.argv[1])), Config.model_validate_json(sys.argv[2]), die)
"""


@pytest.mark.parametrize("epochs_done", [1, 3])
def test_a_killed_training_goes_on_to_the_same_model(
    trained_home: Home, tiny_config: Config, tmp_path: Path, epochs_done: int
) -> None:
    other = tiny_config.model_copy(
        update={
            "model": tiny_config.model.model_copy(update={"encoder_dropout": 0.3}),
            "train": tiny_config.train.model_copy(update={"seed": 5}),
        }
    )
    undisturbed = Home(shutil.copytree(trained_home.path, tmp_path / "undisturbed"))
    expected = predictions(undisturbed, open_bundle(train(undisturbed, other).bundle), other)
    arguments = [str(trained_home.path), other.model_dump_json(), str(epochs_done)]
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_AN_EPOCH, *arguments], check=False)
    assert -signal.SIGKILL == killed.returncode
    assert 1 == len(list(trained_home.checkpoints.iterdir()))
    report = train(trained_home, other)
    assert [1, 2, 3] == [epoch.epoch for epoch in report.epochs]
    found = predictions(trained_home, open_bundle(report.bundle), other)
    np.testing.assert_array_equal(expected, found)
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
