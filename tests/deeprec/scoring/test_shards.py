"""Shards in Parquet files: the same rows as without, whatever became of a shard on its way."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import ConfigError, WarehouseError
from deeprec.home import Home
from deeprec.models.prediction import Predictor
from deeprec.scoring.plans import ScoringPlan, shard_files
from deeprec.scoring.publishing import publish_run
from deeprec.scoring.run_folders import run_predictor
from deeprec.scoring.runs import prepare_run
from deeprec.scoring.score import score, score_shard

TABLES = ("predicted_ratings", "recommendations", "movies", "users")


def with_score(config: Config, **settings: object) -> Config:
    told = config.score.model_copy(update={"shards": "parquet", **settings})
    return config.model_copy(update={"score": told})


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    return [query(path, f"select * from {table} order by all") for table in TABLES]


def ledger(path: Path) -> list[tuple[Any, ...]]:
    return query(path, "select * exclude (scored_at) from scoring_shards order by shard")


@pytest.fixture
def expected(trained_home: Home, tiny_config: Config, tmp_path: Path) -> Path:
    """What is published where every shard goes into the run's file."""
    undisturbed = Home(shutil.copytree(trained_home.path, tmp_path / "undisturbed"))
    return score(undisturbed, tiny_config).path


def scored_run(home: Home, config: Config) -> ScoringPlan:
    plan = prepare_run(home, config)
    for shard in range(plan.num_shards):
        score_shard(plan.location, shard)
    return plan


@pytest.mark.parametrize("publish", ["table", "view"])
def test_published_rows_are_those_of_shards_in_duckdb(
    trained_home: Home, tiny_config: Config, expected: Path, publish: str
) -> None:
    report = score(trained_home, with_score(tiny_config, publish=publish))
    assert contents(expected) == contents(report.path)
    assert ledger(expected) == ledger(report.path)
    folders = [folder.name for folder in trained_home.shards.iterdir()]
    assert ([f"run_id={report.run_id}"] if publish == "view" else []) == folders
    with duckdb.connect(str(report.path), read_only=True) as file:
        described = file.execute("describe predicted_ratings").fetchall()
    with duckdb.connect(str(expected), read_only=True) as file:
        assert file.execute("describe predicted_ratings").fetchall() == described


