"""What the warehouse knows of source files, and what follows from the rows they brought.

Which rating stands, which has lost, the dense indexes and the scale are settled here, in SQL; the
files themselves are read elsewhere.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from deeprec.config.ingestion import IngestConfig
from deeprec.errors import SourceError
from deeprec.ratings import RatingScale, rating_text
from deeprec.readers.chunks import digest_file
from deeprec.readers.detection import listed_files
from deeprec.readers.layouts import Role, SourceFile
from deeprec.warehouse.database import Database

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


class KnownFile(NamedTuple):
    """A file as it was taken in; `rows_kept` of its rows stand."""

    path: str
    file_id: int
    size_bytes: int
    sha256: str
    layout: str
    role: str
    source: str
    rows_kept: int


@dataclass(frozen=True)
class Changes:
    """How a source differs from what was taken in of it; each state of a file has an id of its own.

    `new` are the files to read, under new ids; `changed` those of them that were other files
    before, and `gone` those that are no more, as they were.
    """

    new: Mapping[int, SourceFile]
    changed: Mapping[int, KnownFile]
    gone: tuple[KnownFile, ...]

    def of(self, file_id: int) -> "Changes":
        """What is new in one file."""
        changed = {file_id: self.changed[file_id]} if file_id in self.changed else {}
        return Changes({file_id: self.new[file_id]}, changed, ())

    @property
    def outdated(self) -> list[int]:
        """The ids of what files were that are not so any more."""
        return [before.file_id for before in (*self.changed.values(), *self.gone)]


def find_changes(
    warehouse: Database,
    source: str,
    files: Sequence[SourceFile],
    config: IngestConfig,
    skipped: Collection[Path] = (),
) -> Changes:
    """Files that are new, or are not what they were when they were taken in, or are gone.

    Those that are skipped count as unchanged.
    """
    known = {file.path: file for file in _known_files(warehouse)}
    (next_id,) = warehouse.row("ratings/next_file_id")
    new: dict[int, SourceFile] = {}
    changed: dict[int, KnownFile] = {}
    for file in files:
        if file.path in skipped:
            continue
        file_id = next_id + len(new)
        if before := known.get(str(file.path)):
            now = digest_file(file.path, before.file_id)
            then = (before.size_bytes, before.sha256, before.layout)
            if then == (now.size_bytes, now.sha256, str(file.layout)):
                continue
            changed[file_id] = before
        new[file_id] = file
    gone = _gone(known.values(), source, files) if config.forget_gone else ()
    return Changes(new, changed, tuple(gone))


def absolute(source: str) -> str:
    """A folder, file or glob as it is called from anywhere; links in it are links still."""
    return str(Path(source).absolute())


def _known_files(warehouse: Database) -> list[KnownFile]:
    return [KnownFile(*row) for row in warehouse.rows("ratings/source_files")]


def _gone(
    known: Iterable[KnownFile], source: str, files: Sequence[SourceFile]
) -> Iterator[KnownFile]:
    """The files that were taken in from this source and are not there any more.

    Those under its folder are looked for by their paths, for another source may have brought them;
    what links or a glob led to, by what they lead to now. One that is there and is not chosen any
    more is not gone.
    """
    folder, place = Path(source).resolve(), absolute(source)
    there = {str(path) for path in listed_files(source)} | {str(file.path) for file in files}
    for file in known:
        path = Path(file.path)
        is_under = path.is_relative_to(folder)
        is_of_source = is_under or file.source == place
        if is_of_source and file.path not in there and not (is_under and path.exists()):
            yield file


def rows_by_role(warehouse: Database) -> Counter[str]:
    """How many rows of ratings, movies and users stand."""
    counts: Counter[str] = Counter()
    for file in _known_files(warehouse):
        counts[file.role] += file.rows_kept
    return counts


def check_lost(
    source: str,
    changes: Changes,
    num_rows: Mapping[int, int],
    num_held: Mapping[str, int],
    config: IngestConfig,
) -> None:
    """Refuse to forget so much that a file or a folder which is not whole is the likelier reason.

    A file that was cut is looked at by itself, and all that files have lost together: what is gone
    and not brought by new ones, and what others hold less than before.

    Args:
        source: what is taken in.
        changes: of it.
        num_rows: usable ones of each new file.
        num_held: rows in the warehouse before, by role.
        config: says how much may be forgotten, where files are forgotten at all.

    Raises:
        SourceError: it is more.
    """
    if not config.forget_gone:
        return
    fraction = config.max_gone_fraction
    too_much = (
        f"more than ingest.max_gone_fraction = {fraction:g} allows. Nothing was forgotten: put "
        "them back, or allow more"
    )
    lost = {
        before: before.rows_kept - num_rows.get(file_id, 0)
        for file_id, before in changes.changed.items()
    }
    for before, num_lost in lost.items():
        num_all = num_held[Role.RATINGS] if before.role == Role.RATINGS else before.rows_kept
        if num_lost > fraction * num_all:
            raise SourceError(
                f"{before.path}: held {before.rows_kept:,} rows of {num_all:,} {before.role} and "
                f"holds {before.rows_kept - num_lost:,} now; {too_much}"
            )
    for role, num_all in num_held.items():
        gone = [file for file in changes.gone if file.role == role]
        cut = [before for before, num_lost in lost.items() if before.role == role and num_lost > 0]
        num_brought = sum(
            num_rows.get(file_id, 0)
            for file_id, file in changes.new.items()
            if file_id not in changes.changed and file.layout.role == role
        )
        num_gone = max(0, sum(file.rows_kept for file in gone) - num_brought)
        num_lost = num_gone + sum(lost[before] for before in cut)
        if num_lost > fraction * num_all:
            raise SourceError(
                f"{source}: {len(gone)} files are gone and {len(cut)} hold less, with "
                f"{num_lost:,} of {num_all:,} {role} in all, as {(*gone, *cut)[0].path}; {too_much}"
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
    outdated = set(changes.outdated)
    others = [
        file.file_id
        for file in _known_files(warehouse)
        if file.role == Role.RATINGS and file.file_id not in outdated
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
        warehouse.run_with("ratings/clear_history", old)
        warehouse.run_with("ratings/record_history", old)
        for table in _RETIRED:
            warehouse.run_with(f"ratings/forget_retired_{table}", old)


def settle(
    warehouse: Database,
    source: str,
    scale: RatingScale | None,
    now: datetime,
    suspects: pa.Table | None = None,
) -> None:
    """Decide which rating of a user and movie stands, and bring everything derived up to date.

    Args:
        warehouse: with the rows of all files in it.
        source: what was taken in, for the error.
        scale: that is declared; None where none is.
        now: from when on it is.
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
    _settle_scale(warehouse, source, scale, now)
    for check in _CHECKS:
        unhealthy = warehouse.rows(f"checks/{check}")
        assert not unhealthy, (check, unhealthy[:3])


def _settle_scale(
    warehouse: Database, source: str, scale: RatingScale | None, now: datetime
) -> None:
    """Enter the scale that is declared, if every rating is on it, else the one observed."""
    if scale:
        limits = asdict(scale)
        num_off, lowest, highest = warehouse.row("ratings/off_scale", **limits)
        if num_off:
            raise SourceError(
                f"{source}: the scale is {scale}, but {num_off:,} ratings, from "
                f"{rating_text(lowest)} to {rating_text(highest)}, of files that state none are "
                "not on it; take them into a home of their own"
            )
        warehouse.run("ratings/declare_scale", **limits)
    else:
        warehouse.run("ratings/observe_scale")
    warehouse.run("ratings/record_scale", since=now)


def kept_and_replaced(warehouse: Database, files: Mapping[int, SourceFile]) -> tuple[int, int]:
    """Rows of these files that stand, and that lost to later ones."""
    by_file = {file_id: rest for file_id, *rest in warehouse.rows("ratings/file_counts")}
    counts = [by_file[file_id] for file_id in files]
    return sum(kept for kept, _ in counts), sum(replaced for _, replaced in counts)
