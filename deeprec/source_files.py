"""What the warehouse knows of source files, and what follows from the rows they brought.

Which rating stands, which has lost, the dense indexes and the scale are settled here, in SQL; the
files themselves are read elsewhere.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from deeprec.config import IngestConfig
from deeprec.errors import SourceError
from deeprec.ratings import RatingScale
from deeprec.readers.chunks import digest_file
from deeprec.readers.layouts import Role, SourceFile
from deeprec.warehouse import Database

_BY_FILE = ("ratings", "superseded_ratings", "rejected_rows", "movie_rows", "user_rows")
_RETIRED = ("ratings", "rejected_rows", "movie_rows", "user_rows", "source_files")
_SETTLE = (
    "clear_superseded",
    "find_superseded",
    "keep_superseded",
    "remove_superseded",
    "count_kept_ratings",
    "count_kept_catalog_rows",
    "clear_movies",
    "index_movies",
    "clear_users",
    "group_by_place",
    "index_users",
    "group_as_usual",
    "clear_scale",
)
_CHECKS = ("ratings/source_file_counts", "ratings/losers_have_winners")


@dataclass(frozen=True)
class Changes:
    """How a source differs from what was taken in of it; each state of a file has an id of its own.

    `new` are the files to read, under new ids; `outdated` the ids of what they were before, and of
    files that are gone.
    """

    new: Mapping[int, SourceFile]
    outdated: tuple[int, ...]
    num_gone: int


def find_changes(
    warehouse: Database,
    source: str,
    files: Sequence[SourceFile],
    config: IngestConfig,
    skipped: Collection[Path] = (),
) -> Changes:
    """Files that are new, or are not what they were when they were taken in, or are gone.

    Those that are skipped count as unchanged.

    Raises:
        SourceError: more of the source's ratings would go than the configuration allows.
    """
    known = {path: rest for path, *rest, _ in warehouse.rows("ratings/source_files")}
    (next_id,) = warehouse.row("ratings/next_file_id")
    new: dict[int, SourceFile] = {}
    outdated: list[int] = []
    for file in files:
        if file.path in skipped:
            continue
        if (before := known.get(str(file.path))) is not None:
            file_id, *then = before
            now = digest_file(file.path, file_id)
            if then == [now.size_bytes, now.sha256, str(file.layout)]:
                continue
            outdated.append(file_id)
        new[next_id + len(new)] = file
    gone = _gone(known, source, files) if config.forget_gone else {}
    if gone:
        _check_gone(warehouse, source, gone, config)
    return Changes(new, (*outdated, *gone.values()), len(gone))


def _gone(
    known: Mapping[str, Sequence[Any]], source: str, files: Sequence[SourceFile]
) -> dict[str, int]:
    """The files that were taken in from this folder and are not in it any more, with their ids."""
    folder, found = Path(source).resolve(), {str(file.path) for file in files}
    return {
        path: file_id
        for path, (file_id, *_) in known.items()
        if path not in found and Path(path).is_relative_to(folder)
    }


def _check_gone(
    warehouse: Database, source: str, gone: Mapping[str, int], config: IngestConfig
) -> None:
    """Refuse to forget so much that a folder which is not whole is the likelier reason."""
    num_by_file = {file_id: kept for file_id, kept, _ in warehouse.rows("ratings/file_counts")}
    num_gone = sum(num_by_file[file_id] for file_id in gone.values())
    _, _, num_ratings, _ = warehouse.row("vectors/counts")
    if num_gone > config.max_gone_fraction * num_ratings:
        raise SourceError(
            f"{source}: {len(gone)} files are gone, with {num_gone:,} of {num_ratings:,} ratings, "
            f"as {next(iter(gone))}; more than ingest.max_gone_fraction = "
            f"{config.max_gone_fraction:g} allows. Nothing was forgotten: put them back, or allow "
            "more"
        )


def declared_scale(warehouse: Database, source: str, changes: Changes) -> RatingScale | None:
    """The scale that the files or those beside them state; None where none does.

    Raises:
        SourceError: they state different ones.
    """
    stated = {
        file.layout.scale
        for file in changes.new.values()
        if file.layout.role is Role.RATINGS and file.layout.scale
    }
    others = [
        file_id
        for _, file_id, _, _, _, role in warehouse.rows("ratings/source_files")
        if role == Role.RATINGS and file_id not in changes.outdated
    ]
    known = {
        RatingScale(minimum, maximum, step)
        for minimum, maximum, step, declared in warehouse.rows("vectors/scale")
        if declared and others
    }
    if len(stated | known) > 1:
        raise SourceError(
            f"{source}: its ratings stand on the scale {' and '.join(map(str, stated))}, the "
            f"warehouse's on {' and '.join(map(str, known))}; take them into a home of their own, "
            "or all of them into a new one with ingest.scale"
        )
    return next(iter(stated | known), None)


def retire_files(warehouse: Database, file_ids: Sequence[int], now: datetime) -> None:
    """Move what these states of files brought out of the way, to where the past is kept."""
    batch = pa.table({"file_id": pa.array(file_ids, pa.int32())})
    for table in (*_BY_FILE, "source_files"):
        retired_at = {"retired_at": now} if table == "source_files" else {}
        warehouse.run_with(f"ratings/retire_{table}", batch, **retired_at)
        warehouse.run_with(f"ratings/forget_{table}", batch)


def forget_history(warehouse: Database, moment: datetime) -> None:
    """Remove what is kept of files that were retired before a moment."""
    old = warehouse.table("ratings/retired_before", moment=moment)
    if old.num_rows:
        warehouse.run("ratings/clear_history")
        warehouse.run_with("ratings/record_history", old)
        for table in _RETIRED:
            warehouse.run_with(f"ratings/forget_retired_{table}", old)


def settle(
    warehouse: Database, source: str, scale: RatingScale | None, suspects: pa.Table | None = None
) -> None:
    """Decide which rating of a user and movie stands, and bring everything derived up to date.

    Args:
        warehouse: with the rows of all files in it.
        source: what was taken in, for the error.
        scale: that is declared; None where none is.
        suspects: the only movies of which the files taken in can repeat a rating; None: any.

    Raises:
        SourceError: a rating that was taken in before is not on the scale that is declared now.
    """
    warehouse.run("ratings/restore_superseded")
    if suspects is None:
        warehouse.run("ratings/find_repeated")
    else:
        warehouse.run_with("ratings/find_repeated_among", suspects)
    for name in _SETTLE:
        warehouse.run(f"ratings/{name}")
    _settle_scale(warehouse, source, scale)
    for check in _CHECKS:
        unhealthy = warehouse.rows(f"checks/{check}")
        assert not unhealthy, (check, unhealthy[:3])


def _settle_scale(warehouse: Database, source: str, scale: RatingScale | None) -> None:
    """Enter the scale that is declared, if every rating is on it, else the one observed."""
    if scale:
        limits = asdict(scale)
        num_off, lowest, highest = warehouse.row("ratings/off_scale", **limits)
        if num_off:
            raise SourceError(
                f"{source}: the scale is {scale}, but {num_off:,} ratings, from {lowest:g} to "
                f"{highest:g}, of files that state none are not on it; take them into a home of "
                "their own"
            )
        warehouse.run("ratings/declare_scale", **limits)
    else:
        warehouse.run("ratings/observe_scale")


def kept_and_replaced(warehouse: Database, files: Mapping[int, SourceFile]) -> tuple[int, int]:
    """Rows of these files that stand, and that lost to later ones."""
    by_file = {file_id: rest for file_id, *rest in warehouse.rows("ratings/file_counts")}
    counts = [by_file[file_id] for file_id in files]
    return sum(kept for kept, _ in counts), sum(replaced for _, replaced in counts)
