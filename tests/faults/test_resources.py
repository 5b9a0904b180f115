"""What the machine refuses: each has its stated outcome, and nothing that was published is lost."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.nights.nightly import NightReport, run_night

SETTINGS = [
    "name=small",
    "model.hidden_layers=[4]",
    "model.output_activation=identity",
    "model.center=biases",
    "train.num_epochs=2",
    "train.device=cpu",
    "score.device=cpu",
    "evaluate.num_resamples=100",
    "warehouse.threads=1",
    "warehouse.lock_timeout_s=30",
    "nightly.train_at_new_fraction=1",
    "ingest.chunk_bytes=1024",
]
CONFIG = load_config(None, SETTINGS)
Begin = Callable[[Path], Home]
Command = Callable[..., subprocess.CompletedProcess[str]]


def write(file: Path, first_user: int, num_users: int, movies: range) -> None:
    lines = [
        f"{user},{movie},{5 - 4 * (user % 2 == movie % 2)},2005-01-01"
        for user in range(first_user, first_user + num_users)
        for movie in movies
    ]
    file.write_text("\n".join(["user_id,movie_id,rating,date", *lines]) + "\n")


@pytest.fixture(scope="module")
def _after_first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drop folder, and a home that has had a night over it."""
    root = tmp_path_factory.mktemp("resources")
    (root / "drop").mkdir()
    write(root / "drop" / "ratings_base.csv", 0, 40, range(8))
    night(Home(root / "home"), root / "drop")
    return root


@pytest.fixture
def folder(_after_first: Path) -> Iterator[Path]:
    """What arrives here is gone after the test; its path is part of what is known of files."""
    drop = _after_first / "drop"
    yield drop
    for arrived in set(drop.iterdir()).difference([drop / "ratings_base.csv"]):
        arrived.unlink()


@pytest.fixture
def begin(_after_first: Path) -> Begin:
    """Makes a home that has had its first night."""
    return lambda place: Home(shutil.copytree(_after_first / "home", place))


def night(home: Home, folder: Path, config: Config = CONFIG) -> NightReport:
    return run_night(home, [str(folder)], config, night_of=date(2005, 3, 1))


@pytest.fixture
def command(deeprec: Command) -> Command:
    """A night as a person starts it, from the command line."""
    settings = [part for value in SETTINGS for part in ("--set", value)]

    def run(home: Path, folder: Path) -> subprocess.CompletedProcess[str]:
        return deeprec("nightly", str(folder), "--home", str(home), *settings)

    return run


def rows(home: Home) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.predictions), read_only=True) as published:
        return published.execute("from predicted_ratings order by all").fetchall()


@contextmanager
def mounted(place: Path, megabytes: int) -> Iterator[None]:
    """A file system of its own in memory, which only root can make."""
    place.mkdir()
    told = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "deeprec-test", str(place)]
    if os.geteuid() or subprocess.run(told, check=False, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root, where mounting is allowed")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def test_a_full_disk_ends_the_night_with_a_word_and_more_room_ends_it_well(
    begin: Begin, command: Command, folder: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, 64):
        home = begin(disk / "home")
        before = rows(home)
        write(folder / "ratings_new.csv", 100, 30, range(8))
        used = shutil.disk_usage(disk).used
        with (disk / "ballast").open("wb") as ballast:
            ballast.write(b"\0" * (shutil.disk_usage(disk).free - 256 * 1024))
        full = command(home.path, folder)
        assert 1 == full.returncode, full.stderr
        assert "Traceback" not in full.stderr
        assert "No space left" in full.stderr or "could not go on" in full.stderr, full.stderr
        assert before == rows(home)
        (disk / "ballast").unlink()
        assert used <= shutil.disk_usage(disk).used + 8 * 2**20
        report = night(home, folder)
        assert report.status in {"done", "warned"}
        assert len(rows(home)) == 70 * 8


def test_a_folder_that_may_not_be_written_ends_the_night_with_a_word(
    begin: Begin, command: Command, folder: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, 64):
        home = begin(disk / "home")
        before = rows(home)
        write(folder / "ratings_new.csv", 100, 30, range(8))
        remount(disk, "ro")
        refused = command(home.path, folder)
        assert 1 == refused.returncode
        assert "Traceback" not in refused.stderr
        assert "Read-only file system" in refused.stderr, refused.stderr
        assert before == rows(home)
        remount(disk, "rw")
        night(home, folder)
        assert len(rows(home)) == 70 * 8


