"""From shards that lie in files to the run's DuckDB file: the one place where they meet.

No worker opens that file. A shard whose files are not what its ledger says is scored again here.
"""

import logging

from deeprec.ahead import ahead
from deeprec.errors import WarehouseError
from deeprec.places import is_store
from deeprec.scoring.plans import ScoringPlan, shard_files, users_of_shard
from deeprec.scoring.scores_file import open_scores
from deeprec.scoring.shard_files import ShardEntry, ShardFiles, ShardRows, UnsoundShardError
from deeprec.scoring.shards import enter, insert_shard, is_done, score_into_files
from deeprec.warehouse.database import Database

_LOG = logging.getLogger(__name__)
_Read = tuple[ShardEntry, ShardRows | str] | None  # a shard's rows, or why they are not sound


def gather_shards(plan: ScoringPlan) -> None:
    """Check every shard that was scored, and have it in the run's file once.

    Raises:
        WarehouseError: a shard's files are unsound, and were again after it was scored anew.
    """
    files = shard_files(plan)
    with open_scores(plan) as scores:
        done = {shard for shard in range(plan.num_shards) if is_done(scores, shard)}
        is_view = plan.config.publish == "view"
        wanted = [shard for shard in range(plan.num_shards) if is_view or shard not in done]
        entries = []
        reads = ahead(_read(files, shard) for shard in wanted)  # a store makes one wait
        for shard, read in zip(wanted, reads, strict=True):
            found = _sound(scores, plan, files, shard, read)
            if found is None:
                continue
            entry, rows = found
            entries.append(entry)
            if shard not in done:
                with scores.transaction():
                    insert_shard(scores, plan, rows, entry)
        if is_view and len(entries) == plan.num_shards:
            files.sweep(entries)
            urls = [files.url(entry, "predictions") for entry in entries]
            if is_store(plan.config.shards_at):
                scores.reach_store()
            scores.create_view("predicted_ratings", "scores/rows/of_files", files=urls)


def _read(files: ShardFiles, shard: int) -> _Read:
    entry = files.entry(shard)
    if entry is None:
        return None
    try:
        return entry, files.read(entry)
    except UnsoundShardError as error:
        return entry, str(error)


def _sound(
    scores: Database, plan: ScoringPlan, files: ShardFiles, shard: int, read: _Read
) -> tuple[ShardEntry, ShardRows] | None:
    """A shard's entry and rows, which agree; None where it was never scored."""
    for is_last in (False, True):
        if read is None:
            return None
        entry, rows = read
        unsound = rows if isinstance(rows, str) else _disagreement(scores, plan, entry, rows)
        if not unsound and isinstance(rows, ShardRows):
            return entry, rows
        if is_last:
            raise WarehouseError(
                f"{unsound}, though shard {shard} was just scored again; nothing was published: "
                "look at what holds it, then run `deeprec score` again"
            )
        _LOG.warning("shard %d is scored again: %s", shard, unsound)
        files.forget(shard)
        score_into_files(plan, shard)
        read = _read(files, shard)
    raise AssertionError


def _disagreement(scores: Database, plan: ScoringPlan, entry: ShardEntry, rows: ShardRows) -> str:
    """In what an entry's numbers are others than those worked out from its rows again."""
    found = enter(scores, plan, entry.shard, rows)
    if found != entry.model_copy(update={"files": {}}):
        return f"its rows come to {found}, the ledger says {entry}"
    if entry.num_users != users_of_shard(plan, entry.shard):
        return f"{entry.num_users} users of {users_of_shard(plan, entry.shard)}"
    return ""
