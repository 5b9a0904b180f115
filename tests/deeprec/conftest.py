"""Small homes, made once; a test gets a copy to do as it likes.

One that was taken in, materialized and trained, one with a model of every kind: once for all of
xdist's processes, in the folder that holds those of each. One over a drop folder, after its first
night: once for each of them.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest

from deeprec.config.loading import load_config
from deeprec.config.models import BlendConfig
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.bundles import open_bundle, write_manifest
from deeprec.nights.nightly import NightReport, run_night
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize

if TYPE_CHECKING:
    from tests.conftest import MakeOnce

NUM_USERS, NUM_RATED_MOVIES = 40, 24
LONER = 99  # a user who has rated nothing
UNRATED = (7000, 7001)  # movies that nobody has rated


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """Each export has what torch and onnxscript can do read anew: most of its time."""
    from torch._export import utils  # noqa: PLC0415 - torch takes seconds
    from torch.onnx._internal.exporter._registration import ONNXRegistry  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (ONNXRegistry, "from_torchlib"),
            (utils, "_collect_all_valid_cia_ops_for_namespace"),
        ):
            patch.setattr(owner, name, staticmethod(cache(getattr(owner, name))))
        yield


@pytest.fixture(scope="session")
def tiny_config() -> Config:
    return load_config(
        None,
        [
            "name=tiny",
            "model.hidden_layers=[6, 4]",
            "train.num_epochs=3",
            "train.device=cpu",
            "score.device=cpu",
            "score.top_n=5",
            "score.batch_size=8",
            "score.shard_cells=260",  # ten users of 26 movies
            "warehouse.threads=1",
            "warehouse.lock_timeout_s=20",
        ],
    )


@pytest.fixture(scope="session")
def tiny_sources(once: "MakeOnce") -> list[str]:
    folder = once("sources", write_sources)
    return [str(folder / name) for name in ("ratings.csv", "movie_titles.txt", "users.dat")]


def write_sources(folder: Path) -> None:
    rng = np.random.default_rng(7)
    lines = ["user_id,movie_id,rating,date"]
    for user in range(NUM_USERS):
        movies = rng.choice(NUM_RATED_MOVIES, size=rng.integers(4, 15), replace=False)
        lines += [f"{1000 + user},{10 + movie},{rng.integers(1, 6)},2005-01-01" for movie in movies]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    titled = [*range(10, 10 + NUM_RATED_MOVIES), *UNRATED]
    (folder / "movie_titles.txt").write_text(
        "".join(f"{movie},1999,Picture {movie}\n" for movie in titled)
    )
    listed = [LONER, *range(1000, 1000 + NUM_USERS)]
    (folder / "users.dat").write_text("".join(f"{user}::F::1::10::48067\n" for user in listed))


@pytest.fixture(scope="session")
def _trained(once: "MakeOnce", tiny_config: Config, tiny_sources: list[str]) -> Path:
    def fill(folder: Path) -> None:
        home = Home(folder / "home")
        ingest(home, tiny_sources, tiny_config)
        materialize(home, tiny_config)
        train(home, tiny_config)

    return once("trained", fill) / "home"


@pytest.fixture
def trained_home(_trained: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(_trained, tmp_path / "trained"))


BLEND = """model={kind="blend", members=[
{name="network", model={kind="autoencoder", hidden_layers=[6, 4]}, train={num_epochs=2}},
{name="kernel", model={kind="kernel_ridge", ridge=0.7}},
{name="kernel-codes", model={kind="autoencoder", orientation="movies", hidden_layers=[4],
output_activation="identity", center="biases"},
train={num_epochs=3, optimizer="adam", loss="sum", l2=0.4}},
{name="user-kernel", model={kind="kernel_ridge", orientation="users"}}]}""".replace("\n", "")


@dataclass(frozen=True)
class Kinds:
    """A home whose newest bundle is a blend, and a bundle of each of its members alone."""

    home: Home
    bundles: Mapping[str, Path]

    def config(self, kind: str) -> Config:
        """Scores with the bundle of one kind."""
        return load_config(
            None,
            [
                f"score.bundle={self.bundles[kind]}",
                "score.device=cpu",
                "score.batch_size=5",
                "score.top_n=4",
                "warehouse.threads=1",
            ],
        )


@pytest.fixture(scope="session")
def kinds(
    once: "MakeOnce",
    tiny_config: Config,
    tiny_sources: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Kinds:
    def fill(folder: Path) -> None:
        home = Home(folder / "home")
        ingest(home, tiny_sources, tiny_config)
        materialize(home, config)
        split_up(train(home, config).bundle, folder / "members")

    config = load_config(None, [BLEND, "train.device=cpu", "split.dev_fraction=0.2"])
    folder = shutil.copytree(once("kinds", fill), tmp_path_factory.mktemp("copied") / "kinds")
    (blend,) = (folder / "home" / "models").iterdir()
    members = {path.name: path for path in (folder / "members").iterdir()}
    return Kinds(Home(folder / "home"), {"blend": blend} | members)


def split_up(blend: Path, folder: Path) -> None:
    """Make a bundle of each member of a blend."""
    manifest = open_bundle(blend).manifest
    told = BlendConfig.model_validate(manifest.config["model"])
    models = {member.name: member.model for member in told.members}
    for member in manifest.members:
        shutil.copytree(blend / member.name, folder / member.name)
        shutil.copy(blend / "movies.parquet", folder / member.name)
        alone = {
            "config": {**manifest.config, "model": models[member.name].model_dump(mode="json")},
            "members": (member.model_copy(update={"weight": 1.0}),),
            "intercept": 0.0,
        }
        write_manifest(folder / member.name, manifest.model_copy(update=alone))


@dataclass(frozen=True)
class Drop:
    """A home over a folder that its ratings arrive in, and nights of it."""

    home: Home
    folder: Path
    config: Config
    night: int = 0
    num_users: int = 60
    num_movies: int = 20  # of which the last two are not rated at first
    first: date = date(2005, 3, 1)

    def add(self, name: str, rows: list[tuple[int, int, int]], day: date = first) -> None:
        """Leave a file of ratings of one day in the folder."""
        lines = [f"{user},{movie},{rating},{day}" for user, movie, rating in rows]
        text = "user_id,movie_id,rating,date\n" + "\n".join(lines) + "\n"
        (self.folder / name).write_text(text)

    def run(self, config: Config | None = None) -> NightReport:
        """A night."""
        night_of = self.first + timedelta(days=self.night)
        return run_night(self.home, [str(self.folder)], config or self.config, night_of=night_of)

    def next(self, config: Config | None = None) -> tuple["Drop", NightReport]:
        """The next night."""
        later = replace(self, night=self.night + 1)
        return later, later.run(config)

    def told(self, **sections: dict[str, Any]) -> Config:
        """The configuration with some values of its sections changed."""
        updates = {
            name: getattr(self.config, name).model_copy(update=values)
            for name, values in sections.items()
        }
        return self.config.model_copy(update=updates)

    def new_ratings(self, first_user: int, num: int = 5) -> list[tuple[int, int, int]]:
        """Of movies that nobody has rated before."""
        return [(first_user + user, self.num_movies - 1, 1 + user % 5) for user in range(num)]

    @staticmethod
    def outcomes(night: NightReport) -> dict[str, str]:
        """What became of each step."""
        return {step.step: str(step.outcome) for step in night.steps}

    @staticmethod
    def said(night: NightReport, step: str) -> str:
        """What a night says of a step."""
        return next(each.said for each in night.steps if each.step == step)

    @staticmethod
    def query(file: Path, sql: str) -> list[tuple[Any, ...]]:
        """What a statement finds in a DuckDB file."""
        with duckdb.connect(str(file), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="session")
def _after_first(tmp_path_factory: pytest.TempPathFactory) -> Drop:
    root = tmp_path_factory.mktemp("nights")
    config = load_config(
        None,
        [
            "name=tiny",
            "model.hidden_layers=[6]",
            "model.output_activation=identity",
            "model.center=biases",
            "train.num_epochs=30",
            "train.optimizer=adam",
            "train.learning_rate=0.01",
            "split.test_fraction=0.2",
            "train.device=cpu",
            "score.device=cpu",
            "score.top_n=3",
            "score.shard_cells=400",
            "evaluate.num_resamples=100",
            "warehouse.threads=1",
            "warehouse.lock_timeout_s=20",
            "nightly.train_at_new_fraction=0.9",
        ],
    )
    drop = Drop(Home(root / "home"), root / "drop", config)
    drop.folder.mkdir()
    rng = np.random.default_rng(3)
    rows = []
    for user in range(drop.num_users):
        movies = rng.choice(drop.num_movies - 2, size=8, replace=False)
        rows += [(user, int(movie), 5 - 4 * int(user % 2 == movie % 2)) for movie in movies]
    drop.add("ratings_base.csv", rows)
    titles = "".join(f"{movie},1999,Picture {movie}\n" for movie in range(drop.num_movies))
    (drop.folder / "movie_titles.txt").write_text(titles)
    assert "done" == drop.run().status
    return drop


@pytest.fixture
def drop(_after_first: Drop, tmp_path: Path) -> Iterator[Drop]:
    root = _after_first.folder.parent
    shutil.copytree(root, tmp_path / "copy", copy_function=_linked)
    # Paths are part of what is known of files, so the folder stays, and is put back afterwards.
    yield replace(_after_first, home=Home(tmp_path / "copy" / "home"))
    shutil.rmtree(_after_first.folder)
    shutil.copytree(tmp_path / "copy" / "drop", _after_first.folder)


def _linked(source: str, target: str) -> str:
    return str(shutil.copy2(source, target))
