"""score-flow on real clusters of two worker processes on loopback, one of which is killed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from deeprec.config import ScoreConfig
from deeprec.errors import ConfigError

pytestmark = pytest.mark.server

NUM_SHARDS = 15
TABLES = ("predicted_ratings", "recommendations", "movies", "users")
SHARDS = "(select * exclude (scored_at) from scoring_shards)"

# A model of made-up ratings, scored on threads and then on clusters, by one server.
PROGRAM = """
import json, os, signal, sys, threading, time
from pathlib import Path
from deeprec.home import Home
from flows.embedded import start_server

SETTINGS = (
    "model.hidden_layers=[6]", "train.num_epochs=1", "train.device=cpu", "score.device=cpu",
    "score.top_n=3", "score.shard_cells=100", "score.incremental=false", "warehouse.threads=1",
)

def prepare(home):
    from deeprec.config import load_config
    from deeprec.ingestion import ingest
    from deeprec.training import train
    from deeprec.vectors import materialize
    lines = [f"{user},{movie},{1 + user * movie % 5},2005-01-01"
             for user in range(100) for movie in range(20) if user * movie % 3]
    lines += [f"{user},0,3,2005-01-01" for user in range(100)]
    source = home.path / "ratings.csv"
    source.write_text("user_id,movie_id,rating,date" + chr(10) + chr(10).join(lines) + chr(10))
    config = load_config(None, SETTINGS)
    ingest(home, [str(source)], config)
    materialize(home, config)
    train(home, config)

def num_scored(home):
    return len(list(home.shards.glob("run_id=*/shard=*/ledger.json")))

def kill_one(home, find_workers, told):
    while not num_scored(home):
        time.sleep(0.002)
    while not (workers := find_workers()):
        time.sleep(0.002)
    os.kill(workers[0], signal.SIGKILL)
    told["num_scored_at_the_kill"] = num_scored(home)

def score(home, folder, runner, find_workers, *settings):
    from flows.score import score_flow
    told = {}
    killer = threading.Thread(target=kill_one, args=(home, find_workers, told), daemon=True)
    if runner != "threads":
        killer.start()
        settings += (f"score.runner={runner}", "score.shards=parquet")
    report = score_flow(home.path, None, (*SETTINGS, *settings))
    if runner != "threads":
        killer.join()
    report.path.rename(folder / f"{runner}.duckdb")
    print(json.dumps(told | {"left": [path.name for path in home.shards.glob("*")]}), flush=True)

def on_dask(home, folder):
    import distributed
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        find = lambda: [worker.pid for worker in cluster.workers.values()]
        address = f"score.runner_address={cluster.scheduler_address}"
        score(home, folder, "dask", find, address)

def on_ray(home, folder):
    import psutil
    find = lambda: [child.pid for child in psutil.Process().children(recursive=True)
                    if child.name().startswith("ray::score")]
    score(home, folder, "ray", find)

if __name__ == "__main__":
    home, folder = Home(Path(sys.argv[1])), Path(sys.argv[2])
    home.path.mkdir(parents=True)
    server = start_server(home)
    prepare(home)
    server.wait_until_ready()
    score(home, folder, "threads", None)
    for runner in sys.argv[3:]:
        {"dask": on_dask, "ray": on_ray}[runner](home, folder)
"""


def runners() -> list[str]:
    """The clusters that can be tried here."""
    packages = {"dask": "prefect_dask", "ray": "prefect_ray"}
    return [name for name, package in packages.items() if importlib.util.find_spec(package)]


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    with duckdb.connect(str(path), read_only=True) as file:
        return [
            file.execute(f"select * from {table} order by all").fetchall()
            for table in (*TABLES, SHARDS)
        ]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """What every runner published, and what was going on meanwhile."""
    folder = tmp_path_factory.mktemp("clusters")
    program = folder / "program.py"  # a file, which the workers' processes can begin with too
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program), str(folder / "home"), str(folder), *runners()],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    names = ["threads", *runners()]
    return {name: (folder / f"{name}.duckdb", said) for name, said in zip(names, told, strict=True)}


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_cluster_that_loses_a_worker_publishes_what_threads_do(
    request: pytest.FixtureRequest, runner: str
) -> None:
    if runner not in runners():
        pytest.skip(f"prefect-{runner} is not installed: pip install 'deeprec[{runner}]'")
    scored = request.getfixturevalue("scored")
    (expected, _), (found, told) = scored["threads"], scored[runner]
    assert 1 <= told["num_scored_at_the_kill"] < NUM_SHARDS
    assert [] == told["left"]
    shards = contents(found)[-1]
    assert list(range(NUM_SHARDS)) == [row[0] for row in shards]
    assert contents(expected) == contents(found)


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_cluster_that_is_not_installed_is_said_in_a_sentence(
    runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.runners import open_runner  # noqa: PLC0415 - Prefect takes seconds

    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)
    config = ScoreConfig.model_validate({"runner": runner, "shards": "parquet"})
    with pytest.raises(ConfigError, match=rf"pip install 'deeprec\[{runner}\]'"):
        open_runner(config)
