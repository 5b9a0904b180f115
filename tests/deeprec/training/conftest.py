"""Whole trainings: killed, on files of their own, and what their models predict."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.bundles import Bundle
from deeprec.ratings import Floats
from deeprec.splits import Part
from deeprec.training.train import TrainReport, train
from deeprec.vectors.materialize import materialize, read_split
from deeprec.warehouse.opening import open_warehouse

Predictions = Callable[[Home, Bundle, Config], Floats]
KillAt = Callable[[Home, Config, int, str], None]
TrainOnFiles = Callable[[Path, Config, list[str], list[str]], tuple[Home, TrainReport]]
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


@pytest.fixture
def predictions() -> Predictions:
    """What a bundle's graph makes of the training ratings."""

    def predict(home: Home, bundle: Bundle, config: Config) -> Floats:
        with open_warehouse(home) as warehouse:
            training = read_split(warehouse, config.split).part(Part.TRAIN)
        known = training.restrict_movies(bundle.vocabulary.movie_ids_M)
        model = bundle.model("cpu")
        return model.predict(known, model.movie_side(known), counted=True)

    return predict


@pytest.fixture
def kill_at(python: Callable[..., subprocess.CompletedProcess[str]]) -> KillAt:
    """Trains in a process that is killed after an epoch."""

    def train_and_kill(home: Home, config: Config, epochs_done: int, what: str) -> None:
        arguments = [str(home.path), config.model_dump_json(), str(epochs_done), what]
        killed = python("-c", KILLED_AFTER_AN_EPOCH, *arguments)
        assert -signal.SIGKILL == killed.returncode, killed.stderr

    return train_and_kill


@pytest.fixture
def train_on_files() -> TrainOnFiles:
    """Trains on ratings of two files, `part.base` and `part.test`."""

    def take_in_and_train(
        folder: Path, config: Config, train_rows: list[str], test_rows: list[str]
    ) -> tuple[Home, TrainReport]:
        home = Home(folder / "home")
        home.path.mkdir(parents=True)
        for name, rows in (("part.base", train_rows), ("part.test", test_rows)):
            (folder / name).write_text("\n".join(["user_id,movie_id,rating", *rows]) + "\n")
            ingest(home, [str(folder / name)], config)
        materialize(home, config)
        return home, train(home, config)

    return take_in_and_train