def test_a_file_that_grows_while_it_is_read_is_held_back_and_comes_when_it_is_whole(
    begin: Begin, folder: Path, tmp_path: Path
) -> None:
    home = begin(tmp_path / "home")
    growing = folder / "ratings_growing.csv"
    write(growing, 100, 30, range(8))
    said = "of which much was said "  # 20 chunks: some of them wait while the first are inserted
    lines = growing.read_text().splitlines()
    growing.write_text("\n".join(f"{line},{said * 3}" for line in lines) + "\n")
    write(folder / "ratings_whole.csv", 200, 5, range(8))
    appended: list[int] = []

    def grow(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        del done, total, unit, note
        if what == "ingest":  # another row while the file is being read
            appended.append(len(appended))
            with growing.open("a") as file:
                file.write(f"500,{100 + len(appended)},5,2005-01-01,\n")

    report = run_night(home, [str(folder)], CONFIG, grow, night_of=date(2005, 3, 2))
    (taken_in,) = [step for step in report.steps if step.step == "take in"]
    assert "warned" == taken_in.outcome
    assert "changed while it was read" in taken_in.said
    assert {"whole": 40} == num_ratings(home)
    night(home, folder)
    assert {"whole": 40, "growing": 240 + len(appended)} == num_ratings(home)


def num_ratings(home: Home) -> dict[str, int]:
    """How many ratings came of each file that arrived later."""
    with duckdb.connect(str(home.warehouse), read_only=True) as warehouse:
        counted = warehouse.execute(
            "select regexp_extract(path, 'ratings_(whole|growing)', 1) as name, count(*) "
            "from ratings join source_files using (file_id) where name != '' group by name"
        ).fetchall()
    return dict(counted)


ANALYST = """
import sys, time, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as file:
    file.execute("select 1").fetchall()
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def analyst(file: Path, seconds: float) -> Iterator[None]:
    """Somebody who has a file open in a shell of his own."""
    with subprocess.Popen(
        [sys.executable, "-c", ANALYST, str(file), str(seconds)], stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout
        assert "open\n" == shell.stdout.readline()
        yield
        shell.kill()


def test_an_analyst_who_holds_the_published_file_open_stops_nothing(
    begin: Begin, folder: Path, tmp_path: Path
) -> None:
    home = begin(tmp_path / "home")
    before = home.predictions.stat().st_ino
    write(folder / "ratings_new.csv", 100, 30, range(8))
    with analyst(home.predictions, 600):
        report = night(home, folder)
    assert report.status in {"done", "warned"}
    assert before != home.predictions.stat().st_ino


def test_an_analyst_who_holds_the_warehouse_open_is_waited_for(
    begin: Begin, folder: Path, tmp_path: Path
) -> None:
    home = begin(tmp_path / "home")
    write(folder / "ratings_new.csv", 100, 30, range(8))
    with analyst(home.warehouse, 3):
        started = time.monotonic()
        report = night(home, folder)
        assert time.monotonic() - started > 1
    assert report.status in {"done", "warned"}
    assert len(rows(home)) == 70 * 8


def test_names_that_lead_out_of_the_home_are_refused(
    begin: Begin, deeprec: Command, tmp_path: Path
) -> None:
    home = begin(tmp_path / "home")
    outside = tmp_path / "outside.html"
    outside.write_text("mine")
    for told in (
        ["models", "show", "../../outside"],
        ["models", "promote", "../../outside", "--reason", "no"],
        ["models", "rollback", "--run", "../../outside"],
        ["report", "--night", "../../outside"],
        ["reproduce", "../../outside"],
        ["score", "--as-of", "../../outside"],
    ):
        done = deeprec(*told, "--home", str(home.path))
        assert 1 == done.returncode, (told, done.stdout)
        assert done.stderr.startswith("error: "), (told, done.stderr)
    assert "mine" == outside.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "outside.html"]
