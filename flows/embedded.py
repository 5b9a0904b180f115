"""A Prefect server for the length of one process, for people who run none.

Prefect has such a server too. It outlives a process that is killed, and is passed over when the
user's profile names another one; this one ends with the process that started it, however that
ends, and keeps everything in the project's home.
"""

import atexit
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from deeprec.errors import DeeprecError
from deeprec.home import Home

_LOOPBACK = "127.0.0.1"
_READY_WITHIN_S = 180.0  # a new home takes 20 s on two cores, for its migrations
_SHUTDOWN_WITHIN_S = 5
_POLL_S = 0.2


class ServerError(DeeprecError):
    """The embedded server did not come up."""


@dataclass(frozen=True)
class EmbeddedServer:
    """A server that is starting, or running."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def wait_until_ready(self) -> None:
        """Return once it answers.

        Raises:
            ServerError: it has ended, or does not answer in time.
        """
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"the embedded Prefect server did not start; see {self.log}")
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(_LOOPBACK, self.port, timeout=5)
        try:
            connection.request("GET", "/api/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def start_server(home: Home) -> EmbeddedServer:
    """Start a server that ends with this process, and point this process's Prefect at it.

    Prefect reads its settings when it is imported, so that comes later.
    """
    assert "prefect" not in sys.modules, "prefect was imported before its settings were made"
    _forget_users_settings()
    atexit.register(_hush)  # registered first, so it runs after Prefect's own
    home.prefect.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the server keeps the log
        "MPLCONFIGDIR": str(home.prefect / "matplotlib"),  # else in the user's home folder
    }
    log = home.prefect / "server.log"
    with log.open("wb") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.embedded"],
            stdin=subprocess.PIPE,  # carries nothing; closes when this process ends
            stdout=subprocess.PIPE,
            stderr=log_file,
            start_new_session=True,  # Ctrl-C is for the run, which then has more to tell it
        )
    assert process.stdout
    with process.stdout:
        port = process.stdout.readline()
    if not port:
        raise ServerError(f"the embedded Prefect server did not start; see {log}")
    os.environ["PREFECT_API_URL"] = f"http://{_LOOPBACK}:{int(port)}/api"
    return EmbeddedServer(process, int(port), log)


def _forget_users_settings() -> None:
    """Settings that lead elsewhere: another server's, and proxies, which loopback needs none of."""
    for name in list(os.environ):
        if name.upper().startswith("PREFECT_") or name.upper().endswith("_PROXY"):
            del os.environ[name]


def _hush() -> None:
    """Drop what is written to standard error once everything of ours has ended.

    Prefect's threads outlast the interpreter, and duckdb's binding takes what they hold for leaks:
    forty lines that nobody can do anything about.
    """
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _serve() -> None:
    """Serve until standard input closes; standard output gets one line, the port."""
    listener = socket.create_server((_LOOPBACK, 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - what the parent reads
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    from prefect.server.api.server import create_app  # noqa: PLC0415 - the parent waits for the port

    settings = uvicorn.Config(
        create_app(ephemeral=True),
        log_level="error",
        timeout_graceful_shutdown=_SHUTDOWN_WITHIN_S,
    )
    server = uvicorn.Server(settings)
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _end_with_parent(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.should_exit = True
    time.sleep(2 * _SHUTDOWN_WITHIN_S)
    os._exit(1)  # it hangs; nobody is left who would wait for it


if __name__ == "__main__":
    _serve()
