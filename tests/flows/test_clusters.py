"""Flows on real clusters of two worker processes on loopback, one of which is killed."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from deeprec.config.scoring import ScoreConfig
from deeprec.errors import ConfigError
from deeprec.home import Home
from deeprec.models.bundles import installed_versions

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("cluster_program.py")  # which workers' processes begin with too
PACKAGES = {
    "dask": ("prefect_dask",),  # whose parts the others and `test_hosts` go through too
    "dask_at_s3": ("prefect_dask", "s3fs", "moto", "flask", "flask_cors"),
    "night_on_dask": ("prefect_dask",),
    "ray": ("prefect_ray",),
}
LONG = {"dask", "night_on_dask"}
WAYS = [pytest.param(way, marks=[pytest.mark.long] if way in LONG else []) for way in PACKAGES]
NUM_SHARDS = 15
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "made-up-ID-7e4c",
    "AWS_SECRET_ACCESS_KEY": "made-up/SECRET+3f9c1b7e",
    "AWS_SESSION_TOKEN": "made-up-TOKEN-5d2a8f",
}

WITHOUT_A_WORKER = """
import distributed
from deeprec.config.run import ScoreConfig
from flows import runners
runners._ANSWERS_WITHIN_S = 1.0
with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as empty:
    told = {"runner": "dask", "shards": "parquet", "runner_address": empty.scheduler_address}
    with runners.workers(ScoreConfig.model_validate(told)):
        pass
"""

Contents = Callable[[Path], list[list[tuple[Any, ...]]]]


@dataclass(frozen=True)
class Scored:
    """What a program has left in a folder that scored in several ways, and what each said."""

    folder: Path
    said: str
    told: Mapping[str, Mapping[str, Any]]

    def file(self, way: str) -> Path:
        return self.folder / f"{way}.duckdb"


def is_installed(way: str) -> bool:
    return all(map(importlib.util.find_spec, PACKAGES[way]))


@pytest.fixture(scope="module")
def _scored(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Scored:
    """A night on threads, and every way that is installed."""
    folder = tmp_path_factory.mktemp("clusters")
    shutil.copytree(migrated, Home(folder / "home").prefect)
    wanted = LONG if os.environ.get("DEEPREC_TESTS") == "long" else PACKAGES.keys() - LONG
    ways = ["threads", *filter(is_installed, sorted(wanted))]
    settings = {
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), *ways],
        env=os.environ | settings | CREDENTIALS,
        text=True,
        capture_output=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Scored(folder, done.stdout + done.stderr, {each["way"]: each for each in told})


@pytest.fixture
def scored(way: str, request: pytest.FixtureRequest) -> Scored:
    """What has been scored, where the way of a test is among it."""
    if not is_installed(way):
        pytest.skip(f"needs {', '.join(PACKAGES[way])}")
    made: Scored = request.getfixturevalue("_scored")
    return made


@pytest.mark.parametrize("way", WAYS)
def test_a_cluster_that_loses_a_worker_publishes_what_threads_do(
    scored: Scored, contents: Contents, way: str
) -> None:
    assert 1 <= scored.told[way]["num_scored_at_the_kill"] < NUM_SHARDS
    assert [] == scored.told[way]["left"]
    found = contents(scored.file(way))
    assert list(range(NUM_SHARDS)) == [row[0] for row in found[-1]]
    assert contents(scored.file("threads")) == found


@pytest.mark.parametrize("way", ["dask_at_s3"])
def test_credentials_reach_workers_and_are_written_down_nowhere(scored: Scored, way: str) -> None:
    assert [] == scored.told[way]["objects"]  # everything there has been published
    files = [file for file in scored.folder.rglob("*") if file.is_file()]
    in_store = [file for file in files if scored.folder / "kept" / "store" in file.parents]
    names = {"plan.json", "inputs.json", "ledger.json", "model.onnx"}
    assert names <= {file.name for file in in_store}
    assert {"plan.json", "scores.duckdb", "warehouse.duckdb", "prefect.db", "server.log"} <= {
        file.name for file in set(files).difference(in_store)
    }
    contents = [scored.said.encode(), *(file.read_bytes() for file in files)]
    assert any(b"s3://shards/of/nights" in content for content in contents)
    for secret in CREDENTIALS.values():
        assert not any(secret.encode() in content for content in contents)


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


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1", "scheduler", "auto", "tcp://here:there", "[::1"]
)
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


def test_a_cluster_without_a_worker_is_said_in_a_sentence() -> None:
    pytest.importorskip("prefect_dask")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_WORKER],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert "ClusterError: score.runner_address = tcp://127.0.0.1:" in done.stderr
    assert "is no Dask cluster with a worker that takes us" in done.stderr


def test_a_worker_of_other_versions_scores_nothing() -> None:
    from flows.runners import ClusterError, require_versions  # noqa: PLC0415 - Prefect takes seconds

    here = installed_versions()
    require_versions(here | {"torch": "another", "onnxruntime-next": "not installed here"})
    with pytest.raises(ClusterError, match=rf"a worker has numpy {here['numpy']}, not 0.1"):
        require_versions(here | {"numpy": "0.1"})
