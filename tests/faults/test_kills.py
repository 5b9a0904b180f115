"""A night that is killed at any moment, run again, leaves what an undisturbed night leaves.

Readers in another process query the published file all the while.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import pytest

from deeprec.config.loading import load_config

NUM_USERS, NUM_MOVIES = 80, 30
STEPS = ("take in", "check", "refresh", "measure", "decide", "train", "challenge", "score")
CONFIG = load_config(
    None,
    [
        "name=killed",
        "model.hidden_layers=[8]",
        "model.output_activation=identity",
        "model.center=biases",
        "train.num_epochs=12",
        "train.checkpoint_every_s=0",
        "train.optimizer=adam",
        "train.learning_rate=0.01",
        "train.device=cpu",
        "score.device=cpu",
        "score.num_workers=1",
        "score.top_n=3",
        "score.shard_cells=300",  # ten users
        "evaluate.num_resamples=100",
        "ingest.chunk_bytes=2000",
        "warehouse.threads=1",
        "nightly.train_every_days=0",
    ],
)
# What a night must leave, whoever died in it. Ids and times of runs and bundles differ.
WAREHOUSE = {
    "ratings": "select r.* exclude (file_id), path from ratings r join source_files "
    "using (file_id)",
    "superseded": "select * exclude (file_id) from superseded_ratings",
    "retired": "select * exclude (file_id) from retired_ratings",
    "rejected": "select * exclude (file_id) from rejected_rows",
    "files": "select * exclude (file_id, ingested_at) from source_files",
    "vectors": "from user_vectors",
    "parts": "from split_vectors",
    "waiting": "from arrived_ratings",
    "live": "select measured_on, user_id, movie_id, rating, predicted_rating from live_ratings",
    "models": "select status, num_train_ratings, dev_rmse from registry",
    "members": "select weight, num_epochs, best_epoch, dev_rmse from members",
    "running": "select status from scoring_runs where status = 'running'",
    "published": "select count(distinct run_id) from publications",
}
PUBLISHED = ("predicted_ratings", "recommendations", "users", "movies")

NIGHT = """
import sys
from datetime import date
from pathlib import Path
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.nights.nightly import run_night
place, folder, config = sys.argv[1:]
def perform(step, work):
    with open(f"{place}/steps", "a") as file:
        file.write(step + chr(10))
    return work()
run_night(Home(Path(place, "home")), [folder], Config.model_validate_json(config),
          night_of=date(2005, 3, 2), perform=perform)
