"""What flows score shards on: threads of this process, or the workers of a cluster."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from deeprec.config import ScoreConfig
from deeprec.errors import ConfigError

_LOOPBACK = "127.0.0.1"


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


def _dask(config: ScoreConfig) -> TaskRunner[Any]:
    make = _class("prefect_dask", "DaskTaskRunner", "dask")
    if config.runner_address:
        return make(address=config.runner_address)
    cluster = {
        "n_workers": config.num_workers,
        "threads_per_worker": 1,
        "host": _LOOPBACK,
        "dashboard_address": None,
    }
    return make(cluster_kwargs=cluster)


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
