"""When a night on a cluster is done: simulated from unit costs, by number of workers.

    python -m benchmarks.simulate_night --workers 1,2,4,8,16
    OMP_NUM_THREADS=1 python -m benchmarks.simulate_night --measure HOME

Files are taken in, vectors made, a model trained and a scoring run prepared, one after another;
workers then score its shards, and it is published. `simulation.py` says what may go wrong
meanwhile. What is drawn hangs on the seed alone.

With `--measure` made-up ratings are scored here by 1, 2 and 4 processes of one thread each. The
unit costs are read off the first run, and what is simulated with them stands beside what was
measured.

Shape legend: S simulated nights.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Annotated

import duckdb
import numpy as np
import typer
from pydantic import BaseModel, ConfigDict

from benchmarks import unit_costs
from benchmarks.machine import this_machine
from benchmarks.night import Storage
from benchmarks.processes import measured
from benchmarks.simulation import Cluster, Costs, Seconds, simulate_nights
from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.samples.sample import write_sample
from deeprec.scoring.publishing import publish_run
from deeprec.scoring.runs import prepare_run
from deeprec.scoring.score import score_shard

_PERCENTILES = (50, 95, 99)
_MEASURED_WORKERS = (1, 2, 4)
_NUM_SHARDS = 36  # or some more
_SETTINGS = (
    "model.hidden_layers=[128]",
    "train.num_epochs=1",
    "train.batch_size=1024",
    "train.device=cpu",
    "score.device=cpu",
    "score.incremental=false",
    "score.keep_past=0",
    "warehouse.threads=1",
)


class ShardTimes(BaseModel):
    """When a worker began a shard and was done with it, in seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    shard: int
    began: float
    ended: float


class MeasuredRun(BaseModel):
    """A scoring run by so many workers: its seconds, and when what happened."""

    model_config = ConfigDict(frozen=True)

    num_workers: int
    prepare_s: float
    workers_began: float
    shards: tuple[ShardTimes, ...]
    committing: dict[int, float]  # when a shard's transaction began
    open_s: float  # of a shard that is in the file already
    publish_s: float

    @property
    def seconds(self) -> float:
        """From the run's preparation to its publication."""
        last = max(times.ended for times in self.shards)
        return self.prepare_s + (last - self.workers_began) + self.publish_s

    def costs(self) -> Costs:
        """Of the parts, where one worker had all shards; its first opens the model too."""
        assert self.num_workers == 1
        first, *others = sorted(self.shards, key=lambda times: times.began)
        alone = [self.committing[times.shard] - times.began for times in others]
        opening = self.committing[first.shard] - first.began - mean(alone)
        return Costs(
            steps_s=(),
            prepare_s=self.prepare_s,
            publish_s=self.publish_s,
            start_s=first.began - self.workers_began + opening,
            open_s=self.open_s,
            compute_s=mean(alone) - 2 * self.open_s,
            commit_s=self.open_s
            + mean(times.ended - self.committing[times.shard] for times in others),
        )


def timed_shard(location: str, shard: int) -> ShardTimes:
    """Score a shard; when that was."""
    began = time.time()
    score_shard(location, shard)
    return ShardTimes(shard=shard, began=began, ended=time.time())


def measure_run(home: Home, config: Config, num_workers: int) -> MeasuredRun:
    """Score everybody by so many processes, and publish."""
    began = time.time()
    plan = prepare_run(home, config)
    workers_began = time.time()
    processes = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=processes) as workers:
        score_one = partial(timed_shard, plan.location)
        shards = tuple(workers.map(score_one, range(plan.num_shards)))
        again = list(workers.map(score_one, range(plan.num_shards)))
    to_publish = time.time()
    publish_run(home, plan.run_dir, config)
    return MeasuredRun(
        num_workers=num_workers,
        prepare_s=workers_began - began,
        workers_began=workers_began,
        shards=shards,
        committing=_committing(home),
        open_s=mean(times.ended - times.began for times in again),
        publish_s=time.time() - to_publish,
    )


def _committing(home: Home) -> dict[int, float]:
    """When each shard's transaction began: its time in the ledger is that, in local time."""
    with duckdb.connect(str(home.predictions), read_only=True) as published:
        rows = published.execute("select shard, scored_at from scoring_shards").fetchall()
    return {shard: scored_at.timestamp() for shard, scored_at in rows}


def prepare_home(folder: Path, size: Sequence[int], storage: Storage) -> tuple[Home, Config]:
    """Made-up ratings with a model, ready to be scored in some dozen shards.

    Args:
        folder: to make.
        size: users, movies and ratings.
        storage: of the predictions.
    """
    home, sample = Home(folder / "home"), folder / "sample"
    num_users, num_movies, num_ratings = size
    write_sample(sample, num_users=num_users, num_movies=num_movies, num_ratings=num_ratings)
    kept_a_user = num_movies if storage == "dense" else num_movies // unit_costs.FACTORED
    num_cores = os.cpu_count() or 1
    settings = [
        *_SETTINGS,
        f"score.storage={storage}",
        f"score.shard_cells={num_users * kept_a_user // _NUM_SHARDS}",
        f"score.num_workers={num_cores}",  # one thread of onnxruntime for each process
    ]
    told = [f"--set={setting}" for setting in settings]
    for stage in (["ingest", str(sample)], ["materialize"], ["train"]):
        measured(["deeprec.cli", *stage, "--home", str(home.path), *told, "--json"])
    return home, load_config(None, settings)


