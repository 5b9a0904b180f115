"""What flows score shards on: threads of this process, or the workers of a cluster."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from socket import create_connection
from typing import Any
from urllib.parse import urlsplit

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from deeprec.config.scoring import ScoreConfig
from deeprec.errors import ConfigError, DeeprecError
from deeprec.models.bundles import installed_versions

_LOOPBACK = "127.0.0.1"
_ANSWERS_WITHIN_S = 30.0  # a cluster that is started along with the run is not there at once
_POLL_S = 0.5
_SILENT_FOR_S = 60  # a worker of our own; Dask would give it five minutes
_NOT_FOR_SCORING = {"python", "torch", "onnx"}  # a worker may have others, or none


class ClusterError(DeeprecError):
    """A cluster that cannot be scored on: nobody answers, or it has not what we have."""


def open_runner(config: ScoreConfig) -> TaskRunner[Any]:
    """The one that the configuration names; without an address, on a cluster of its own.

    Raises:
        ConfigError: its extra is not installed.
    """
    if config.runner == "dask":
        return _dask(config)
    if config.runner == "ray":
        return _ray(config)
    return ThreadPoolTaskRunner(config.num_workers)


def require_cluster(config: ScoreConfig) -> None:
    """Return once the address of the configuration answers; at once without one.

    Dask would wait for ever for somebody who takes connections and then says nothing.

    Raises:
        ConfigError: it is no address.
        ClusterError: nobody answers there in time.
    """
    if not config.runner_address:
        return
    host_and_port = _host_and_port(config.runner_address)
    scheme = config.runner_address.rpartition("://")[0]
    speaks_first = config.runner == "dask" and scheme in {"", "tcp"}
    deadline = time.monotonic() + _ANSWERS_WITHIN_S
    while True:
        try:
            with create_connection(host_and_port, timeout=_ANSWERS_WITHIN_S) as connection:
                if not speaks_first or connection.recv(1):
                    return
                raise ConnectionError("it hung up")
        except OSError as error:
            if time.monotonic() + _POLL_S > deadline:
                raise ClusterError(
                    f"score.runner_address = {config.runner_address}: nobody answers there "
                    f"({error}); start the cluster, then run this again"
                ) from error
            time.sleep(_POLL_S)


@contextmanager
def workers(config: ScoreConfig) -> Iterator[TaskRunner[Any]]:
    """A runner that takes tasks, for as long as the block lasts.

    Raises:
        ConfigError: its extra is not installed, or the address is none.
        ClusterError: the cluster does not answer, or has no worker.
    """
    runner = open_runner(config)
    require_cluster(config)
    with ExitStack() as opened:
        try:
            opened.enter_context(runner)
            if config.runner == "dask" and config.runner_address:
                _require_dask_worker(runner)
        except OSError as error:  # Dask's and Ray's own are OSErrors too
            if not config.runner_address:
                raise
            raise ClusterError(
                f"score.runner_address = {config.runner_address}: what answers there is no "
                f"{config.runner.title()} cluster with a worker that takes us ({error}); see to "
                "the cluster, then run this again"
            ) from error
        yield runner


def require_versions(expected: Mapping[str, str]) -> None:
    """Refuse to score here what is scored elsewhere with other versions: rows could differ.

    Raises:
        ClusterError: something that decides rows is installed in another version.
    """
    here = installed_versions()
    differ = [
        f"{package} {here[package]}, not {version}"
        for package, version in expected.items()
        if package not in _NOT_FOR_SCORING and here.get(package, version) != version
    ]
    if differ:
        raise ClusterError(
            f"a worker has {', '.join(differ)} as the flow has; install the same on both sides "
            "(pip install -c constraints.txt ...), then run this again"
        )


def _dask(config: ScoreConfig) -> TaskRunner[Any]:
    make = _class("prefect_dask", "DaskTaskRunner", "dask")
    if config.runner_address:
        return make(address=config.runner_address, client_kwargs={"timeout": _ANSWERS_WITHIN_S})
    cluster = {
        "n_workers": config.num_workers,
        "threads_per_worker": 1,
        "host": _LOOPBACK,
        "dashboard_address": None,
        "scheduler_kwargs": {"worker_ttl": _SILENT_FOR_S},
    }
    return make(cluster_kwargs=cluster)


def _require_dask_worker(runner: Any) -> None:  # noqa: ANN401 - of an extra
    """Connect, and wait for a first worker: without one every task waits for ever."""
    runner.client.wait_for_workers(1, timeout=_ANSWERS_WITHIN_S)


def _ray(config: ScoreConfig) -> TaskRunner[Any]:
    make = _class("prefect_ray", "RayTaskRunner", "ray")
    if config.runner_address:
        return make(address=config.runner_address)
    return make(init_kwargs={"num_cpus": config.num_workers, "include_dashboard": False})


def _class(package: str, name: str, extra: str) -> Callable[..., TaskRunner[Any]]:
    try:
        found: Callable[..., TaskRunner[Any]] = getattr(import_module(package), name)
    except ImportError as error:
        raise ConfigError(
            f'score.runner = "{extra}" needs what is not installed ({error}): '
            f"pip install 'deeprec[{extra}]'"
        ) from error
    return found


def _host_and_port(address: str) -> tuple[str, int]:
    """Of `host:port`, with a scheme before it or none."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise ConfigError(
            f"score.runner_address = {address}: expected a scheduler's address and port, as "
            "tcp://scheduler:8786 (Dask) or head:6379 (Ray)"
        )
    return host, port
