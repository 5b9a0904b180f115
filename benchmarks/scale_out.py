"""Scoring on more workers: seconds of 1, 2 and 4, and what a shard costs beside its users.

    python benchmarks/scale_out.py --home HOME --ratings 1e6 --workers 1,2,4

Made-up ratings of Netflix's shape are scored into Parquet shards by processes of one thread each; a
worker has opened the model before the clock starts. Every number of workers has the same shards to
score. Then one process scores the same users in shards of several sizes: a line through seconds by
users has the overhead of a shard where it meets no users, and from it follows the size from which
that is less than 5 % of a shard. Gathering and publishing are not in it, nor is a cluster's
scheduler: 6 to 9 ms a task on threads.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.machine import this_machine
from benchmarks.night import NUM_MOVIES, run_night
from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.scoring.plans import ScoringPlan, run_place
from deeprec.scoring.runs import prepare_run
from deeprec.scoring.score import score_shard

_SMALL_ENOUGH = 0.05  # of a shard's seconds
_SIZES = (8, 32, 128, 512)  # users a shard
_REPEATS = 5


def prepare(home: Path, num_ratings: int) -> Home:
    """A home with a model and vectors of everybody."""
    if not home.exists():
        list(run_night(home, num_ratings, "dense"))
    return Home(home / "home")


@contextmanager
def new_run(home: Home, users_per_shard: int, num_movies: int) -> Iterator[ScoringPlan]:
    """A run whose shards are of a certain size; it is removed afterwards."""
    plan = prepare_run(home, _config(users_per_shard * num_movies))
    try:
        yield plan
    finally:
        run_place(plan).clear()
        shutil.rmtree(plan.run_dir)


def seconds_of(plan: ScoringPlan, num_workers: int, num_shards: int) -> float:
    """Seconds in which some processes score a run's first shards."""
    with ProcessPoolExecutor(num_workers, get_context("spawn")) as workers:
        _score(workers, plan, range(num_shards, num_shards + 4 * num_workers))
        started = time.perf_counter()
        _score(workers, plan, range(num_shards))
        return time.perf_counter() - started


def overhead(home: Home, num_movies: int) -> tuple[dict[int, float], float, float]:
    """Seconds of a shard by its users; those of a shard of nobody, and of each user."""
    seconds = {}
    for size in _SIZES:
        with new_run(home, size, num_movies) as plan:
            score_shard(plan.location, 0)
            seconds[size] = min(
                score_shard(plan.location, shard).seconds for shard in range(1, 1 + _REPEATS)
            )
    a_user, of_none = np.polyfit(list(seconds), list(seconds.values()), 1)
    return seconds, float(of_none), float(a_user)


def _config(shard_cells: int) -> Config:
    told = [
        f"score.shard_cells={shard_cells}",
        f"score.num_workers={os.cpu_count()}",  # a thread of onnxruntime each
        "score.shards=parquet",
        "score.incremental=false",
        "score.device=cpu",
        "warehouse.threads=1",
    ]
    return load_config(None, told)


def _score(workers: ProcessPoolExecutor, plan: ScoringPlan, shards: Sequence[int]) -> None:
    list(workers.map(score_shard, [plan.location] * len(shards), shards))


def main(
    home: Annotated[Path, typer.Option(help="A folder for what is made, or was before.")],
    ratings: Annotated[str, typer.Option(help="Size, as 1e7.")] = "1e6",
    workers: Annotated[str, typer.Option(help="Numbers of processes.")] = "1,2,4",
    users_per_shard: Annotated[int, typer.Option(help="Of the first table.")] = 64,
    num_shards: Annotated[int, typer.Option(help="Of the first table.")] = 32,
) -> None:
    """Print two tables."""
    state = prepare(home, int(float(ratings)))
    typer.echo(f"{this_machine()}\n")
    typer.echo("| workers | shards | users a shard | seconds | times as fast as 1 |")
    typer.echo("|---:|---:|---:|---:|---:|")
    first = None
    for number in map(int, workers.split(",")):
        with new_run(state, users_per_shard, NUM_MOVIES) as plan:
            seconds = seconds_of(plan, number, num_shards)
        first = first or seconds
        typer.echo(
            f"| {number} | {num_shards} | {users_per_shard} | {seconds:.2f} "
            f"| {first / seconds:.2f} |"
        )
    of_sizes, of_none, a_user = overhead(state, NUM_MOVIES)
    typer.echo("\n| users a shard | seconds |\n|---:|---:|")
    for size, seconds in of_sizes.items():
        typer.echo(f"| {size} | {seconds:.3f} |")
    enough = of_none * (1 / _SMALL_ENOUGH - 1) / a_user
    typer.echo(
        f"\na shard of nobody {1000 * of_none:.1f} ms, a user {1000 * a_user:.2f} ms: less than "
        f"{_SMALL_ENOUGH:.0%} from {enough:.0f} users a shard"
    )


if __name__ == "__main__":
    typer.run(main)
