"""What a run takes over from the published file: the rows of users whose vectors are unchanged.

Knows no models, and of shards only that their ledger begins empty: what else decides a user's rows
comes as one word, the recipe.

Shape legend: U users of the warehouse, P users of the published file.
"""

import logging
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deeprec.config.run import Config
from deeprec.config.scoring import Form
from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import WarehouseError
from deeprec.warehouse.database import Database, open_database

_WRITABLE = 0o222
_MOST_FREE = 1 / 3  # of a file that rows are carried over in; DuckDB gives no room inside it back
_FEW_FREE_BYTES = 2**24  # which a small file may waste
_LOG = logging.getLogger(__name__)
Bools = npt.NDArray[np.bool_]


def carry_over(
    published: Path, scores: Path, recipe: str, users: pa.Table, config: Config
) -> Bools:
    """U: whose rows a run need not compute, since `scores` now holds them.

    `scores` is a copy of the published file without anybody else's rows; where no row can be
    carried over there is no such file. Nothing that is wrong with the published file fails a run.

    Args:
        published: the file that is published, if one is.
        scores: the file to make.
        recipe: what decides a user's rows beside his vector.
        users: `user_id` and `vector_digest` of everybody, by ascending id.
        config: whether to carry over at all, and how the rows lie.
    """
    is_carried_U = np.zeros(users.num_rows, dtype=np.bool_)
    can_be_carried = config.score.incremental and config.score.publish == "table"
    if not can_be_carried or not published.exists():
        return is_carried_U
    try:
        if _copy(published, scores, recipe, config.warehouse):
            with open_database(
                scores, config.warehouse, group_rows=config.score.group_rows
            ) as copied:
                is_carried_U = _keep_unchanged(copied, users, config.score.form)
    except (OSError, WarehouseError) as error:
        _LOG.warning("every user is scored, no row can be carried over: %s", error)
        is_carried_U[:] = False
    if not is_carried_U.any():
        for file in (scores, _log_of(scores)):
            file.unlink(missing_ok=True)
    return is_carried_U


def _copy(published: Path, scores: Path, recipe: str, config: WarehouseConfig) -> bool:
    """Copy the file if its rows were made by this recipe and lie closely; whether they were.

    Raises:
        WarehouseError: somebody has it open for writing, or could have written to it.
    """
    if published.stat().st_mode & _WRITABLE or _log_of(published).exists():
        raise WarehouseError(f"{published}: was made writable, so its rows may not be ours")
    at_once = config.model_copy(update={"lock_timeout_s": 0})
    # DuckDB lets nobody open the file for writing while it is open here.
    with open_database(published, at_once, read_only=True) as before:
        (has_recipe,) = before.row("scores/has_recipe")
        if not has_recipe or before.row("scores/recipe") != (recipe,):
            return False
        num_free_bytes, num_bytes = before.row("scores/free_bytes")
        if num_free_bytes > max(_FEW_FREE_BYTES, _MOST_FREE * num_bytes):
            _LOG.info(
                "%s: %.0f%% is free, so it is made anew",
                published,
                100 * num_free_bytes / num_bytes,
            )
            return False
        shutil.copyfile(published, scores)
    return True


def _keep_unchanged(copied: Database, users: pa.Table, form: Form) -> Bools:
    """U: whose rows are still there after those of all others have been removed."""
    before = copied.table("scores/user_digests")
    is_carried_U = _is_unchanged(users, before)
    carried = users["user_id"].filter(pa.array(is_carried_U))
    is_left_P = np.isin(before["user_id"].to_numpy(), carried.to_numpy())
    removed = before.filter(pa.array(~is_left_P)).select(["user_id"])
    with copied.transaction():
        for statement in (f"{form}/delete", "delete_recommendations", "delete_users"):
            copied.run_with(f"scores/{statement}", removed)
        copied.run("scores/create_scoring_shards")
    return is_carried_U


def _is_unchanged(users: pa.Table, before: pa.Table) -> Bools:
    """U: who was there before with a vector of the same digest; both by ascending id."""
    ids_U, ids_P = users["user_id"].to_numpy(), before["user_id"].to_numpy()
    place_U = np.minimum(np.searchsorted(ids_P, ids_U), len(ids_P) - 1)
    digest_U, digest_P = users["vector_digest"].to_numpy(), before["vector_digest"].to_numpy()
    return np.asarray((ids_P[place_U] == ids_U) & (digest_P[place_U] == digest_U))


def _log_of(file: Path) -> Path:
    """Where DuckDB keeps what has been written to a file but is not in it yet."""
    return file.with_name(file.name + ".wal")
