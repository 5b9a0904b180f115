"""A worker that is killed in the middle of a night: a new one, told to run it, ends it whole."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any, Protocol

import duckdb
import pytest

from deeprec.home import Home
from deeprec.samples.sample import write_sample

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
AUTOMATIONS = DEPLOYMENTS / "automations"
POSTER = DEPLOYMENTS / "config" / "poster.toml"
NUM_MOVIES = 20
WORKER = ("worker", "start", "--pool", "deeprec")
WITHIN_S = 180
SETTINGS = [
    "train.optimizer=adam",
    "train.learning_rate=0.001",
    "train.patience=1000",
    "train.checkpoint_every_s=0",
    "model.center=biases",
    "model.output_activation=identity",
]
LENGTHY, SHORT = ([*SETTINGS, f"train.num_epochs={epochs}"] for epochs in (3000, 2))
END_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Server(Protocol):
    """The fixture of tests/conftest.py."""

    worker: Popen[bytes] | None

    def prefect(self, *arguments: str, timeout_s: float = ...) -> str: ...

    def begin(self, name: str, *arguments: str) -> Popen[bytes]: ...

    def api(self, method: str, path: str, body: object = ...) -> Any: ...  # noqa: ANN401 - JSON

    def worker_log(self) -> str: ...


def start_night(server: Server, sample: Path, overrides: list[str]) -> str:
    """The id of a run that has been asked for."""
    deployment = server.api("GET", "/deployments/name/nightly-flow/nightly")
    parameters = {"sources": [str(sample)], "config": str(POSTER), "overrides": overrides}
    begun = server.api(
        "POST", f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters}
    )
    run_id: str = begun["id"]
    return run_id


def wait_until(server: Server, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {WITHIN_S} s in vain\n{server.worker_log()}")
        time.sleep(0.2)


def state_type(server: Server, run_id: str) -> str:
    kind: str = server.api("GET", f"/flow_runs/{run_id}")["state_type"]
    return kind


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found


def kill_with_its_runs(worker: Popen[bytes]) -> None:
    """The worker first, so that it can tell nobody."""
    runs = descendants(worker.pid)
    assert runs, "the worker had no run"
    for pid in (worker.pid, *runs):
        os.kill(pid, signal.SIGKILL)
    worker.wait()


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.server
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker's runs under /proc")
def test_a_new_worker_ends_the_night_that_died_with_the_last(
    is_long: bool, home: Home, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if not is_long:
        pytest.skip("takes minutes; set DEEPREC_FAULTS=long to kill a worker")
    server: Server = request.getfixturevalue("server")
    sample = tmp_path / "sample"
    write_sample(sample, num_users=60, num_movies=NUM_MOVIES, num_ratings=500)

    example = (AUTOMATIONS / "dead-runs.yaml").read_text()
    sooner = tmp_path / "dead-runs.yaml"
    sooner.write_text(example.replace("within: 600", "within: 75"))  # heartbeats come every 30 s
    server.prefect("automation", "create", "--from-file", str(sooner))

    died = start_night(server, sample, LENGTHY)
    wait_until(server, lambda: any(home.path.glob("checkpoints/*")))
    assert server.worker
    kill_with_its_runs(server.worker)
    assert not home.predictions.exists()
    assert [("running",)] == rows(home.warehouse, "select status from nights")
    # Nobody is left to say so, and a deployment of one run at a time would wait for it for ever.
    wait_until(server, lambda: state_type(server, died) == "CRASHED")

    worker = server.begin("worker", *WORKER)
    try:
        again = start_night(server, sample, SHORT)
        wait_until(server, lambda: state_type(server, again) in END_STATES)
        assert "COMPLETED" == state_type(server, again), server.worker_log()
    finally:
        worker.terminate()
        worker.wait(timeout=30)
    assert_whole(home)


def assert_whole(home: Home) -> None:
    """One run's rows for every user and movie, once; the first night failed, the second did not."""
    (nights,) = [rows(home.warehouse, "select status from nights order by started_at")]
    assert "failed" == nights[0][0]
    assert 2 == len(nights)
    assert nights[1][0] in {"done", "warned"}
    ((num_users,),) = rows(home.warehouse, "select count(*) from users")
    ((num_rows, num_pairs),) = rows(
        home.predictions,
        "select count(*), count(distinct (user_id, movie_id)) from predicted_ratings",
    )
    assert num_users * NUM_MOVIES == num_rows == num_pairs
    ((in_file, on_shards),) = rows(
        home.predictions, "select count(*), count(distinct shard) from scoring_shards"
    )
    assert in_file == on_shards
    assert [(1,)] == rows(home.warehouse, "select count(*) from publications")
    assert [("published",)] == rows(home.warehouse, "select status from scoring_runs")
    assert [(500, 500)] == rows(
        home.warehouse, "select count(*), count(distinct (user_id, movie_id)) from ratings"
    )
    assert 1 == len(list(home.models.iterdir()))
    assert not any(home.runs.iterdir())