def test_codes_travel_as_predictions_do(
    trained_home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    other = Home(shutil.copytree(trained_home.path, tmp_path / "other"))
    one = score(trained_home, with_score(tiny_config, storage="factored", shards="duckdb"))
    two = score(other, with_score(tiny_config, storage="factored"))
    assert contents(one.path) == contents(two.path)
    assert ledger(one.path) == ledger(two.path)


def test_threads_open_the_model_once(trained_home: Home, tiny_config: Config) -> None:
    opened = []

    def counted(*arguments: object) -> Predictor:
        opened.append(arguments)
        return run_predictor(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:  # the real one is called; only counted here
        patched.setattr("deeprec.scoring.shards.run_predictor", counted)
        score(trained_home, with_score(tiny_config, num_workers=4, shard_cells=400))
    assert 1 == len(opened)


def test_workers_leave_the_runs_file_alone(trained_home: Home, tiny_config: Config) -> None:
    plan = prepare_run(trained_home, with_score(tiny_config))
    file = plan.run_dir / "scores.duckdb"
    before = file.read_bytes()
    with duckdb.connect(str(file)):  # a worker that wanted to open it would wait, then fail
        for shard in range(plan.num_shards):
            report = score_shard(plan.location, shard)
    assert (report.num_users, report.num_predictions) == (1, 26)
    assert before == file.read_bytes()


def test_what_repeated_killed_and_late_attempts_leave_is_not_read(
    trained_home: Home, tiny_config: Config, expected: Path
) -> None:
    plan = scored_run(trained_home, with_score(tiny_config, publish="view"))
    files = shard_files(plan)
    assert score_shard(plan.location, 1).skipped
    late = files.entry(1)
    assert late is not None
    rows = files.read(late)
    files.write(late, rows)  # two were at it, and the ledger names the files of the later
    users = Path(files.url(late, "users"))
    shutil.copy(users, users.with_name(".users.half"))
    assert 8 == len(list(users.parent.iterdir()))
    report = publish_run(trained_home, plan.run_dir, plan_config(plan, tiny_config))
    files.write(late, rows)  # a worker that was forgotten comes in after publishing
    assert contents(expected) == contents(report.path)


def plan_config(plan: ScoringPlan, config: Config) -> Config:
    return config.model_copy(update={"score": plan.config})


def test_a_late_worker_finds_no_folder_to_write_to(trained_home: Home, tiny_config: Config) -> None:
    config = with_score(tiny_config)
    plan = scored_run(trained_home, config)
    files = shard_files(plan)
    entry = files.entry(0)
    assert entry is not None
    rows = files.read(entry)
    publish_run(trained_home, plan.run_dir, config)
    with pytest.raises(FileNotFoundError):
        files.write(entry, rows)
    assert [] == list(trained_home.shards.iterdir())


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def swap_for_another(file: Path) -> None:
    (other,) = file.parents[1].glob("shard=00003/predictions-*.parquet")
    shutil.copy(other, file)


@pytest.mark.parametrize("harm", [truncate, swap_for_another, Path.unlink])
def test_a_harmed_file_is_found_and_its_shard_scored_again(
    trained_home: Home,
    tiny_config: Config,
    expected: Path,
    harm: Any,  # noqa: ANN401 - what is done to a file
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = with_score(tiny_config)
    plan = scored_run(trained_home, config)
    entry = shard_files(plan).entry(2)
    assert entry is not None
    harm(Path(shard_files(plan).url(entry, "predictions")))
    report = publish_run(trained_home, plan.run_dir, config)
    assert ["shard 2 is scored again"] == [line.partition(":")[0] for line in caplog.messages]
    assert contents(expected) == contents(report.path)


def test_a_ledger_that_says_otherwise_than_its_rows_is_found(
    trained_home: Home, tiny_config: Config, expected: Path
) -> None:
    config = with_score(tiny_config)
    plan = scored_run(trained_home, config)
    files = shard_files(plan)
    entry = files.entry(0)
    assert entry is not None
    files.write(entry.model_copy(update={"checksum": entry.checksum + 1}), files.read(entry))
    report = publish_run(trained_home, plan.run_dir, config)
    assert contents(expected) == contents(report.path)
    assert ledger(expected) == ledger(report.path)


def test_a_shard_of_too_few_users_is_found_and_scored_again(
    trained_home: Home, tiny_config: Config, expected: Path
) -> None:
    config = with_score(tiny_config)
    plan = scored_run(trained_home, config)
    last, files = plan.num_shards - 1, shard_files(plan)
    few = files.entry(last)
    assert few is not None
    assert 1 == few.num_users
    files.write(few.model_copy(update={"shard": 0}), files.read(few))  # in itself it is sound
    report = publish_run(trained_home, plan.run_dir, config)
    assert contents(expected) == contents(report.path)


@pytest.mark.parametrize("publish", ["table", "view"])
def test_a_run_with_a_shard_missing_is_not_published_and_goes_on(
    trained_home: Home, tiny_config: Config, expected: Path, publish: str
) -> None:
    config = with_score(tiny_config, publish=publish)
    plan = prepare_run(trained_home, config)
    score_shard(plan.location, 3)
    with pytest.raises(WarehouseError, match="1 of 5 shards"):
        publish_run(trained_home, plan.run_dir, config)
    report = score(trained_home, config)
    assert plan.run_id == report.run_id
    assert contents(expected) == contents(report.path)


def test_views_stay_as_long_as_their_files_are_kept(
    trained_home: Home, tiny_config: Config
) -> None:
    config = with_score(tiny_config, publish="view", keep_past=1)
    runs = [score(trained_home, config).run_id for _ in range(3)]
    assert {f"run_id={run}" for run in runs[1:]} == {
        folder.name for folder in trained_home.shards.iterdir()
    }
    (kept,) = trained_home.past.iterdir()
    assert contents(kept) == contents(trained_home.predictions)


def test_rows_are_carried_over_between_tables_only(trained_home: Home, tiny_config: Config) -> None:
    carried = [
        score(trained_home, with_score(tiny_config, publish=publish)).num_users_carried_over
        for publish in ("table", "table", "view", "table", "table")
    ]
    assert [0, 41, 0, 0, 41] == carried


KILLED = """
import os, signal, sys
from deeprec import places
from deeprec.scoring.score import score_shard
put, left = places.LocalPlace.put, int(sys.argv[2])
def die_before_a_file(*arguments):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    put(*arguments)
places.LocalPlace.put = die_before_a_file
score_shard(sys.argv[1], 0)
"""


@pytest.mark.parametrize("num_files", [2, 3])
def test_a_worker_killed_while_it_writes_leaves_a_shard_that_is_not_scored(
    trained_home: Home, tiny_config: Config, expected: Path, num_files: int
) -> None:
    config = with_score(tiny_config)
    plan = prepare_run(trained_home, config)
    arguments = [plan.location, str(num_files)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert -signal.SIGKILL == killed.returncode
    assert shard_files(plan).entry(0) is None
    report = score(trained_home, config)
    assert contents(expected) == contents(report.path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["score.runner=dask"], 'needs shards = "parquet"'),
        (["score.runner_address=tcp://127.0.0.1:1"], 'needs runner = "dask" or "ray"'),
        (["score.publish=view"], 'needs shards = "parquet"'),
        (["score.publish=view", "score.shards=parquet", "score.storage=factored"], "dense"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(None, settings)


def test_that_a_cluster_is_passed_over_is_said(
    trained_home: Home, tiny_config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    score(trained_home, with_score(tiny_config, runner="dask"))
    assert "dask is for score-flow and nightly-flow; a command scores on threads" in caplog.text
