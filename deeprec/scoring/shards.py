"""One shard: its rows computed, entered in the run's DuckDB file, or left in files of their own.

Whoever scores into files opens no DuckDB file: it only sums up in memory. A worker elsewhere
fetches what all shards of a run need once, into a folder that goes with its process.

Shape legend: U users of the shard, N movies of the warehouse, M movies of the vocabulary.
"""

import shutil
import tempfile
import time
import weakref
from functools import lru_cache
from pathlib import Path
from threading import Lock, RLock

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits

from deeprec.cores import num_cores
from deeprec.models.bundles import open_bundle
from deeprec.models.prediction import Predictor
from deeprec.places import open_place
from deeprec.ratings import RatingMatrix
from deeprec.scoring.delivery import fetch, fetch_vectors
from deeprec.scoring.plans import (
    ScoringPlan,
    plan_at,
    read_plan,
    run_place,
    shard_files,
    write_plan,
)
from deeprec.scoring.run_folders import BUNDLE, VECTORS, read_vectors, run_predictor
from deeprec.scoring.scores_file import prediction_schema
from deeprec.scoring.shard_files import ShardEntry, ShardRows
from deeprec.scoring.storages import Storage, open_storage
from deeprec.vectors.materialize import rating_matrix
from deeprec.warehouse.database import Database, open_memory

_FETCHING = Lock()  # the threads of a process fetch once
_OPENING = RLock()  # and open once: a cache alone lets each of them begin


class ShardReport(BaseModel):
    """What became of one shard."""

    model_config = ConfigDict(frozen=True)

    shard: int
    num_users: int
    num_predictions: int
    seconds: float
    skipped: bool


def find_run(location: str) -> ScoringPlan:
    """The plan of a run with its inputs on this machine, fetched where they were not.

    Args:
        location: the plan's own.

    Raises:
        StoreError: the run is over, or an input is not what was put there.
    """
    plan = plan_at(open_place(location))
    if not plan.config.shards_at:
        return plan.model_copy(update={"run_dir": Path(location)})
    with _FETCHING:
        folder = _fetched(location).folder
    return plan.model_copy(update={"run_dir": folder, "bundle": folder / BUNDLE})


def score_into_files(plan: ScoringPlan, shard: int) -> ShardReport:
    """Score the users of one shard into files of its own; one that is in the ledger is left alone.

    Safe to run twice, at once, late, and to be killed at any moment.
    """
    started = time.monotonic()
    files = shard_files(plan)
    entry = files.entry(shard)
    skipped = entry is not None
    if entry is None:
        rows = compute_shard(plan, shard)
        with open_memory(plan.warehouse) as memory:
            entry = enter(memory, plan, shard, rows)
        files.write(entry, rows)
    return ShardReport(
        shard=shard,
        num_users=entry.num_users,
        num_predictions=entry.num_predictions,
        seconds=time.monotonic() - started,
        skipped=skipped,
    )


def compute_shard(plan: ScoringPlan, shard: int) -> ShardRows:
    """Everything that is kept of a shard's users."""
    vectors = _vectors(plan, shard)
    users = rating_matrix(vectors, _predictor(plan.run_dir).movie_ids_N)
    scored = _storage(plan.run_dir).score_users(users)
    told = _user_rows(plan, users, vectors["vector_digest"])
    return ShardRows(scored.predictions, scored.recommendations, told)


def enter(database: Database, plan: ScoringPlan, shard: int, rows: ShardRows) -> ShardEntry:
    """What a shard's rows come to: what the ledger is to say of them."""
    (of_predictions,) = database.some(
        f"scores/{plan.config.form}/batch_checksum", 1, batch=rows.predictions
    )
    (of_recommendations,) = database.some(
        "scores/batch_recommendations_checksum", 1, batch=rows.recommendations
    )
    parts = (of_predictions, of_recommendations)
    return ShardEntry(
        shard=shard,
        num_users=rows.users.num_rows,
        num_predictions=rows.users.num_rows * plan.num_movies,
        num_rows=sum(part["num_rows"] for part in parts),
        checksum=sum(part["checksum"] for part in parts),
    )


def insert_shard(scores: Database, plan: ScoringPlan, rows: ShardRows, entry: ShardEntry) -> None:
    """Put a shard's rows and its entry into the run's file, within a transaction."""
    _storage(plan.run_dir).insert(scores, rows.predictions)
    scores.run_with("scores/insert_recommendations", rows.recommendations)
    scores.run_with("scores/insert_users", rows.users)
    scores.run("scores/insert_shard", **entry.model_dump(exclude={"files"}))


def is_done(scores: Database, shard: int) -> bool:
    """Whether a shard's rows are in the run's file."""
    return bool(scores.rows("scores/find_shard", shard=shard))


class _Fetched:
    """A folder with a run's inputs, removed with the last who knows it, or the process."""

    def __init__(self, location: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="deeprec-run-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        place = open_place(location)
        fetch(place, self.folder)
        here = {"run_dir": self.folder, "bundle": self.folder / BUNDLE}
        write_plan(plan_at(place).model_copy(update=here))


@lru_cache(maxsize=4)  # a cluster's worker may be shared by homes
def _fetched(location: str) -> _Fetched:
    return _Fetched(location)


def _vectors(plan: ScoringPlan, shard: int) -> pa.Table:
    """The vectors of a shard's users, from the run's folder or, elsewhere, from its place."""
    if not (plan.run_dir / VECTORS).exists():
        return fetch_vectors(run_place(plan), plan.run_dir, shard)
    return read_vectors(plan.run_dir, shard)


def _predictor(run_dir: Path) -> Predictor:
    """The run's model over the warehouse's movies, opened once in each process."""
    with _OPENING:
        return _open_predictor(run_dir)


@lru_cache(maxsize=1)
def _open_predictor(run_dir: Path) -> Predictor:
    plan = read_plan(run_dir)
    bundle = open_bundle(plan.bundle)
    cores_each = max(1, num_cores() // plan.config.num_workers)
    # For good: workers side by side whose products take all cores wait for each other in vain.
    threadpool_limits(cores_each, "blas")
    return run_predictor(plan, bundle, bundle.model(plan.config.device, cores_each))


def _storage(run_dir: Path) -> Storage:
    """What the run's predictions are kept by, opened once in each process."""
    with _OPENING:
        return _open_storage(run_dir)


@lru_cache(maxsize=1)
def _open_storage(run_dir: Path) -> Storage:
    plan, predictor = read_plan(run_dir), _predictor(run_dir)
    schema = prediction_schema(plan, predictor.bundle.manifest.scale)
    return open_storage(plan.config, predictor, schema)


def _user_rows(plan: ScoringPlan, users: RatingMatrix, digests: pa.ChunkedArray) -> pa.Table:
    """A row a user: how much is known of him, and whether the model knows any of it."""
    vocabulary = _predictor(plan.run_dir).bundle.vocabulary
    known = users.restrict_movies(vocabulary.movie_ids_M)
    return pa.table(
        {
            "user_id": users.user_ids_U,
            "num_ratings": np.diff(users.values_UM.indptr),
            "is_known": np.diff(known.values_UM.indptr) > 0,
            "vector_digest": digests,
        }
    )
