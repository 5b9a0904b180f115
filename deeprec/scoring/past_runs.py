"""Files that were published before: kept beside the present one, put back by a rollback.

They are links, so what is kept costs disk only once something else is published.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.warehouse.database import open_database

_READ_ONLY = 0o444
_PARTIAL = ".partial"
_LOG = logging.getLogger(__name__)


def replace_published(home: Home, file: Path) -> None:
    """Move a file over the published one, safely on disk before its name is."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    published = home.predictions
    # A log that someone's writable session left beside the old file must not meet the new one.
    published.with_name(published.name + ".wal").unlink(missing_ok=True)
    file.replace(published)
    # Not before: an interrupted run must be able to go on writing.
    published.chmod(published.stat().st_mode & _READ_ONLY)
    descriptor = os.open(published.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def published_run(home: Home, config: WarehouseConfig) -> str:
    """The run that the published file is of, as it says itself.

    The warehouse may have entered another, where a run or a rollback was killed.

    Raises:
        WarehouseError: it is absent, damaged, or held by somebody who writes to it.
    """
    at_once = config.model_copy(update={"lock_timeout_s": 0})
    with open_database(home.predictions, at_once, read_only=True) as file:
        run_id, *_ = file.row("scores/published_run")
    return str(run_id)


def keep_published(home: Home, config: WarehouseConfig) -> None:
    """Have the published file under its run's name too, before another takes its place.

    One that cannot be read is not kept, with a word in the log.
    """
    if not home.predictions.exists():
        return
    try:
        kept = home.past / f"{published_run(home, config)}.duckdb"
    except WarehouseError as error:
        _LOG.warning("what was published is not kept to roll back to: %s", error)
        return
    if not kept.exists():
        home.past.mkdir(exist_ok=True)
        _link(home.predictions, kept)


def put_back(home: Home, run_id: str) -> None:
    """Publish a kept file again."""
    linked = home.path / f".{run_id}{_PARTIAL}"
    linked.unlink(missing_ok=True)
    _link(home.past / f"{run_id}.duckdb", linked)
    replace_published(home, linked)


def kept_runs(home: Home) -> frozenset[str]:
    """The runs whose files are kept."""
    return frozenset(file.stem for file in home.past.glob("*.duckdb"))


def prune(home: Home, newest_first: Sequence[str], num_kept: int, also: Iterable[str]) -> None:
    """Remove all kept files but the newest and some others, and what a crash has left."""
    wanted = {*[run for run in newest_first if run in kept_runs(home)][:num_kept], *also}
    for file in home.past.glob("*"):
        if file.suffix != ".duckdb" or file.stem not in wanted:
            file.unlink()
    for left in home.path.glob(f".*{_PARTIAL}"):
        left.unlink()


def _link(file: Path, name: Path) -> None:
    """A second name for a file; a copy where the file system knows no such thing."""
    partial = name.with_name(name.name + _PARTIAL)
    partial.unlink(missing_ok=True)
    try:
        os.link(file, partial)
    except OSError:
        shutil.copy2(file, partial)
    partial.replace(name)
