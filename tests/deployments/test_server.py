"""What is deployed runs: on a real server, by a real worker, when told to and by itself."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest

from deeprec.config.loading import load_config
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.progress import silent
from deeprec.samples.sample import write_sample
from deeprec.vectors.materialize import materialize

PROJECT = Path(__file__).parents[2]
POSTER = PROJECT / "deployments" / "config" / "poster.toml"
WITHIN_S = 120
SHORT = [
    "train.num_epochs=2",
    "train.optimizer=adam",
    "train.learning_rate=0.001",
    "model.center=biases",
    "model.output_activation=identity",
]
END_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Server(Protocol):
    """The fixture of tests/conftest.py."""

    def prefect(self, *arguments: str, timeout_s: float = ...) -> str: ...

    def api(self, method: str, path: str, body: object = ...) -> Any: ...  # noqa: ANN401 - JSON

    def python(self, program: str) -> str: ...

    def worker_log(self) -> str: ...


@dataclass
class Webhook:
    """A service of somebody else's that wants to be told; its address is on loopback."""

    url: str
    folder: Path
    calls: list[str] = field(default_factory=list)

    def automation(self, server: Server) -> Path:
        """The project's example with the id of a block that holds the address."""
        server.prefect("block", "register", "-m", "prefect.blocks.webhook")
        block = json.loads(
            server.python(
                "import json; from prefect.blocks.webhook import Webhook; "
                f"print(json.dumps(str(Webhook(url={self.url!r}).save('night-webhook'))))"
            )
        )
        example = (PROJECT / "deployments" / "automations" / "night.yaml").read_text()
        file = self.folder / "night.yaml"
        file.write_text(example.replace("00000000-0000-0000-0000-000000000000", block))
        return file

    def wait_for_calls(self, count: int, within_s: float) -> str:
        """The last of so many calls."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if len(self.calls) >= count:
                return self.calls[count - 1]
            time.sleep(0.2)
        pytest.fail(f"the webhook was called {len(self.calls)} times, not {count}")


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Webhook]:
    hook = Webhook("", tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.calls.append(body.decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as service:
        hook.url = f"http://127.0.0.1:{service.server_port}/"
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield hook
        service.shutdown()
        thread.join()


@pytest.fixture
def home(home: Home) -> Home:
    """A home with vectors to train on."""
    sample = home.path / "sample"
    write_sample(sample, num_users=60, num_movies=20, num_ratings=500)
    config = load_config(POSTER)
    ingest(home, [str(sample)], config, silent)
    materialize(home, config, silent)
    return home


def run_by_command(server: Server, deployment: str, **parameters: object) -> None:
    """Trigger a run and follow it; unless it completes the test fails, with its log."""
    given = [f"--param={name}={json.dumps(value)}" for name, value in parameters.items()]
    arguments = ["deployment", "run", deployment, *given, "--watch", f"--watch-timeout={WITHIN_S}"]
    server.prefect(*arguments, timeout_s=WITHIN_S + 30)


def start(server: Server, deployment: str, **parameters: object) -> str:
    """The id of a run that has been asked for, as a click in the server's pages asks for one."""
    deployment_id = server.api("GET", f"/deployments/name/{deployment}")["id"]
    begun: dict[str, Any] = server.api(
        "POST", f"/deployments/{deployment_id}/create_flow_run", {"parameters": parameters}
    )
    return str(begun["id"])


def end_as_if_killed(server: Server, deployment: str, message: str) -> None:
    """A run that nobody began, in the state of one that died, as a worker reports it."""
    deployment_id = server.api("GET", f"/deployments/name/{deployment}")["id"]
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}
    path = f"/deployments/{deployment_id}/create_flow_run"
    run_id = server.api("POST", path, {"state": later})["id"]
    died = {"state": {"type": "CRASHED", "name": "Crashed", "message": message}, "force": True}
    server.api("POST", f"/flow_runs/{run_id}/set_state", died)


