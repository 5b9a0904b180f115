"""Fixtures that every test may use: a fresh home, the real data sets, a device, a Prefect server.

The server is a real one on loopback, with a process worker and the project deployed to them.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from deeprec.config.section import Device
from deeprec.home import Home

PROJECT = Path(__file__).parents[1]
NURSERY = Path(__file__).with_name("nursery.py")
DEPLOY = PROJECT / "deployments" / "deploy.sh"
WORKER = ("worker", "start", "--pool", "deeprec", "--with-healthcheck")
READY_WITHIN_S = 120
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

# How long an example takes says what else the machine is doing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process is left waiting for another's at the end.

    Those marked `long` run only where they are asked for.
    """
    if os.environ.get("DEEPREC_TESTS") != "long":
        skipped = pytest.mark.skip(reason="takes minutes; `make test-long` runs it")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skipped)
    items.sort(key=lambda item: item.get_closest_marker("server") is None)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


Command = Callable[..., subprocess.CompletedProcess[str]]
MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@dataclass(frozen=True)
class Nursery:
    """Where Python processes are born with everything imported, one at a time."""

    process: subprocess.Popen[str]
    stdout: Path
    stderr: Path

    def begin(self, *arguments: str, **environment: str) -> int:
        """The id of a process begun with Python's arguments, in this one's environment and some."""
        for file in (self.stdout, self.stderr):
            file.unlink(missing_ok=True)
        told = {
            "arguments": arguments,
            "environment": os.environ | environment,
            "stdout": str(self.stdout),
            "stderr": str(self.stderr),
        }
        assert self.process.stdin
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def ended(self) -> int:
        """How it has ended: 0 when it went through."""
        return os.waitstatus_to_exitcode(int(self._line()))

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What became of a process, and what it printed."""
        self.begin(*arguments, **environment)
        returncode = self.ended()
        printed = (self.stdout.read_text(), self.stderr.read_text())
        return subprocess.CompletedProcess(arguments, returncode, *printed)

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    folder = tmp_path_factory.mktemp("nursery")
    with subprocess.Popen(
        [sys.executable, "-P", str(NURSERY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)},
    ) as process:
        assert process.stdout
        assert "ready\n" == process.stdout.readline()
        yield Nursery(process, folder / "stdout", folder / "stderr")
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="session")
def python(nursery: Nursery) -> Command:
    """Runs Python, with its imports done."""
    return nursery.run


@pytest.fixture(scope="session")
def deeprec(python: Command) -> Command:
    """Runs the command."""
    return partial(python, "-m", "deeprec.cli")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real ratings are not at hand: {SHARED_DATA} does not exist")
    return SHARED_DATA


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> Device:
    import torch  # noqa: PLC0415 - three seconds that most tests need not spend

    name: Device = request.param
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU that torch can use")
    return name


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """A folder of a name that the first who asks for it fills."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, made = root / name, root / f"{name}.made"
        with FileLock(root / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                made.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def migrated(once: MakeOnce) -> Path:
    """A Prefect home whose database has every migration, to be copied: they take seconds."""

    def fill(folder: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
            env=without_prefect() | {"DO_NOT_TRACK": "1", "PREFECT_HOME": str(folder)},
            check=True,
            capture_output=True,
        )

    return once("migrated", fill)


def without_prefect() -> dict[str, str]:
    """This process's environment, less Prefect's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


@dataclass
class PrefectServer:
    """A server that can be killed and started again, spoken to through the command line."""

    environment: dict[str, str]
    logs: Path
    port: int
    worker_port: int  # of its health check
    database: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it answers, on the same port each time."""
        arguments = ["server", "start", "--port", str(self.port)]
        self.process = self._begin("server", arguments, self.environment | self.database)
        _wait_until_ready(self.port, self.process, self.logs / "server.log")

    def kill(self) -> None:
        """End it as a power cut would: it writes nothing more."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it in good order, if it was started."""
        if self.process:
            _end(self.process)

    def deploy(self, team: str = "") -> None:
        """Deploy everything, in the name of a team if there is one, as containers do."""
        self._run("sh", str(DEPLOY), "process", DEEPREC_TEAM=team)

    def prefect(self, *arguments: str, timeout_s: float = 120) -> str:
        """What the command prints; its failure is the test's, with the worker's log."""
        return self._run(sys.executable, "-m", "prefect", *arguments, timeout_s=timeout_s)

    def _run(self, *command: str, timeout_s: float = 120, **variables: str) -> str:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=self.environment | variables,
            timeout=timeout_s,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{' '.join(command)}:\n{done.stdout}\n{self.worker_log()}")
        return done.stdout

    def api(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """What the server answers, without a command's two seconds."""
        from prefect.client.base import (  # noqa: PLC0415 - two seconds that most tests need not spend
            PrefectHttpxSyncClient,
        )

        with PrefectHttpxSyncClient(base_url=self.environment["PREFECT_API_URL"]) as client:
            return client.request(method, path, json=body).json()

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
        process = self.begin(name, *arguments)
        try:
            yield process
        finally:
            _end(process)

    def begin(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A long-running command, which its caller ends."""
        return self._begin(name, arguments, self.environment)

    def worker_log(self) -> str:
        log = self.logs / "worker.log"
        return log.read_text(errors="replace")[-8000:] if log.exists() else ""

    def _begin(
        self, name: str, arguments: Iterable[str], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with (self.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                cwd=PROJECT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@pytest.fixture
def database() -> dict[str, str]:
    """Settings of the server's database; with none it is SQLite, in the server's own folder."""
    return {}


@pytest.fixture
def server(
    tmp_path: Path, home: Home, database: dict[str, str], migrated: Path
) -> Iterator[PrefectServer]:
    """A server with everything deployed and a worker at work, whose home is the test's."""
    port, worker_port = _free_ports(2)
    if not database:
        shutil.copytree(migrated, tmp_path / "prefect")
    environment = without_prefect() | {
        "DEEPREC_HOME": str(home.path),
        "DO_NOT_TRACK": "1",
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
        "PREFECT_WORKER_WEBSERVER_PORT": str(worker_port),
    }
    started = PrefectServer(environment, tmp_path, port, worker_port, database)
    try:
        started.start()
        started.deploy()
        with started.running("worker", *WORKER) as started.worker:
            yield started
    finally:
        started.stop()


def _free_ports(count: int) -> list[int]:
    """Ports of loopback, no two the same."""
    with ExitStack() as held:
        listeners = [held.enter_context(create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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
