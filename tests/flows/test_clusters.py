"""Flows on real clusters of two worker processes on loopback, one of which is killed."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest

from deeprec.bundles import installed_versions
from deeprec.config import ScoreConfig
from deeprec.errors import ConfigError

pytestmark = pytest.mark.server

PROJECT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("cluster_program.py")  # which workers' processes begin with too
PACKAGES = {"dask": "prefect_dask", "night_on_dask": "prefect_dask", "ray": "prefect_ray"}
NUM_SHARDS = 15
TABLES = ("predicted_ratings", "recommendations", "movies", "users")
SHARDS = "(select * exclude (scored_at) from scoring_shards)"

Scored = dict[str, dict[str, Any]]


def is_installed(way: str) -> bool:
    return importlib.util.find_spec(PACKAGES[way]) is not None


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    with duckdb.connect(str(path), read_only=True) as file:
        return [
            file.execute(f"select * from {table} order by all").fetchall()
            for table in (*TABLES, SHARDS)
        ]


def run_program(folder: Path, *ways: str) -> Scored:
    """What each way of scoring said, and in `file` what it published."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), *ways],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {each["way"]: each | {"file": folder / f"{each['way']}.duckdb"} for each in told}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """A night on threads, then what is installed here."""
    return run_program(
        tmp_path_factory.mktemp("clusters"), "threads", *filter(is_installed, PACKAGES)
    )


@pytest.mark.parametrize("way", PACKAGES)
def test_a_cluster_publishes_what_threads_do(request: pytest.FixtureRequest, way: str) -> None:
    if not is_installed(way):
        pytest.skip(f"{PACKAGES[way]} is not installed: pip install 'deeprec[{way}]'")
    scored = request.getfixturevalue("scored")
    if way != "night_on_dask":  # the others lose a worker on the way
        assert 1 <= scored[way]["num_scored_at_the_kill"] < NUM_SHARDS
    assert [] == scored[way]["left"]
    found = contents(scored[way]["file"])
    assert list(range(NUM_SHARDS)) == [row[0] for row in found[-1]]
    assert contents(scored["threads"]["file"]) == found


@contextmanager
def ray_cluster(ports: tuple[int, int]) -> Iterator[None]:
    """A Ray cluster on loopback, which takes drivers at one port and clients at another."""
    port, client_port = ports
    ray = Path(sys.executable).with_name("ray")
    with TemporaryDirectory(prefix="ray") as folder:  # short: sockets' paths are
        told = (
            f"--head --block --node-ip-address 127.0.0.1 --port {port} --temp-dir {folder} "
            f"--ray-client-server-port {client_port} --num-cpus 2 --include-dashboard false "
            "--disable-usage-stats"
        )
        head = subprocess.Popen(
            [ray, "start", *told.split()],
            env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            end_with_children(head)


def end_with_children(process: subprocess.Popen[bytes]) -> None:
    import psutil  # noqa: PLC0415 - of an extra

    begun = [process, *psutil.Process(process.pid).children(recursive=True)]
    for each in begun:
        with suppress(psutil.NoSuchProcess):
            each.terminate()
    process.wait(timeout=30)
    _, left = psutil.wait_procs(begun[1:], timeout=30)
    for each in left:
        each.kill()


@pytest.mark.long
def test_a_ray_cluster_that_runs_already_publishes_what_threads_do(tmp_path: Path) -> None:
    if not is_installed("ray"):
        pytest.skip("prefect_ray is not installed: pip install 'deeprec[ray]'")
    with create_server(("127.0.0.1", 0)) as one, create_server(("127.0.0.1", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    with ray_cluster(ports):
        ways = f"as_driver=127.0.0.1:{ports[0]}", f"as_client=ray://127.0.0.1:{ports[1]}"
        scored = run_program(tmp_path, "threads", *ways)
    expected = contents(scored["threads"]["file"])
    for way in ("as_driver", "as_client"):
        assert [] == scored[way]["left"]
        assert expected == contents(scored[way]["file"])


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_cluster_that_is_not_installed_is_said_in_a_sentence(
    runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.runners import open_runner  # noqa: PLC0415 - Prefect takes seconds

    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)
    config = ScoreConfig.model_validate({"runner": runner, "shards": "parquet"})
    with pytest.raises(ConfigError, match=rf"pip install 'deeprec\[{runner}\]'"):
        open_runner(config)


def cluster(address: str) -> ScoreConfig:
    return ScoreConfig.model_validate(
        {"runner": "dask", "shards": "parquet", "runner_address": address}
    )


def test_a_cluster_that_does_not_answer_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows import runners  # noqa: PLC0415 - Prefect takes seconds

    monkeypatch.setattr(runners, "_ANSWERS_WITHIN_S", 1.0)
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(runners.ClusterError, match=rf":{port}: nobody answers there"):
        runners.require_cluster(cluster(f"tcp://127.0.0.1:{port}"))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "scheduler", "tcp://here:there", "[::1"])
def test_an_address_that_is_none_is_said_in_a_sentence(address: str) -> None:
    from flows import runners  # noqa: PLC0415 - Prefect takes seconds

    with pytest.raises(ConfigError, match="expected a scheduler's address and port"):
        runners.require_cluster(cluster(address))


def test_a_scheduler_that_hangs_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import runners  # noqa: PLC0415 - Prefect takes seconds

    monkeypatch.setattr(runners, "_ANSWERS_WITHIN_S", 1.0)
    with create_server(("127.0.0.1", 0)) as listener:  # takes connections, says nothing
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(runners.ClusterError, match=r"nobody answers there \(timed out\)"):
            runners.require_cluster(cluster(address))


def test_a_cluster_without_a_worker_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prefect_dask")
    import distributed  # noqa: PLC0415 - of an extra

    from flows import runners  # noqa: PLC0415 - Prefect takes seconds

    monkeypatch.setattr(runners, "_ANSWERS_WITHIN_S", 1.0)
    with (
        distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as empty,
        pytest.raises(runners.ClusterError, match="no Dask scheduler with a worker is there"),
        runners.workers(cluster(empty.scheduler_address)),
    ):
        pass


def test_a_worker_of_other_versions_scores_nothing() -> None:
    from flows.runners import ClusterError, require_versions  # noqa: PLC0415 - Prefect takes seconds

    here = installed_versions()
    require_versions(here | {"torch": "another", "onnxruntime-next": "not installed here"})
    with pytest.raises(ClusterError, match=rf"a worker has numpy {here['numpy']}, not 0.1"):
        require_versions(here | {"numpy": "0.1"})
