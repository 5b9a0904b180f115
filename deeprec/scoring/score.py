"""Scoring all users: a run is prepared, scored a shard at a time, and published whole."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import Lock

from deeprec.config.run import Config
from deeprec.home import Home, hold_lock
from deeprec.progress import Progress, silent
from deeprec.scoring.plans import ScoringPlan, users_of_shard
from deeprec.scoring.publishing import ScoreReport, publish_run
from deeprec.scoring.runs import prepare_run
from deeprec.scoring.scores_file import open_scores
from deeprec.scoring.shards import (
    ShardReport,
    compute_shard,
    enter,
    find_run,
    insert_shard,
    is_done,
    score_into_files,
)
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import require_warehouse

_LOG = logging.getLogger(__name__)
_OpenScores = Callable[[], AbstractContextManager[Database]]
ScoreShards = Callable[[ScoringPlan, Progress], None]


def score_on_threads(plan: ScoringPlan, progress: Progress) -> None:
    """Score every shard in this process."""
    if plan.config.runner != "threads":
        _LOG.warning(
            "score.runner = %s is for score-flow and nightly-flow; a command scores on threads",
            plan.config.runner,
        )
    if plan.config.shards == "parquet":
        score_one = partial(score_into_files, plan)
        _score_each(plan, score_one, range(plan.num_shards), progress)
    else:
        _score_into_one_file(plan, progress)


def score(
    home: Home,
    config: Config,
    progress: Progress = silent,
    score_shards: ScoreShards = score_on_threads,
) -> ScoreReport:
    """Predict every movie for every user and publish the result in one piece.

    Each user's whole vector is fed to the graph: what the model was trained on and what came
    since. Users whose vectors are those of the published file keep their rows. A run that was
    interrupted goes on with the shards it had not finished.

    Args:
        home: of the bundle, the vectors and what is published.
        config: what is scored with what.
        progress: told of each shard.
        score_shards: calls `score_shard` for every shard, here or on other machines.

    Raises:
        BundleError: there is no bundle, it is damaged, or it is of other movies.
        WarehouseError: vectors are stale, or another run holds the home for too long.
        StoreError: the place of the shards cannot be used, or is away.
    """
    require_warehouse(home)
    with home.lock("score", config.warehouse.lock_timeout_s):
        plan = prepare_run(home, config)
        score_shards(plan, progress)
        return publish_run(home, plan.run_dir, config)


def score_shard(location: str, shard: int) -> ShardReport:
    """Score the users of one shard; one that was scored already is left alone.

    Safe to run twice, beside other shards, and to be killed at any moment: a shard is there
    whole or not at all.

    Args:
        location: the plan's, of the run.
        shard: its number.

    Raises:
        StoreError: the run is over.
    """
    plan = find_run(location)
    if plan.config.shards == "parquet":
        return score_into_files(plan, shard)
    return _score_into(partial(_open_scores, plan), plan, shard)


def _score_into_one_file(plan: ScoringPlan, progress: Progress) -> None:
    """Score every shard over one connection: each opening of the file costs a checkpoint.

    A worker waits with its shard until it can be written, so no more are held than there are
    workers.
    """
    with _open_scores(plan) as scores:
        missing = [shard for shard in range(plan.num_shards) if not is_done(scores, shard)]
        score_one = partial(_score_into, partial(_in_turn, scores, Lock()), plan)
        _score_each(plan, score_one, missing, progress)


def _score_each(
    plan: ScoringPlan,
    score_one: Callable[[int], ShardReport],
    shards: range | list[int],
    progress: Progress,
) -> None:
    already = plan.num_shards - len(shards)
    with ThreadPoolExecutor(plan.config.num_workers) as workers:
        for done, _ in enumerate(workers.map(score_one, shards), start=already + 1):
            progress("score", done, plan.num_shards, "shards")


def _score_into(open_scores: _OpenScores, plan: ScoringPlan, shard: int) -> ShardReport:
    """What became of a shard that is to be in the run's file; see `score_shard`."""
    started = time.monotonic()
    with open_scores() as scores:
        skipped = is_done(scores, shard)
    if not skipped:
        rows = compute_shard(plan, shard)
        with open_scores() as scores, scores.transaction():
            if not is_done(scores, shard):
                insert_shard(scores, plan, rows, enter(scores, plan, shard, rows))
    num_users = users_of_shard(plan, shard)
    return ShardReport(
        shard=shard,
        num_users=num_users,
        num_predictions=num_users * plan.num_movies,
        seconds=time.monotonic() - started,
        skipped=skipped,
    )


@contextmanager
def _open_scores(plan: ScoringPlan) -> Iterator[Database]:
    """The run's file; one shard at a time speaks to it while others compute."""
    with (
        hold_lock(plan.run_dir / ".scores.lock", plan.warehouse.lock_timeout_s),
        open_scores(plan) as scores,
    ):
        yield scores


@contextmanager
def _in_turn(scores: Database, turn: Lock) -> Iterator[Database]:
    """A file that is open already, for one thread at a time."""
    with turn:
        yield scores