def run_to_the_end(server: Server, deployment: str, **parameters: object) -> None:
    """Start a run and wait for it; unless it completes the test fails, with its log."""
    run_id = start(server, deployment, **parameters)
    deadline = time.monotonic() + WITHIN_S
    while (state := server.api("GET", f"/flow_runs/{run_id}")["state_type"]) not in END_STATES:
        if time.monotonic() > deadline:
            pytest.fail(f"{deployment} is {state} after {WITHIN_S} s\n{server.worker_log()}")
        time.sleep(0.5)
    assert "COMPLETED" == state, server.worker_log()


def scheduled_runs(server: Server, deployment_id: str) -> list[dict[str, Any]]:
    """Runs that the server made by itself and that have ended."""
    query = {
        "deployments": {"id": {"any_": [deployment_id]}},
        "flow_runs": {"state": {"type": {"any_": sorted(END_STATES)}}},
    }
    runs: list[dict[str, Any]] = server.api("POST", "/flow_runs/filter", query)
    return [run for run in runs if run["auto_scheduled"]]


def artifacts(server: Server, kind: str, key: str) -> list[dict[str, Any]]:
    """Those of a kind and key that the server holds."""
    query = {"artifacts": {"type": {"any_": [kind]}, "key": {"any_": [key]}}}
    found: list[dict[str, Any]] = server.api("POST", "/artifacts/filter", query)
    return found


def wait_for_a_scheduled_run(server: Server, deployment: str) -> dict[str, Any]:
    deployment_id = server.api("GET", f"/deployments/name/{deployment}")["id"]
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if ended := scheduled_runs(server, deployment_id):
            return ended[0]
        time.sleep(1)
    pytest.fail(f"no schedule has fired within {WITHIN_S} s\n{server.worker_log()}")


@pytest.mark.server
@pytest.mark.timeout(600)
def test_a_night_runs_when_told_to_and_by_its_schedule_and_it_is_told_how_nights_fail(
    home: Home, server: Server, webhook: Webhook
) -> None:
    drop = [str(home.path / "sample")]
    run_by_command(server, "nightly-flow/nightly", sources=drop, overrides=SHORT)
    assert home.predictions.exists()
    (night,) = artifacts(server, "markdown", "night")
    assert "published run" in night["data"]
    (checks,) = artifacts(server, "markdown", "night-checks")
    assert r"scores/as\_the\_ledger\_says | healthy" in checks["data"]

    server.prefect("automation", "create", "--from-file", str(webhook.automation(server)))
    start(server, "nightly-flow/nightly", sources=[f"{home.path}/none"])
    told = webhook.wait_for_calls(1, WITHIN_S)
    assert "failed" in told
    assert "no such file or folder" in told
    end_as_if_killed(server, "train-flow/manual", "not of a night")
    end_as_if_killed(server, "nightly-flow/nightly", "killed by signal 9")
    assert "deeprec: a night has died: killed by signal 9" in webhook.wait_for_calls(2, WITHIN_S)

    first = home.predictions.stat().st_ino
    run_by_command(server, "train-flow/manual", overrides=SHORT)
    assert 1 == len(list(home.models.iterdir()))
    run_to_the_end(server, "score-flow/manual")
    assert first != home.predictions.stat().st_ino

    second = home.predictions.stat().st_ino
    server.prefect(
        *("deployment", "schedule", "create", "nightly-flow/nightly", "--interval=15", "-y"),
    )
    ended = wait_for_a_scheduled_run(server, "nightly-flow/nightly")
    assert "FAILED" == ended["state_type"], server.worker_log()  # its drop folder is not there
    assert second == home.predictions.stat().st_ino


@pytest.mark.long
@pytest.mark.server
@pytest.mark.timeout(600)
def test_an_experiment_runs_when_told_to(home: Home, server: Server) -> None:
    run_to_the_end(
        server,
        "experiment-flow/manual",
        sources=[str(home.path / "sample")],
        protocol="random-90-10",
        only=["shallow-128"],
        overrides=["train.num_epochs=2"],
    )
    (page,) = artifacts(server, "markdown", "experiment-poster")
    assert "shallow-128" in page["data"]
    assert "data:image/png;base64," in page["data"]
