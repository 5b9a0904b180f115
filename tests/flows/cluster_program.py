"""A program, begun by tests: made-up ratings scored on threads and on clusters, by one server.

Prints a line of JSON a way of scoring; leaves what that published as WAY.duckdb. A way may be
NAME=ADDRESS, on a Ray cluster that runs there.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from unittest.mock import patch

from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.places import open_store
from deeprec.scoring import score as scoring
from deeprec.scoring.publishing import ScoreReport, publish_run
from flows.embedded import start_server

NUM_USERS, NUM_MOVIES = 100, 20
NIGHT_OF = date(2005, 3, 1)
SETTINGS = (
    "model.hidden_layers=[6]",
    "model.output_activation=identity",
    "model.center=biases",
    "train.num_epochs=30",
    "train.optimizer=adam",
    "train.learning_rate=0.01",
    "train.device=cpu",
    "evaluate.num_resamples=100",
    "score.device=cpu",
    "score.top_n=3",
    "score.shard_cells=100",
    "score.incremental=false",
    "warehouse.threads=1",
)

AT = "s3://shards/of/nights"
Told = dict[str, object]
FindWorkers = Callable[[], list[int]]


def write_ratings(drop: Path) -> None:
    """Users who like every other movie, and movies that every other user likes."""
    drop.mkdir()
    lines = [
        f"{user},{movie},{5 - 4 * int(user % 2 == movie % 2)},2005-01-01"
        for user in range(NUM_USERS)
        for movie in range(NUM_MOVIES)
        if (user * movie) % 3 or not movie
    ]
    text = "\n".join(["user_id,movie_id,rating,date", *lines])
    (drop / "ratings.csv").write_text(text + "\n")


def night(home: Home, drop: Path, *settings: str) -> Told:
    """A whole night, which trains and publishes."""
    from flows.nightly import nightly_flow  # noqa: PLC0415 - Prefect reads its settings then

    report = nightly_flow((str(drop),), home.path, None, (*SETTINGS, *settings), NIGHT_OF)
    return {step.step: f"{step.outcome}: {step.said}" for step in report.steps}


def score(home: Home, runner: str, *settings: str) -> Told:
    """Everybody's predictions, on a cluster."""
    from flows.score import score_flow  # noqa: PLC0415 - Prefect reads its settings then

    told = (*SETTINGS, f"score.runner={runner}", "score.shards=parquet", *settings)
    score_flow(home.path, None, told)
    return {}


def with_a_kill(
    work: Callable[[], Told], num_scored: Callable[[], int], find_workers: FindWorkers
) -> Told:
    """What work said, in which a worker is killed once a shard is scored."""
    told: Told = {}
    killer = threading.Thread(target=kill_one, args=(num_scored, find_workers, told), daemon=True)
    killer.start()
    said = work()
    killer.join(timeout=5)  # one that found no worker would go on
    return said | told


def kill_one(num_scored: Callable[[], int], find_workers: FindWorkers, told: Told) -> None:
    while not num_scored():
        time.sleep(0.002)
    while not (workers := find_workers()):
        time.sleep(0.002)
    os.kill(workers[0], signal.SIGKILL)
    told["num_scored_at_the_kill"] = num_scored()


def num_in(home: Home) -> int:
    """The shards that are scored of the run under way."""
    return len(list(home.shards.glob("run_id=*/shard=*/ledger.json")))


def num_at_s3() -> int:
    """As in a home."""
    return sum(name.endswith("/ledger.json") for name in open_store().find(AT))


def children(is_wanted: Callable[[str], bool]) -> list[int]:
    """Processes begun by this one, by their command lines."""
    import psutil  # noqa: PLC0415 - of an extra

    begun = psutil.Process().children(recursive=True)
    return [child.pid for child in begun if is_wanted(" ".join(child.cmdline()))]


def night_on_dask(home: Home, drop: Path) -> Told:
    def find() -> list[int]:
        return children(lambda command: "spawn_main" in command)

    settings = ("score.runner=dask", "score.shards=parquet")
    return with_a_kill(lambda: night(home, drop, *settings), partial(num_in, home), find)


def on_dask(home: Home, num_scored: Callable[[], int], *settings: str) -> Told:
    """On a cluster that runs already."""
    import distributed  # noqa: PLC0415 - of an extra

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:

        def find() -> list[int]:
            return [worker.pid for worker in cluster.workers.values()]

        address = f"score.runner_address={cluster.scheduler_address}"
        return with_a_kill(lambda: score(home, "dask", address, *settings), num_scored, find)


def on_dask_at_s3(home: Home, kept: Path) -> Told:
    """Shards go through a store on loopback; all that a run has there and here is kept too."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - of the tests' extra

    def keep_and_publish(home: Home, run_dir: Path, config: Config) -> ScoreReport:
        shutil.copytree(run_dir, kept / "run")
        open_store().get(AT, str(kept / "store"), recursive=True)
        return publish_run(home, run_dir, config)

    store = ThreadedMotoServer("127.0.0.1", 0)
    store.start()
    host, port = store.get_host_and_port()
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    open_store().mkdir("shards")
    try:
        with patch.object(scoring, "publish_run", keep_and_publish):
            told = on_dask(home, num_at_s3, f"score.shards_at={AT}")
        return told | {"objects": open_store().find(AT)}
    finally:
        store.stop()


def on_ray(home: Home) -> Told:
    def find() -> list[int]:
        return children(lambda command: command.startswith("ray::score"))

    return with_a_kill(lambda: score(home, "ray"), partial(num_in, home), find)


def main(folder: Path, ways: list[str]) -> None:
    home = Home(folder / "home")
    home.path.mkdir(parents=True, exist_ok=True)
    server = start_server(home)
    write_ratings(folder / "drop")
    server.wait_until_ready()
    for way, _, address in (way.partition("=") for way in ways):
        at = home
        if way == "threads":
            told = night(home, folder / "drop")
        elif way == "night_on_dask":
            at = Home(folder / "other")
            told = night_on_dask(at, folder / "drop")
        elif way == "dask":
            told = on_dask(home, partial(num_in, home))
        elif way == "dask_at_s3":
            told = on_dask_at_s3(home, folder / "kept")
        elif way == "ray":
            told = on_ray(home)
        else:
            told = score(home, "ray", f"score.runner_address={address}")
        shutil.copyfile(at.predictions, folder / f"{way}.duckdb")
        left = [path.name for path in (*at.shards.glob("*"), *at.runs.glob("*"))]
        sys.stdout.write(json.dumps({"way": way, "left": left} | told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
