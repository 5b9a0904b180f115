"""Files that were published before: kept beside the present one, put back by a rollback.

They are links, so what is kept costs disk only once something else is published.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from deeprec.home import Home

_READ_ONLY = 0o444
_PARTIAL = ".partial"


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


def keep_published(home: Home, run_id: str) -> None:
    """Have the published file under its run's name too, before another takes its place."""
    kept = home.past / f"{run_id}.duckdb"
    if home.predictions.exists() and not kept.exists():
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
