"""What the warehouse knows of source files, and what follows from the rows they brought.

Which rating stands, which has lost, the dense indexes and the scale are settled here, in SQL; the
files themselves are read elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pyarrow as pa

from deeprec.errors import SourceError
from deeprec.ratings import RatingScale
from deeprec.readers.chunks import digest_file
from deeprec.readers.layouts import Role, SourceFile
from deeprec.warehouse import Database

_BY_FILE = ("ratings", "superseded_ratings", "rejected_rows", "movie_rows", "user_rows")
_SETTLE = (
    "restore_superseded",
    "clear_superseded",
    "find_repeated",
    "find_superseded",
    "keep_superseded",
    "remove_superseded",
    "count_kept_ratings",
    "count_kept_catalog_rows",
    "clear_movies",
    "index_movies",
    "clear_users",
    "index_users",
    "clear_scale",
)
_CHECKS = ("source_file_counts", "losers_have_winners")


def changed_files(warehouse: Database, files: Sequence[SourceFile]) -> dict[int, SourceFile]:
    """Files that are new, or not what they were when they were taken in, by their file id."""
    known = {path: rest for path, *rest, _ in warehouse.rows("ratings/source_files")}
    next_id = 1 + max((file_id for file_id, *_ in known.values()), default=-1)
    changed: dict[int, SourceFile] = {}
    for file in files:
        if str(file.path) not in known:
            changed[next_id] = file
            next_id += 1
            continue
        file_id, *before = known[str(file.path)]
        now = digest_file(file.path, file_id)
        if before != [now.size_bytes, now.sha256, str(file.layout)]:
            changed[file_id] = file
    return changed


def declared_scale(
    warehouse: Database, source: str, changed: Mapping[int, SourceFile]
) -> RatingScale | None:
    """The scale that the files or those beside them state; None where none does.

    Raises:
        SourceError: they state different ones.
    """
    stated = {
        file.layout.scale
        for file in changed.values()
        if file.layout.role is Role.RATINGS and file.layout.scale
    }
    others = [
        file_id
        for _, file_id, _, _, _, role in warehouse.rows("ratings/source_files")
        if role == Role.RATINGS and file_id not in changed
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


def forget_files(warehouse: Database, changed: Mapping[int, SourceFile]) -> None:
    """Remove what an earlier state of these files brought."""
    file_ids = pa.table({"file_id": pa.array(changed, pa.int32())})
    for table in (*_BY_FILE, "source_files"):
        warehouse.run_with(f"ratings/forget_{table}", file_ids)


def settle(warehouse: Database, source: str, scale: RatingScale | None) -> None:
    """Decide which rating of a user and movie stands, and bring everything derived up to date.

    Raises:
        SourceError: a rating that was taken in before is not on the scale that is declared now.
    """
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
