"""Scoring all users: a run is prepared, scored a shard at a time, and published whole.

Shape legend: S users of a shard, N movies of the warehouse.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from deeprec.bundles import open_bundle
from deeprec.config import Config
from deeprec.home import Home, hold_lock
from deeprec.prediction import Predictor
from deeprec.progress import Progress, silent
from deeprec.publishing import ScoreReport, publish_run
from deeprec.ratings import RatingMatrix
from deeprec.runs import (
    SCORES,
    VECTORS,
    ScoringPlan,
    prediction_schema,
    prepare_run,
    read_plan,
    run_predictor,
)
from deeprec.storages import ScoredShard, Storage, open_storage
from deeprec.vectors import rating_matrix
from deeprec.warehouse import Database, open_database

_OpenScores = Callable[[], AbstractContextManager[Database]]


class ShardReport(BaseModel):
    """What became of one shard."""

    model_config = ConfigDict(frozen=True)

    shard: int
    num_users: int
    num_predictions: int
    seconds: float
    skipped: bool


def score(home: Home, config: Config, progress: Progress = silent) -> ScoreReport:
    """Predict every movie for every user and publish the result in one piece.

    Each user's whole vector is fed to the graph: what the model was trained on and what came
    since. Users whose vectors are those of the published file keep their rows. A run that was
    interrupted goes on with the shards it had not finished.

    Raises:
        BundleError: there is no bundle, it is damaged, or it is of other movies.
        WarehouseError: vectors are stale, or another run holds the home for too long.
    """
    with home.lock("score", config.warehouse.lock_timeout_s):
        plan = prepare_run(home, config)
        _score_shards(plan, progress)
        return publish_run(home, plan.run_dir, config)


def score_shard(run_dir: Path, shard: int) -> ShardReport:
    """Score the users of one shard into the run's file; a shard that is in it is left alone.

    Safe to run twice, beside other shards, and to be killed at any moment: a shard is in the
    file whole or not at all.
    """
    plan = read_plan(run_dir)
    open_scores = partial(_open_scores, plan)
    with open_scores() as scores:
        skipped = _is_done(scores, shard)
    return _score_into(open_scores, plan, shard, skipped=skipped)


def _score_shards(plan: ScoringPlan, progress: Progress) -> None:
    """Score every shard over one connection: each opening of the file costs a checkpoint.

    A worker waits with its shard until it can be written, so no more are held than there are
    workers.
    """
    with _open_scores(plan) as scores, ThreadPoolExecutor(plan.config.num_workers) as workers:
        missing = [shard for shard in range(plan.num_shards) if not _is_done(scores, shard)]
        score_one = partial(_score_into, partial(_in_turn, scores, Lock()), plan)
        already = plan.num_shards - len(missing)
        for done, _ in enumerate(workers.map(score_one, missing), start=already + 1):
            progress("score", done, plan.num_shards, "shards")


def _score_into(
    open_scores: _OpenScores, plan: ScoringPlan, shard: int, *, skipped: bool = False
) -> ShardReport:
    """What became of a shard that is to be in the run's file; see `score_shard`."""
    started = time.monotonic()
    vectors = _read_vectors(plan, shard)
    users = rating_matrix(vectors, _predictor(plan.run_dir).movie_ids_N)
    if not skipped:
        storage = _storage(plan.run_dir)
        scored = storage.score_users(users)
        with open_scores() as scores, scores.transaction():
            if not _is_done(scores, shard):
                storage.insert(scores, scored.predictions)
                scores.run_with("scores/insert_recommendations", scored.recommendations)
                _insert_users(scores, plan, users, vectors["vector_digest"])
                _insert_shard(scores, shard, users, _sums(scores, plan, scored))
    return ShardReport(
        shard=shard,
        num_users=users.num_users,
        num_predictions=users.num_users * users.num_movies,
        seconds=time.monotonic() - started,
        skipped=skipped,
    )


@contextmanager
def _open_scores(plan: ScoringPlan) -> Iterator[Database]:
    """The run's file; one shard at a time speaks to it while others compute."""
    with (
        hold_lock(plan.run_dir / ".scores.lock", plan.warehouse.lock_timeout_s),
        open_database(plan.run_dir / SCORES, plan.warehouse) as scores,
    ):
        yield scores


@contextmanager
def _in_turn(scores: Database, turn: Lock) -> Iterator[Database]:
    """A file that is open already, for one thread at a time."""
    with turn:
        yield scores


@lru_cache(maxsize=1)
def _predictor(run_dir: Path) -> Predictor:
    """The run's model over the warehouse's movies, opened once in each process."""
    plan = read_plan(run_dir)
    bundle = open_bundle(plan.bundle)
    cores_each = max(1, (os.cpu_count() or 1) // plan.config.num_workers)
    return run_predictor(plan, bundle, bundle.model(plan.config.device, cores_each))


@lru_cache(maxsize=1)
def _storage(run_dir: Path) -> Storage:
    """What the run's predictions are kept by, opened once in each process."""
    plan, predictor = read_plan(run_dir), _predictor(run_dir)
    schema = prediction_schema(plan, predictor.bundle.manifest.scale)
    return open_storage(plan.config, predictor, schema)


def _read_vectors(plan: ScoringPlan, shard: int) -> pa.Table:
    """The whole vectors of a shard's users, and their digests."""
    with pq.ParquetFile(plan.run_dir / VECTORS) as file:
        return file.read_row_group(shard)


def _is_done(scores: Database, shard: int) -> bool:
    return bool(scores.rows("scores/find_shard", shard=shard))


def _insert_users(
    scores: Database, plan: ScoringPlan, users: RatingMatrix, digests: pa.ChunkedArray
) -> None:
    vocabulary = _predictor(plan.run_dir).bundle.vocabulary
    known = users.restrict_movies(vocabulary.movie_ids_M)
    batch = pa.table(
        {
            "user_id": users.user_ids_U,
            "num_ratings": np.diff(users.values_UM.indptr),
            "is_known": np.diff(known.values_UM.indptr) > 0,
            "vector_digest": digests,
        }
    )
    scores.run_with("scores/insert_users", batch)


def _sums(scores: Database, plan: ScoringPlan, scored: ScoredShard) -> tuple[int, int]:
    """How many rows a shard has in all, and their checksum."""
    (of_predictions,) = scores.some(
        f"scores/{plan.config.storage}/batch_checksum", 1, batch=scored.predictions
    )
    (of_recommendations,) = scores.some(
        "scores/batch_recommendations_checksum", 1, batch=scored.recommendations
    )
    parts = (of_predictions, of_recommendations)
    return sum(part["num_rows"] for part in parts), sum(part["checksum"] for part in parts)


def _insert_shard(scores: Database, shard: int, users: RatingMatrix, sums: tuple[int, int]) -> None:
    num_rows, checksum = sums
    scores.run(
        "scores/insert_shard",
        shard=shard,
        num_users=users.num_users,
        num_predictions=users.num_users * users.num_movies,
        num_rows=num_rows,
        checksum=checksum,
    )
