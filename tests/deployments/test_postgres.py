"""The server on a real PostgreSQL, killed in mid run and started again: the run ends whole."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import duckdb
import pytest
from ruamel.yaml import YAML

from deeprec.config.loading import load_config
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.samples.sample import write_sample
from deeprec.scoring.score import score
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
POSTER = DEPLOYMENTS / "config" / "poster.toml"
SHORT = [  # each epoch is better than the one before
    "train.num_epochs=2",
    "train.optimizer=adam",
    "train.learning_rate=0.001",
    "model.center=biases",
    "model.output_activation=identity",
]
PUBLISHED = ("predicted_ratings", "recommendations", "movies", "users")
WITHIN_S = 120
END_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
ROOT = 0
DEBIANS_PLACE = Path("/usr/lib/postgresql")
NO_ADDRESS = "@:/%? "  # what a password may hold and an address may not


class Server(Protocol):
    """The fixture of tests/conftest.py."""

    port: int
    worker_port: int

    def kill(self) -> None: ...

    def start(self) -> None: ...

    def api(self, method: str, path: str, body: object = ...) -> Any: ...  # noqa: ANN401 - JSON

    def worker_log(self) -> str: ...


@pytest.fixture
def database() -> Iterator[dict[str, str]]:
    """A new PostgreSQL on loopback that asks for a password; it is gone after the test."""
    password = secrets.token_urlsafe() + NO_ADDRESS
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    # Not in tmp_path: only its owner may enter that.
    with (
        TemporaryDirectory(prefix="postgres-") as folder,
        running_postgres(Path(folder), port, password),
    ):
        yield {
            "PREFECT_SERVER_DATABASE_DRIVER": "postgresql+asyncpg",
            "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
            "PREFECT_SERVER_DATABASE_PORT": str(port),
            "PREFECT_SERVER_DATABASE_NAME": "postgres",
            "PREFECT_SERVER_DATABASE_USER": "deeprec",
            "PREFECT_SERVER_DATABASE_PASSWORD": password,
        }


@contextmanager
def running_postgres(folder: Path, port: int, password: str) -> Iterator[None]:
    """A database cluster in the folder, at work until the block ends."""
    password_file, data = folder / "password", folder / "data"
    password_file.write_text(password)
    if os.geteuid() == ROOT:
        shutil.chown(folder, "nobody")
        shutil.chown(password_file, "nobody")
    access = [f"--pwfile={password_file}", "--username=deeprec", "--auth=scram-sha-256"]
    run("initdb", f"--pgdata={data}", *access, "--locale=C.UTF-8", "--no-sync")
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "start", "--wait", f"--pgdata={data}", f"--log={folder}/log", "-o", settings)
    try:
        yield
    finally:
        run("pg_ctl", "stop", f"--pgdata={data}", "--mode=immediate")


def run(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs, which refuse to serve as root."""
    path = os.pathsep.join([os.environ["PATH"], *map(str, DEBIANS_PLACE.glob("*/bin"))])
    found = shutil.which(program, path=path)
    if not found:
        pytest.skip(f"PostgreSQL is not at hand: {program} is not installed")
    as_whom: dict[str, Any] = {"user": "nobody", "extra_groups": []}
    subprocess.run(
        [found, *arguments],
        check=True,
        cwd="/",
        stdout=subprocess.DEVNULL,
        **(as_whom if os.geteuid() == ROOT else {}),
    )


def start_pipeline(server: Server, sample: Path) -> str:
    """The id of a run whose sources are named by a Prefect variable."""
    server.api("POST", "/variables/", {"name": "deeprec_sources", "value": [str(sample)]})
    deployment = server.api("GET", "/deployments/name/pipeline-flow/manual")
    parameters = {
        "sources": {"__prefect_kind": "workspace_variable", "variable_name": "deeprec_sources"},
        "config": str(POSTER),
        "overrides": SHORT,
    }
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


def is_running(server: Server, flow: str) -> bool:
    query = {
        "flows": {"name": {"any_": [flow]}},
        "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}},
    }
    return bool(server.api("POST", "/flow_runs/filter", query))


def state_type(server: Server, run_id: str) -> str:
    kind: str = server.api("GET", f"/flow_runs/{run_id}")["state_type"]
    return kind


def is_well(service: str, port: int) -> bool:
    """What the health check of compose.yaml says of a service of ours."""
    services = YAML(typ="safe").load(DEPLOYMENTS / "compose.yaml")["services"]
    code = re.sub(r":\d+/", f":{port}/", services[service]["healthcheck"]["test"][-1])
    return not subprocess.run([sys.executable, "-c", code], check=False).returncode


def publish_undisturbed(home: Home, sample: Path) -> None:
    """What pipeline-flow does, without Prefect."""
    config = load_config(POSTER, SHORT)
    ingest(home, [str(sample)], config)
    materialize(home, config)
    train(home, config)
    score(home, config)


def contents(home: Home) -> list[list[tuple[Any, ...]]]:
    with duckdb.connect(str(home.predictions), read_only=True) as connection:
        return [
            connection.execute(f"select * from {table} order by all").fetchall()
            for table in PUBLISHED
        ]


@pytest.mark.long
@pytest.mark.server
@pytest.mark.timeout(600)
def test_a_run_outlives_a_server_that_is_killed(home: Home, server: Server, tmp_path: Path) -> None:
    sample, undisturbed = tmp_path / "sample", Home(tmp_path / "undisturbed")
    write_sample(sample, num_users=60, num_movies=20, num_ratings=500)

    run_id = start_pipeline(server, sample)
    wait_until(server, lambda: is_running(server, "train-flow"))
    server.kill()
    assert not home.predictions.exists()
    server.start()
    wait_until(server, lambda: state_type(server, run_id) in END_STATES)

    assert "COMPLETED" == state_type(server, run_id), server.worker_log()
    assert is_well("server", server.port)
    assert is_well("worker", server.worker_port)
    publish_undisturbed(undisturbed, sample)
    assert contents(undisturbed) == contents(home)
    assert [] == list(tmp_path.glob("prefect/*.db")), "the server kept its records in SQLite"
