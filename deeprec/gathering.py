"""From shards that lie in files to the run's DuckDB file: the one place where they meet.

Nobody else opens that file. A shard whose files are not what its ledger says is scored again here.
"""

import logging

from deeprec.errors import WarehouseError
from deeprec.places import is_store
from deeprec.runs import ScoringPlan, open_scores, shard_files, users_of_shard
from deeprec.shard_files import ShardEntry, ShardFiles, ShardRows, UnsoundShardError
from deeprec.shards import enter, insert_shard, is_done, score_into_files
from deeprec.warehouse import Database

_LOG = logging.getLogger(__name__)


def gather_shards(plan: ScoringPlan) -> None:
    """Check every shard that was scored, and have it in the run's file once.

    Raises:
        WarehouseError: a shard's files are unsound, and were again after it was scored anew.
    """
    files = shard_files(plan)
    with open_scores(plan) as scores:
        entries = []
        for shard in range(plan.num_shards):
            done = is_done(scores, shard)
            if done and plan.config.publish == "table":
                continue
            found = _sound(scores, plan, files, shard)
            if found is None:
                continue
            entry, rows = found
            entries.append(entry)
            if not done:
                with scores.transaction():
                    insert_shard(scores, plan, rows, entry)
        if plan.config.publish == "view" and len(entries) == plan.num_shards:
            files.sweep(entries)
            urls = [files.url(entry, "predictions") for entry in entries]
            if is_store(plan.config.shards_at):
                scores.reach_store()
            scores.create_view("predicted_ratings", "scores/rows/of_files", files=urls)


def _sound(
    scores: Database, plan: ScoringPlan, files: ShardFiles, shard: int
) -> tuple[ShardEntry, ShardRows] | None:
    """A shard's entry and rows, which agree; None where it was never scored."""
    for is_last in (False, True):
        entry = files.entry(shard)
        if entry is None:
            return None
        try:
            return entry, _checked(scores, plan, files, entry)
        except UnsoundShardError as error:
            if is_last:
                raise WarehouseError(
                    f"{error}, though shard {shard} was just scored again; nothing was published: "
                    "look at what holds it, then run `deeprec score` again"
                ) from error
            _LOG.warning("shard %d is scored again: %s", shard, error)
        files.forget(shard)
        score_into_files(plan, shard)
    raise AssertionError


def _checked(
    scores: Database, plan: ScoringPlan, files: ShardFiles, entry: ShardEntry
) -> ShardRows:
    """The rows of an entry, after its numbers have been worked out from them again.

    Raises:
        UnsoundShardError: they come to other numbers.
    """
    rows = files.read(entry)
    found = enter(scores, plan, entry.shard, rows)
    if found != entry.model_copy(update={"files": {}}):
        raise UnsoundShardError(f"its rows come to {found}, the ledger says {entry}")
    if entry.num_users != users_of_shard(plan, entry.shard):
        raise UnsoundShardError(f"{entry.num_users} users of {users_of_shard(plan, entry.shard)}")
    return rows
