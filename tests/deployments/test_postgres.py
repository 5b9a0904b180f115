"""The server on a real PostgreSQL, killed in mid run and started again: the run ends whole."""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest

from deeprec.config import Config, load_config
from deeprec.home import Home
from deeprec.ingestion import ingest
from deeprec.progress import silent
from deeprec.sample import write_sample
from deeprec.stages import import_stage
from deeprec.vectors import materialize
from deeprec.warehouse import open_database

POSTER = Path(__file__).parents[2] / "deployments" / "config" / "poster.toml"
SHORT = ("train.num_epochs=2",)
WITHIN_S = 60
UNUSUAL = "@:/%? "  # what a password may hold and an address may not


class Server(Protocol):
    """The fixture of conftest.py."""

    def kill(self) -> None: ...

    def start(self) -> None: ...

    def prefect(self, *arguments: str, timeout_s: float = ...) -> str: ...

    def api(self, method: str, path: str, body: object = ...) -> Any: ...  # noqa: ANN401 - JSON

    def worker_log(self) -> str: ...


@pytest.fixture
def database() -> Iterator[dict[str, str]]:
    """A new PostgreSQL on loopback that asks for a password, gone with the test."""
    password = secrets.token_urlsafe() + UNUSUAL
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "password").write_text(password)
        if os.geteuid() == 0:
            for path in (place, place / "password"):
                shutil.chown(path, "nobody")
        postgres(
            "initdb", "--auth=scram-sha-256", "--username=deeprec", "--no-sync",
            f"--pwfile={place}/password", "--encoding=UTF8", "--locale=C.UTF-8", "--pgdata", f"{place}/data",
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        postgres("pg_ctl", "start", "--wait", "--pgdata", f"{place}/data", "--options", options, "--log", f"{place}/log")
        try:
            yield {
                "PREFECT_SERVER_DATABASE_DRIVER": "postgresql+asyncpg",
                "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
                "PREFECT_SERVER_DATABASE_PORT": str(port),
                "PREFECT_SERVER_DATABASE_NAME": "postgres",
                "PREFECT_SERVER_DATABASE_USER": "deeprec",
                "PREFECT_SERVER_DATABASE_PASSWORD": password,
            }
        finally:
            postgres("pg_ctl", "stop", "--mode=immediate", "--pgdata", f"{place}/data")


def postgres(program: str, *arguments: str) -> None:
    where = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    found = shutil.which(program, path=where)
    if not found:
        pytest.skip(f"PostgreSQL is not installed: no {program}")
    unprivileged: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run([found, *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL, **unprivileged)


@pytest.mark.server
@pytest.mark.timeout(600)
def test_a_run_outlives_the_server(home: Home, server: Server) -> None:
    t0 = time.monotonic()
    say = lambda *a: print(f"{time.monotonic()-t0:.1f}", *a, flush=True)
    sample = home.path / "sample"
    write_sample(sample, num_users=60, num_movies=20, num_ratings=500)
    say("sample")
    dep = server.api("GET", "/deployments/name/pipeline-flow/manual")
    run = server.api("POST", f"/deployments/{dep['id']}/create_flow_run", {"parameters": {"sources": [str(sample)], "config": str(POSTER), "overrides": list(SHORT)}})
    say("created", run["id"])
    phase = os.environ.get("PHASE", "train-flow")
    while True:
        flows = server.api("POST", "/flow_runs/filter", {})
        names = {f["id"]: (f["name"], f["state_type"], f["parent_task_run_id"]) for f in flows}
        fl = server.api("POST", "/flows/filter", {"flows": {"name": {"any_": [phase]}}, "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}})
        if fl: break
        time.sleep(0.1)
    say("kill", names)
    server.kill()
    time.sleep(float(os.environ.get("DOWN", "0")))
    server.start()
    say("up")
    while True:
        state = server.api("GET", f"/flow_runs/{run['id']}")
        if state["state_type"] in {"COMPLETED", "FAILED", "CRASHED"}: break
        time.sleep(0.3)
    say(state["state_type"], state["state"]["message"])
    say([(f["name"], f["state_type"], f["state"]["message"]) for f in server.api("POST", "/flow_runs/filter", {})])
    if state["state_type"] != "COMPLETED":
        print(server.worker_log())
    assert state["state_type"] == "COMPLETED"
