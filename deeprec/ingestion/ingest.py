"""From rating files to the warehouse: one transaction a source, every row accounted for."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from pathlib import Path

import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from deeprec.ahead import ahead
from deeprec.config.ingestion import IngestConfig
from deeprec.config.run import Config
from deeprec.errors import SourceError
from deeprec.home import Home
from deeprec.ingestion.repeats import Suspects
from deeprec.ingestion.source_files import (
    absolute,
    check_lost,
    declared_scale,
    find_changes,
    forget_history,
    kept_and_replaced,
    retire_files,
    rows_by_role,
    settle,
)
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingScale, describe_scale
from deeprec.readers import read_files
from deeprec.readers.batches import Batch
from deeprec.readers.chunks import FileDigest, digest_file
from deeprec.readers.detection import find_files, led_to, listed_files, looks_like_ratings
from deeprec.readers.layouts import Role, SourceFile
from deeprec.readers.rejections import Reason
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse

_LOG = logging.getLogger(__name__)
_NUM_EXAMPLES = 3
_BATCHES_AT_ONCE = 4  # of an insert
_Example = tuple[int, int, str, str]  # file, line, text, reason
_INSERTS = {
    Role.RATINGS: "ratings/insert_ratings",
    Role.MOVIES: "ratings/insert_movie_rows",
    Role.USERS: "ratings/insert_user_rows",
}


class HeldBack(BaseModel):
    """A file that was left out, and why; what was known of it before still stands."""

    model_config = ConfigDict(frozen=True)

    path: Path
    reason: str


class SourceReport(BaseModel):
    """What became of the rows of one source; the counts are of the files that were read.

    `passed_over` are tables beside or below them that are of no source, going by their names.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    format: str
    num_files: int
    num_files_unchanged: int
    num_files_gone: int
    rows_read: int
    rows_kept: int
    rows_replaced: int
    rows_rejected: int
    rejected_by_reason: dict[str, int]
    held_back: tuple[HeldBack, ...] = ()
    passed_over: tuple[Path, ...] = ()


class IngestReport(BaseModel):
    """What the warehouse holds after taking in some sources."""

    model_config = ConfigDict(frozen=True)

    changed: bool
    num_ratings: int
    num_users: int
    num_movies: int
    scale: str
    data_digest: str
    sources: tuple[SourceReport, ...]


def ingest(
    home: Home, sources: Sequence[str], config: Config, progress: Progress = silent
) -> IngestReport:
    """Take rating files into the warehouse; files that it knows already are passed over.

    Each source is one transaction: all of its new and changed files, or none of them. With
    `ingest.hold_back`, files that cannot be read or used are left out of it.

    Args:
        home: where the warehouse is.
        sources: folders, files or globs.
        config: of the whole run; `ingest` is used.
        progress: told of the bytes read.

    Raises:
        SourceError: a source cannot be read or understood, too many of its rows cannot be used,
            or its scale is not the warehouse's; nothing of it was taken in.
    """
    _find_all(sources, config.ingest)  # a wrong source makes no home and waits for nobody
    with open_warehouse(home, config.warehouse) as warehouse:
        found = _find_all(sources, config.ingest)  # which may be others after the wait
        passed_over = _passed_over(found, config.ingest)
        reports = tuple(
            _ingest_usable(warehouse, source, files, config.ingest, progress).model_copy(
                update={"passed_over": passed_over[source]}
            )
            for source, files in found.items()
        )
        num_users, num_movies, num_ratings, _ = warehouse.row("vectors/counts")
        (digest,) = warehouse.row("ratings/data_digest")
        scales = warehouse.rows("vectors/scale")
    return IngestReport(
        changed=any(
            report.num_files > report.num_files_unchanged or report.num_files_gone
            for report in reports
        ),
        num_ratings=num_ratings,
        num_users=num_users,
        num_movies=num_movies,
        scale=", ".join(describe_scale(low, high, step) for low, high, step, _ in scales),
        data_digest=digest,
        sources=reports,
    )


def _find_all(sources: Sequence[str], config: IngestConfig) -> dict[str, list[SourceFile]]:
    return {source: find_files(source, config) for source in sources}


def _passed_over(
    found: Mapping[str, Sequence[SourceFile]], config: IngestConfig
) -> dict[str, tuple[Path, ...]]:
    """Files of each source's folder that may hold ratings and that nobody reads.

    Where a layout was asked for, those of another are left out on purpose.
    """
    if config.format != "auto":
        return dict.fromkeys(found, ())
    read = {led_to(file.path) for files in found.values() for file in files}
    passed_over = {
        source: tuple(
            path
            for path in sorted(listed_files(source))
            if led_to(path) not in read and looks_like_ratings(path)
        )
        for source in found
    }
    for source, paths in passed_over.items():
        for path in paths:
            _LOG.warning("%s: %s is not read; name it, or move it away", source, path)
    return passed_over


