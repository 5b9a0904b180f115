"""A real Prefect server on loopback, a process worker, and the project deployed to them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from socket import create_server

import pytest

from deeprec.home import Home

PROJECT = Path(__file__).parents[2]
PREFECT_FILE = PROJECT / "deployments" / "prefect.yaml"
READY_WITHIN_S = 120


@dataclass(frozen=True)
class PrefectServer:
    """A running server, spoken to through the command line."""

    environment: dict[str, str]
    logs: Path

    def prefect(self, *arguments: str, timeout_s: float = 120) -> str:
        """What the command prints; its failure is the test's, with the worker's log."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=PROJECT,
            env=self.environment,
            timeout=timeout_s,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"prefect {' '.join(arguments)}:\n{done.stdout}\n{self.worker_log()}")
        return done.stdout

    def python(self, program: str) -> str:
        """What a program of a line prints that speaks to the server."""
        return subprocess.run(
            [sys.executable, "-c", program],
            env=self.environment,
            timeout=120,
            text=True,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout

    @contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A long-running command, which is ended with the block."""
        with (self.logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                cwd=PROJECT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def worker_log(self) -> str:
        log = self.logs / "worker.log"
        return log.read_text(errors="replace")[-8000:] if log.exists() else ""


@pytest.fixture
def server(tmp_path: Path, home: Home) -> Iterator[PrefectServer]:
    """A server with everything deployed and a worker at work, whose home is the test's."""
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    } | {
        "DEEPREC_HOME": str(home.path),
        "DO_NOT_TRACK": "1",
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    started = PrefectServer(environment, tmp_path)
    with started.running("server", "server", "start", "--port", str(port)) as process:
        _wait_until_ready(port, process, tmp_path / "server.log")
        started.prefect("--no-prompt", "work-pool", "create", "deeprec", "--type", "process")
        started.prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE))
        with started.running("worker", "worker", "start", "--pool", "deeprec"):
            yield started


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(port):
            return
        time.sleep(0.2)
    pytest.fail(f"the Prefect server did not start:\n{log.read_text(errors='replace')}")


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