def compare_with_measured(folder: Path, size: Sequence[int], storage: Storage) -> Iterator[str]:
    """Lines of a table: what runs here took, and what is simulated from the first of them."""
    home, config = prepare_home(folder, size, storage)
    num_cores = this_machine().num_cores
    costs = None
    for num_workers in _MEASURED_WORKERS:
        run = measure_run(home, config, num_workers)
        if costs is None:
            costs = run.costs()
            yield f"predictions {storage}, {len(run.shards)} shards\n\n{costs}\n"
            yield "| workers | measured, s | simulated, s | simulated / measured |"
            yield "|---:|---:|---:|---:|"
        cluster = Cluster(num_workers=num_workers, num_cores=num_cores)
        (simulated,) = simulate_nights(costs, cluster, len(run.shards))
        yield (
            f"| {num_workers} | {run.seconds:.1f} | {simulated:.1f} "
            f"| {simulated / run.seconds:.2f} |"
        )


def distribution(cluster: Cluster, nights_S: Seconds) -> str:
    """A row: finishing times of simulated nights, in minutes."""
    figures = [nights_S.mean(), *np.percentile(nights_S, _PERCENTILES)]
    minutes = " | ".join(f"{seconds / 60:.1f}" for seconds in figures)
    return f"| {cluster.num_workers} | {minutes} |"


def main(
    *,
    workers: Annotated[str, typer.Option(help="Numbers of workers, as 1,2,4.")] = "1,2,4,8,16",
    cores: Annotated[int, typer.Option(help="Shared by all workers; 0: one a worker.")] = 0,
    nights: Annotated[int, typer.Option(help="To draw.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of deaths and stragglers.")] = 0,
    deaths: Annotated[float, typer.Option(help="Of a worker, an hour.")] = 0.05,
    restart: Annotated[float, typer.Option(help="Seconds until a dead one is replaced.")] = 60.0,
    straggling: Annotated[float, typer.Option(help="Share of shards and steps.")] = 0.02,
    slowdown: Annotated[float, typer.Option(help="Of those, times as long.")] = 5.0,
    predictions: Annotated[int, typer.Option(help="In all.")] = unit_costs.NUM_PREDICTIONS,
    shard_predictions: Annotated[int, typer.Option(help="Of a shard.")] = (
        unit_costs.USERS_A_SHARD * unit_costs.NUM_MOVIES
    ),
    ingest: Annotated[float, typer.Option(help="Seconds.")] = unit_costs.INGEST_S,
    materialize: Annotated[float, typer.Option(help="Seconds.")] = unit_costs.MATERIALIZE_S,
    train: Annotated[float, typer.Option(help="Seconds.")] = unit_costs.TRAIN_S,
    prepare: Annotated[float, typer.Option(help="Seconds.")] = unit_costs.PREPARE_S,
    publish: Annotated[float, typer.Option(help="Seconds.")] = unit_costs.PUBLISH_S,
    start: Annotated[float, typer.Option(help="Seconds, of a worker.")] = unit_costs.START_S,
    opening: Annotated[float, typer.Option(help="Seconds, of a shard.")] = unit_costs.OPEN_S,
    compute: Annotated[
        float, typer.Option(help="Seconds of a core, of a million predictions.")
    ] = 1e6 * unit_costs.FACTORED_CPU_S_A_PREDICTION,
    commit: Annotated[float, typer.Option(help="Seconds, of a shard.")] = unit_costs.COMMIT_S,
    measure: Annotated[
        Path | None, typer.Option(help="A folder for what is made; must not exist.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="Users, movies and ratings of what is measured.")
    ] = "20000,2000,400000",
    storage: Annotated[Storage, typer.Option(help="Of what is measured.")] = "factored",
) -> None:
    """Print when nights are done, in minutes; with `--measure`, beside what runs here take."""
    if measure:
        typer.echo(f"{this_machine()}\n")
        for line in compare_with_measured(measure, [int(n) for n in size.split(",")], storage):
            typer.echo(line)
        return
    costs = Costs(
        steps_s=(ingest, materialize, train),
        prepare_s=prepare,
        publish_s=publish,
        start_s=start,
        open_s=opening,
        compute_s=compute * shard_predictions / 1e6,
        commit_s=commit,
    )
    typer.echo("| workers | mean, min | 50 % | 95 % | 99 % |")
    typer.echo("|---:|---:|---:|---:|---:|")
    for num_workers in map(int, workers.split(",")):
        cluster = Cluster(
            num_workers=num_workers,
            num_cores=cores or num_workers,
            deaths_an_hour=deaths,
            restart_s=restart,
            straggling=straggling,
            slowdown=slowdown,
        )
        nights_S = simulate_nights(
            costs, cluster, -(-predictions // shard_predictions), nights, seed
        )
        typer.echo(distribution(cluster, nights_S))


if __name__ == "__main__":
    typer.run(main)
