"""A small home, taken in, materialized and trained once; a test gets a copy to do as it likes."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from deeprec.config import Config, load_config
from deeprec.home import Home
from deeprec.ingestion import ingest
from deeprec.training import train
from deeprec.vectors import materialize

NUM_USERS, NUM_RATED_MOVIES = 40, 24
LONER = 99  # a user who has rated nothing
UNRATED = (7000, 7001)  # movies that nobody has rated


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
def tiny_sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("sources")
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
    return [str(folder / name) for name in ("ratings.csv", "movie_titles.txt", "users.dat")]


@pytest.fixture(scope="session")
def _trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, tiny_sources: list[str]
) -> Path:
    home = Home(tmp_path_factory.mktemp("trained") / "home")
    ingest(home, tiny_sources, tiny_config)
    materialize(home, tiny_config)
    train(home, tiny_config)
    return home.path


@pytest.fixture
def trained_home(_trained: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(_trained, tmp_path / "trained"))
