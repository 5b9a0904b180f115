"""Putting a finished run where analysts find it: one file, replaced whole by rename.

A reader that has the old file open keeps it; whoever opens the name next gets the new one.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from deeprec.bundles import open_bundle
from deeprec.config import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.runs import MOVIES, SCORES, ScoringPlan, read_plan, settle_run
from deeprec.warehouse import Database, open_database, open_warehouse

_READ_ONLY = 0o444
_COUNTS = ("num_recommendations", "num_bias_users", "num_bias_movies", "num_predictions")


class ScoreReport(BaseModel):
    """What has been published."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    bundle_id: str
    path: Path
    num_users: int
    num_users_scored: int
    num_users_carried_over: int
    num_movies: int
    num_predictions: int
    num_recommendations: int
    num_bias_users: int
    num_bias_movies: int
    seconds: float


def publish_run(home: Home, run_dir: Path, config: Config) -> ScoreReport:
    """Check that a run is whole, finish its file and put it in the published one's place.

    Raises:
        WarehouseError: a shard is missing, or rows are not users x movies; nothing is published.
    """
    plan = read_plan(run_dir)
    if (run_dir / SCORES).exists():
        _finish(home, plan, config)
        _replace(run_dir / SCORES, home.predictions)
    with open_warehouse(home, config.warehouse) as warehouse:  # a second try may come here at once
        settle_run(warehouse, plan, "published")
        counts = dict(
            zip(_COUNTS, warehouse.row("scores/run_counts", run_id=plan.run_id), strict=True)
        )
    shutil.rmtree(run_dir, ignore_errors=True)
    return ScoreReport(
        run_id=plan.run_id,
        bundle_id=plan.bundle_id,
        path=home.predictions,
        num_users=plan.num_users,
        num_users_scored=plan.num_scored,
        num_users_carried_over=plan.num_users - plan.num_scored,
        num_movies=plan.num_movies,
        seconds=(datetime.now(UTC) - plan.started_at).total_seconds(),
        **counts,
    )


def _finish(home: Home, plan: ScoringPlan, config: Config) -> None:
    """Complete the file that is to be published, and enter what it holds."""
    with open_database(plan.run_dir / SCORES, config.warehouse) as scores:
        _check_whole(scores, plan)
        _write_movies(scores, plan)
        found = (*scores.row("scores/counts"), _count_predictions(scores, plan))
        counts = dict(zip(_COUNTS, found, strict=True))
    with open_warehouse(home, config.warehouse) as warehouse:
        warehouse.run("scores/record_counts", run_id=plan.run_id, **counts)
        runs = warehouse.table("scores/runs")
    with open_database(plan.run_dir / SCORES, config.warehouse) as scores:
        scores.run_with("scores/create_scoring_runs", runs, run_id=plan.run_id)
        scores.checkpoint()


def _check_whole(scores: Database, plan: ScoringPlan) -> None:
    """Every shard once, every user and every movie, or nothing is published."""
    num_shards, num_users = scores.row("scores/progress")
    num_predictions = _count_predictions(scores, plan)
    expected = (plan.num_shards, plan.num_users, plan.num_users * plan.num_movies)
    if (num_shards, num_users, num_predictions) != expected:
        raise WarehouseError(
            f"{plan.run_dir}: {num_shards} of {plan.num_shards} shards are scored, with "
            f"{num_predictions:,} of {expected[2]:,} predictions; nothing was published: run "
            "`deeprec score` again to go on"
        )


def _count_predictions(scores: Database, plan: ScoringPlan) -> int:
    """Those that are really there."""
    return int(scores.row(f"scores/{plan.config.storage}/count")[0])


def _write_movies(scores: Database, plan: ScoringPlan) -> None:
    """Every movie with its title, how often it was rated in training, and what predicts it."""
    movies = pq.read_table(plan.run_dir / MOVIES)
    vocabulary = open_bundle(plan.bundle).vocabulary
    place_M = np.searchsorted(movies["movie_id"].to_numpy(), vocabulary.movie_ids_M)
    num_ratings_N = np.zeros(movies.num_rows, dtype=np.int64)
    num_ratings_N[place_M] = vocabulary.num_ratings_M
    batch = movies.append_column("num_train_ratings", [num_ratings_N])
    scores.run_with("scores/create_movies", batch)


def _replace(scores: Path, published: Path) -> None:
    """Move the file over the published one, safely on disk before its name is."""
    with scores.open("rb") as file:
        os.fsync(file.fileno())
    # A log that someone's writable session left beside the old file must not meet the new one.
    published.with_name(published.name + ".wal").unlink(missing_ok=True)
    scores.replace(published)
    # Not before: an interrupted run must be able to go on writing.
    published.chmod(published.stat().st_mode & _READ_ONLY)
    descriptor = os.open(published.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