@dataclass
class _Tally:
    """What has been counted of a source while it was read."""

    suspects: Suspects = field(default_factory=Suspects)
    num_rows: Counter[int] = field(default_factory=Counter)
    num_rejected: Counter[int] = field(default_factory=Counter)
    reasons: dict[Role, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[Role, list[_Example]] = field(default_factory=lambda: defaultdict(list))
    digests: dict[int, FileDigest] = field(default_factory=dict)

    @property
    def num_read(self) -> int:
        """Rows that were read, usable or not."""
        return self.num_rows.total() + self.num_rejected.total()

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        _count_files(batch.rows, self.num_rows)
        _count_files(batch.rejected, self.num_rejected)
        self.reasons[batch.role].update(batch.rejected["reason"].to_list())
        shown = self.examples[batch.role]
        shown += batch.rejected.head(_NUM_EXAMPLES - len(shown)).rows()
        self.digests.update({digest.file_id: digest for digest in batch.ended})
        if batch.role is Role.RATINGS:
            self.suspects.add(batch.rows)

    def counted(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, each counted before it comes."""
        for batch in batches:
            self.add(batch)
            yield batch


def _count_files(rows: pl.DataFrame, counts: Counter[int]) -> None:
    """Add up how many rows each file has; those of a file stand together, if not all of them."""
    for run in rows["file_id"].rle():
        counts[run["value"]] += run["len"]


def _ingest_usable(
    warehouse: Database,
    source: str,
    files: Sequence[SourceFile],
    config: IngestConfig,
    progress: Progress,
) -> SourceReport:
    """Take in a source, without its broken files where that is wanted and leaves any."""
    before = {file.path: _seen(file.path) for file in files} if config.hold_back else {}
    try:
        return _ingest_source(warehouse, source, files, config, progress)
    except SourceError:
        if not config.hold_back:
            raise
        held_back = _find_broken(warehouse, source, files, before, config)
        if len(held_back) == len(files):
            raise
    skipped = frozenset(held.path for held in held_back)
    report = _ingest_source(warehouse, source, files, config, progress, skipped=skipped)
    return report.model_copy(update={"held_back": held_back})


def _find_broken(
    warehouse: Database,
    source: str,
    files: Sequence[SourceFile],
    before: Mapping[Path, tuple[int, int] | None],
    config: IngestConfig,
) -> tuple[HeldBack, ...]:
    """Which new and changed files cannot be read to their end, or have too many unusable rows.

    One that is not in the state of before is still being written.
    """
    held_back = _unreadable(files)
    skipped = frozenset(held.path for held in held_back)
    changes = find_changes(warehouse, source, files, config, skipped)
    scale = declared_scale(warehouse, source, changes)
    num_held = rows_by_role(warehouse)
    for file_id, file in changes.new.items():
        tally = _Tally()
        try:
            for batch in read_files({file_id: file}, scale, config.chunk_bytes):
                tally.add(batch)
            _check_rejected(str(file.path), {file_id: file}, tally, config)
            check_lost(source, changes.of(file_id), tally.num_rows, num_held, config)
            _check_unchanged(file.path, before[file.path])
        except SourceError as error:
            held_back.append(HeldBack(path=file.path, reason=str(error)))
    return tuple(held_back)


def _unreadable(files: Iterable[SourceFile]) -> list[HeldBack]:
    """The files that cannot be read to their end, known ones too."""
    found = []
    for file in files:
        try:
            digest_file(file.path, 0)
        except SourceError as error:
            found.append(HeldBack(path=file.path, reason=str(error)))
    return found


def _check_unchanged(path: Path, before: tuple[int, int] | None) -> None:
    if _state(path) != before:
        raise SourceError(f"{path}: changed while it was read")


def _seen(path: Path) -> tuple[int, int] | None:
    """Its state; None where that cannot be told."""
    try:
        return _state(path)
    except SourceError:
        return None


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file is written to: its size in bytes, and when that was, in ns."""
    try:
        found = path.stat()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    return found.st_size, found.st_mtime_ns


def _ingest_source(
    warehouse: Database,
    source: str,
    files: Sequence[SourceFile],
    config: IngestConfig,
    progress: Progress,
    *,
    skipped: frozenset[Path] = frozenset(),
) -> SourceReport:
    """Take in a source's new and changed files but the skipped ones, or none of them."""
    now = datetime.now(UTC).replace(tzinfo=None)
    with warehouse.transaction():
        changes = find_changes(warehouse, source, files, config, skipped)
        tally = _Tally()
        if changes.new or changes.outdated:
            num_held = rows_by_role(warehouse)
            scale = declared_scale(warehouse, source, changes)
            retire_files(warehouse, changes.outdated, now)
            tally = _read(warehouse, changes.new, scale, config.chunk_bytes, progress)
            if len(changes.new) == len(files) and not tally.num_read:
                raise SourceError(f"{source}: holds no row; expected ratings, one a line")
            _check_rejected(source, changes.new, tally, config)
            check_lost(source, changes, tally.num_rows, num_held, config)
            _record_files(warehouse, source, changes.new, tally, now)
            settle(warehouse, source, scale, now, tally.suspects.table())
        forget_history(warehouse, now - timedelta(days=config.history_days))
        kept, replaced = kept_and_replaced(warehouse, changes.new)
    formats = sorted({file.layout.format for file in files if file.layout.role is Role.RATINGS})
    return SourceReport(
        source=source,
        format=", ".join(formats or sorted({file.layout.format for file in files})),
        num_files=len(files),
        num_files_unchanged=len(files) - len(changes.new),
        num_files_gone=len(changes.gone),
        rows_read=tally.num_read,
        rows_kept=kept,
        rows_replaced=replaced,
        rows_rejected=tally.num_rejected.total(),
        rejected_by_reason=dict(sum(tally.reasons.values(), Counter()).most_common()),
    )


def _read(
    warehouse: Database,
    files: Mapping[int, SourceFile],
    scale: RatingScale | None,
    chunk_bytes: int,
    progress: Progress,
) -> _Tally:
    """Read the files into the warehouse, a chunk at a time, and count what is read."""
    tally = _Tally(Suspects(movie_id for movie_id, *_ in warehouse.rows("vectors/movies")))
    total = sum(_state(file.path)[0] for file in files.values())
    num_bytes = 0
    batches_read = tally.counted(read_files(files, scale, chunk_bytes))
    for batches in ahead(_grouped(batches_read)):
        rows = pl.concat([batch.rows for batch in batches])
        rejected = pl.concat([batch.rejected for batch in batches])
        if rows.height:
            warehouse.run_with(_INSERTS[batches[0].role], rows.to_arrow())
        if rejected.height:
            warehouse.run_with("ratings/insert_rejected_rows", rejected.to_arrow())
        num_bytes += sum(batch.num_bytes for batch in batches)
        progress("ingest", min(num_bytes, total), total, "bytes")
    return tally


def _grouped(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Some batches of one kind that follow each other: DuckDB takes in many rows better."""
    for _, of_role in groupby(batches, key=lambda batch: batch.role):
        while group := list(islice(of_role, _BATCHES_AT_ONCE)):
            yield group


def _check_rejected(
    source: str, files: Mapping[int, SourceFile], tally: _Tally, config: IngestConfig
) -> None:
    """Refuse a source of whose ratings, movies or users too many rows cannot be used."""
    for role, examples in tally.examples.items():
        of_role = [file_id for file_id, file in files.items() if file.layout.role is role]
        num_rejected = sum(tally.num_rejected[file_id] for file_id in of_role)
        num_read = num_rejected + sum(tally.num_rows[file_id] for file_id in of_role)
        if num_rejected <= config.max_rejected_fraction * num_read:
            continue
        reasons = tally.reasons[role].most_common()
        is_off = reasons[0][0] == Reason.OFF_SCALE
        scale = ", state their scale with ingest.scale" if is_off else ""
        shown = "\n".join(
            f"  {files[file_id].path}:{line}: {reason}: {text}"
            for file_id, line, text, reason in examples
        )
        raise SourceError(
            f"{source}: {num_rejected:,} of {num_read:,} rows of {role} cannot be used "
            f"({', '.join(f'{reason} {count:,}' for reason, count in reasons)}), more than "
            f"ingest.max_rejected_fraction = {config.max_rejected_fraction:g} allows; nothing "
            f"was taken in. Mend the files{scale}, or allow more:\n{shown}"
        )


def _record_files(
    warehouse: Database,
    source: str,
    files: Mapping[int, SourceFile],
    tally: _Tally,
    now: datetime,
) -> None:
    """Enter the files; how many of their rows lost to later ones is settled afterwards."""
    digests = [tally.digests[file_id] for file_id in files]
    batch = pa.table(
        {
            "file_id": pa.array(files, pa.int32()),
            "path": [str(file.path) for file in files.values()],
            "role": [file.layout.role.value for file in files.values()],
            "format": [file.layout.format for file in files.values()],
            "layout": [str(file.layout) for file in files.values()],
            "size_bytes": [digest.size_bytes for digest in digests],
            "sha256": [digest.sha256 for digest in digests],
            "num_good": [tally.num_rows[file_id] for file_id in files],
            "rows_rejected": [tally.num_rejected[file_id] for file_id in files],
        }
    )
    warehouse.run_with(
        "ratings/insert_source_files", batch, source=absolute(source), ingested_at=now
    )
