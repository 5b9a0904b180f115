"""What is deployed runs: on a real server, by a real worker, when told to and by itself."""

import json
import time
from pathlib import Path
from typing import Any, Protocol

import pytest

from deeprec.config import load_config
from deeprec.home import Home
from deeprec.ingestion import ingest
from deeprec.progress import silent
from deeprec.sample import write_sample
from deeprec.vectors import materialize

POSTER = Path(__file__).parents[2] / "deployments" / "config" / "poster.toml"
WITHIN_S = 120
SHORT = '["train.num_epochs=2"]'
END_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Server(Protocol):
    """The fixture of conftest.py."""

    def prefect(self, *arguments: str, timeout_s: float = ...) -> str: ...

    def worker_log(self) -> str: ...


@pytest.fixture
def home(home: Home) -> Home:
    """A home with vectors to train on."""
    sample = home.path / "sample"
    write_sample(sample, num_users=60, num_movies=20, num_ratings=500)
    config = load_config(POSTER)
    ingest(home, [str(sample)], config, silent)
    materialize(home, config, silent)
    return home


def run_to_the_end(server: Server, deployment: str, **parameters: str) -> None:
    """Trigger a run and follow it; unless it completes the test fails, with its log."""
    given = [f"--param={name}={value}" for name, value in parameters.items()]
    arguments = ["deployment", "run", deployment, *given, "--watch", f"--watch-timeout={WITHIN_S}"]
    server.prefect(*arguments, timeout_s=WITHIN_S + 30)


def scheduled_runs(server: Server, deployment_id: str) -> list[dict[str, Any]]:
    """Runs that the server made by itself and that have ended."""
    query = {
        "deployments": {"id": {"any_": [deployment_id]}},
        "flow_runs": {"state": {"type": {"any_": sorted(END_STATES)}}},
    }
    answer = server.prefect("api", "POST", "/flow_runs/filter", "--data", json.dumps(query))
    runs: list[dict[str, Any]] = json.loads(answer)
    return [run for run in runs if run["auto_scheduled"]]


def artifacts(server: Server, kind: str, key: str) -> list[dict[str, Any]]:
    """Those of a kind and key that the server holds."""
    query = {"artifacts": {"type": {"any_": [kind]}, "key": {"any_": [key]}}}
    answer = server.prefect("api", "POST", "/artifacts/filter", "--data", json.dumps(query))
    found: list[dict[str, Any]] = json.loads(answer)
    return found


def wait_for_a_scheduled_run(server: Server, deployment: str) -> dict[str, Any]:
    found = server.prefect("api", "GET", f"/deployments/name/{deployment}")
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if ended := scheduled_runs(server, json.loads(found)["id"]):
            return ended[0]
        time.sleep(1)
    pytest.fail(f"no schedule has fired within {WITHIN_S} s\n{server.worker_log()}")


@pytest.mark.server
@pytest.mark.timeout(600)
def test_train_and_score_run_when_told_to_and_a_schedule_fires_by_itself(
    home: Home, server: Server
) -> None:
    run_to_the_end(server, "train-flow/weekly", overrides=SHORT)
    assert 1 == len(list(home.models.iterdir()))

    run_to_the_end(server, "score-flow/nightly")
    first = home.predictions.stat().st_ino

    server.prefect("deployment", "schedule", "create", "score-flow/nightly", "--interval=15", "-y")
    run = wait_for_a_scheduled_run(server, "score-flow/nightly")
    assert "COMPLETED" == run["state_type"], server.worker_log()
    assert first != home.predictions.stat().st_ino

    run_to_the_end(
        server,
        "experiment-flow/manual",
        sources=json.dumps([str(home.path / "sample")]),
        protocol="random-90-10",
        only='["shallow-128"]',
        overrides=SHORT,
    )
    (page,) = artifacts(server, "markdown", "experiment-poster")
    assert "shallow-128" in page["data"]
    assert "data:image/png;base64," in page["data"]