"""

# Queries what is published without a pause; a line for each answer that no run has published.
READER = """
import sys, time, duckdb
published, allowed = sys.argv[1], set(sys.argv[2].split(","))
print("ready", flush=True)
num = 0
while True:
    try:
        with duckdb.connect(published, read_only=True) as file:
            found = file.execute(
                "select (select count(*) || ':' || sum(hash(user_id, movie_id, predicted_rating)) "
                "from predicted_ratings) || ':' || (select count(*) || ':' || "
                "sum(hash(user_id, rank, movie_id)) from recommendations)"
            ).fetchone()[0]
        if found not in allowed:
            print("neither run:", found, flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    num += 1
    if num == 1 or num % 20 == 0:
        print("queries", num, flush=True)
"""


class Nursery(Protocol):
    """The fixture of tests/conftest.py, where nights are born, and killed."""

    def begin(self, *arguments: str) -> int: ...

    def ended(self) -> int: ...


def begin(nursery: Nursery, place: Path, folder: Path) -> int:
    """The process of a night in a place, which writes down its steps there."""
    (place / "steps").unlink(missing_ok=True)
    return nursery.begin("-c", NIGHT, str(place), str(folder), CONFIG.model_dump_json())


def rating(user: int, movie: int) -> int:
    return 5 - 4 * int(user % 2 == movie % 2)


def write(file: Path, cells: list[tuple[int, int]], day: str) -> None:
    rows = "".join(f"{user},{movie},{rating(user, movie)},{day}\n" for user, movie in cells)
    file.write_text("user_id,movie_id,rating,date\n" + rows)


@dataclass(frozen=True)
class World:
    """A home after its first night with files that arrived since, and what a second one leaves."""

    root: Path
    expected: dict[str, Any]
    hashes: str
    seconds: dict[str, float]

    @property
    def folder(self) -> Path:
        """The drop folder; its path is part of what is known of files."""
        return self.root / "drop"

    @contextmanager
    def copy(self, name: str) -> Iterator[Path]:
        """A place with a home of its own in which the second night has not been yet."""
        place = self.root / name
        shutil.copytree(self.root / "before", place)
        yield place
        shutil.rmtree(place)


def contents(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as file:
        for name, query in WAREHOUSE.items():
            found[name] = file.execute(f"select * from ({query}) order by all").fetchall()
    with duckdb.connect(str(home / "predictions.duckdb"), read_only=True) as file:
        for name in PUBLISHED:
            found[name] = file.execute(f"select * from {name} order by all").fetchall()
    found["bundles"] = len(list((home / "models").iterdir()))
    found["left"] = sorted(
        file.name
        for folder in ("runs", "checkpoints")
        if (home / folder).is_dir()
        for file in (home / folder).iterdir()
    )
    return found


def hashes(home: Path) -> str:
    with duckdb.connect(str(home / "predictions.duckdb"), read_only=True) as file:
        found = file.execute(
            "select (select count(*) || ':' || sum(hash(user_id, movie_id, predicted_rating)) "
            "from predicted_ratings) || ':' || (select count(*) || ':' || "
            "sum(hash(user_id, rank, movie_id)) from recommendations)"
        ).fetchone()
    assert found is not None
    return str(found[0])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> World:
    root = tmp_path_factory.mktemp("kills")
    folder, before = root / "drop", root / "before"
    folder.mkdir()
    before.mkdir()
    rng = np.random.default_rng(5)
    cells = [
        (user, int(movie))
        for user in range(NUM_USERS)
        for movie in rng.choice(NUM_MOVIES - 4, size=10, replace=False)
    ]
    write(folder / "ratings_base.csv", cells[: 6 * NUM_USERS], "2005-01-01")
    write(folder / "ratings_more.csv", cells[6 * NUM_USERS :], "2005-01-02")
    write(folder / "ratings_gone.csv", [(user, NUM_MOVIES - 4) for user in range(9)], "2005-01-03")
    begin(nursery, before, folder)
    assert 0 == nursery.ended()
    later = [(user, NUM_MOVIES - 1 - user % 3) for user in range(0, NUM_USERS, 4)]
    write(folder / "ratings_new.csv", [*later, (500, 3), (500, 4)], "2005-03-01")
    write(folder / "ratings_more.csv", cells[6 * NUM_USERS + 7 :], "2005-01-02")
    (folder / "ratings_gone.csv").unlink()
    place = root / "undisturbed"
    shutil.copytree(before, place)
    begin(nursery, place, folder)
    seconds = watch(place / "steps")
    assert 0 == nursery.ended()
    return World(root, contents(place / "home"), hashes(place / "home"), seconds)


def watch(steps: Path) -> dict[str, float]:
    """How long each step took."""
    began: dict[str, float] = {}
    while "score" not in began:
        for step in told(steps):
            began.setdefault(step, time.monotonic())
        time.sleep(0.002)
    ends = [*list(began.values())[1:], time.monotonic() + 1.5]  # scoring goes on after its start
    return {step: end - start for (step, start), end in zip(began.items(), ends, strict=True)}


def told(steps: Path) -> list[str]:
    return steps.read_text().splitlines() if steps.exists() else []


def kill_in(nursery: Nursery, pid: int, place: Path, step: str, after_s: float) -> bool:
    """Kill a night some time after a step has begun; whether it was still alive."""
    while step not in told(place / "steps"):
        time.sleep(0.001)
    time.sleep(after_s)
    with suppress(ProcessLookupError):  # it was done by then
        os.kill(pid, signal.SIGKILL)
    return nursery.ended() == -signal.SIGKILL


@contextmanager
def reading(home: Path, allowed: list[str]) -> Iterator[list[str]]:
    """Query the published file all the while; what went wrong, known once the block has ended."""
    wrong: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(home / "predictions.duckdb"), ",".join(allowed)],
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout
        assert "ready\n" == reader.stdout.readline()
        yield wrong
        time.sleep(0.2)
        reader.kill()
        lines = reader.stdout.read().splitlines()
    assert any(line.startswith("queries") for line in lines), lines[:3]
    wrong += [line for line in lines if not line.startswith("queries")]


@pytest.mark.timeout(7200)
def test_a_night_killed_anywhere_and_run_again_is_as_one_undisturbed(
    world: World, nursery: Nursery, is_long: bool
) -> None:
    steps = STEPS if is_long else ("refresh", "score")
    num_kills = 208 if is_long else len(steps)
    rng = random.Random(time.time_ns() if is_long else 11)  # noqa: S311 - draws moments, no secrets
    before = hashes(world.root / "before" / "home")
    assert before != world.hashes
    counts: Counter[str] = Counter()
    for number in range(num_kills):
        step = steps[number % len(steps)]
        with world.copy(f"kill-{number}") as place:
            with reading(place / "home", [before, world.hashes]) as wrong:
                pid = begin(nursery, place, world.folder)
                after_s = rng.uniform(0, world.seconds[step])
                counts[step] += kill_in(nursery, pid, place, step, after_s)
                begin(nursery, place, world.folder)
                assert 0 == nursery.ended(), (step, after_s)
            assert [] == wrong, (step, after_s)
            found = contents(place / "home")
            for name, rows in world.expected.items():
                assert rows == found[name], (name, step, after_s)
    print("\nkilled in:", dict(counts), "of", num_kills)  # noqa: T201 - the long form's table
    assert sum(counts.values()) >= num_kills // 2


def test_a_run_killed_at_nine_tenths_does_the_last_tenth(world: World, nursery: Nursery) -> None:
    with world.copy("tenths") as place:
        pid = begin(nursery, place, world.folder)
        runs = place / "home" / "runs"
        while True:  # until eight of its nine shards of ten users are in
            os.kill(pid, signal.SIGSTOP)
            done = shards(runs)
            if len(done) >= 8:
                break
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.003)
        os.kill(pid, signal.SIGKILL)
        assert -signal.SIGKILL == nursery.ended()
        begin(nursery, place, world.folder)
        assert 0 == nursery.ended()
        with duckdb.connect(str(place / "home" / "predictions.duckdb"), read_only=True) as file:
            after = dict(file.execute("select shard, scored_at from scoring_shards").fetchall())
        kept = [shard for shard, scored_at in done.items() if after[shard] == scored_at]
        assert len(kept) == len(done) >= 8
        assert len(after) == 9
        assert contents(place / "home") == world.expected


def shards(runs: Path) -> dict[int, Any]:
    """The shards that are in the run's file, by a copy of it and its log; its writer is stopped."""
    for file in runs.glob("*/scores.duckdb"):
        copy = runs.parent / "copy.duckdb"
        log = file.with_name(file.name + ".wal")
        shutil.copyfile(file, copy)
        if log.exists():
            shutil.copyfile(log, copy.with_name(copy.name + ".wal"))
        try:
            with duckdb.connect(str(copy)) as scores:
                return dict(
                    scores.execute("select shard, scored_at from scoring_shards").fetchall()
                )
        except duckdb.Error:  # stopped in the middle of a write
            return {}
        finally:
            for left in runs.parent.glob("copy.duckdb*"):
                left.unlink()
    return {}
