"""From a split's definition to the part of every rating: applied in SQL, counted, kept.

What a split means is said in `splits`; reading one that has been applied is `materialize`'s part.
The vectors hold the ratings by user, so a split is applied to them, a range of users at a time.

Shape legend: R ratings of some users, M movies, H held-out ratings that a list names.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from deeprec.errors import SourceError, SplitError
from deeprec.progress import Progress
from deeprec.ratings import Ids
from deeprec.readers.chunks import digest_file
from deeprec.readers.pairs import read_pairs
from deeprec.splits import FileSplit, LastKSplit, ListedSplit, Part, RandomSplit, Split, TimeSplit
from deeprec.vectors.divided import Codes, Tally, UserRows
from deeprec.vectors.protocols import Counts
from deeprec.vectors.user_lists import user_ranges
from deeprec.warehouse.database import Database

# Publications count these as one side of their split.
_UNIONS = ((Part.TRAIN, Part.DEV), (Part.DEV, Part.TEST))
_FORGET = ("stale", "stale_vectors", "stale_counts", "stale_unions", "stale_lists")


class ListedCounts(BaseModel):
    """What became of a list: its pairs, each counted once, and how many have no rating."""

    model_config = ConfigDict(frozen=True)

    part: Part
    path: Path
    num_pairs: int
    num_repeated: int
    num_absent: int


def pin(split: Split) -> Split:
    """The split with the digest of every file that it reads; others than listed ones read none.

    Raises:
        SourceError: a list cannot be read.
    """
    if not isinstance(split, ListedSplit):
        return split
    digests = {
        f"{part}_sha256": known or _digest(part, split.lists[part])
        for part, known in split.digests.items()
    }
    return split.model_copy(update=digests)


def _digest(part: Part, path: Path) -> str:
    try:
        return digest_file(path.expanduser(), 0).sha256
    except SourceError as error:
        raise SourceError(
            f"{error}; it should list the {part} ratings, say where it is as split.{part}"
        ) from error


def refresh_split(warehouse: Database, split: Split, digest: str, progress: Progress) -> bool:
    """Apply the split unless it has been applied to these ratings; whether it was applied.

    Args:
        warehouse: with vectors of these ratings; in a transaction.
        split: with the digests of its files.
        digest: of the ratings.
        progress: told of the users done.

    Raises:
        SourceError: a list cannot be read or used.
        SplitError: the ratings do not allow the split.
    """
    if warehouse.rows("splits/find", split_id=split.split_id, data_digest=digest):
        return False
    for forget in _FORGET:
        parameters = {"data_digest": digest} if forget == "stale" else {}
        warehouse.run(f"splits/forget_{forget}", **parameters)
    _prepare(warehouse, split)
    tally = _divide(warehouse, split, progress)
    _record_counts(warehouse, split, tally)
    _check_counts(warehouse, split)
    warehouse.run(
        "splits/record",
        split_id=split.split_id,
        definition=split.model_dump_json(),
        data_digest=digest,
        first_train_day=tally.first_train_day,
        last_train_day=tally.last_train_day,
        built_at=datetime.now(UTC).replace(tzinfo=None),
    )
    return True


def counts_by_part(warehouse: Database, split: Split) -> dict[Part, int]:
    """The ratings of every part that is not empty, of a split that has been applied."""
    counts = warehouse.rows("splits/counts", split_id=split.split_id)
    return {Part(part): num_ratings for part, num_ratings, *_ in counts}


def counts_by_parts(warehouse: Database, split: Split) -> dict[frozenset[Part], Counts]:
    """Ratings, users and movies of each part and of the unions that publications count as one."""
    rows = warehouse.rows("splits/counts_by_parts", split_id=split.split_id)
    return {frozenset(map(Part, parts)): Counts(*counts) for parts, *counts in rows}


def listed_counts(warehouse: Database, split: Split) -> tuple[ListedCounts, ...]:
    """What became of each list of a split that has been applied; of others, nothing."""
    if not isinstance(split, ListedSplit):
        return ()
    return tuple(
        ListedCounts(
            part=part,
            path=split.lists[Part(part)],
            num_pairs=num_pairs,
            num_repeated=num_repeated,
            num_absent=num_absent,
        )
        for part, num_pairs, num_repeated, num_absent in warehouse.rows(
            "splits/lists", split_id=split.split_id
        )
    )


def _prepare(warehouse: Database, split: Split) -> None:
    """Refuse ratings that do not allow the split; find what its vectors alone do not tell."""
    if isinstance(split, TimeSplit | LastKSplit):
        _check_dates(warehouse, split)
    if isinstance(split, ListedSplit):
        _list_pairs(warehouse, split)
        warehouse.run("splits/listed")
    elif isinstance(split, FileSplit):
        warehouse.run("splits/file", **_definition(split))
    elif isinstance(split, LastKSplit):
        counts = {"test_k": split.test_k, "dev_k": split.dev_k}
        warehouse.run("splits/last_k", seed=split.seed, **counts)


def _definition(split: Split) -> dict[str, object]:
    return split.model_dump(exclude={"kind", "drop_unseen"})


def _divide(warehouse: Database, split: Split, progress: Progress) -> Tally:
    """Give each rating exactly one part, beside its user's vector; what the parts come to."""
    num_users, num_movies, _, _ = warehouse.row("vectors/counts")
    tally = Tally(num_users, num_movies)
    divided = _drawn(warehouse, split)
    if split.drop_unseen:
        divided = _without_unseen(warehouse, divided, Tally(num_users, num_movies))
    for rows, part_R in divided:
        tally.add(rows, part_R)
        warehouse.run_with("splits/insert", rows.lists(part_R), split_id=split.split_id)
        progress("materialize", int(rows.user_index_U[-1]) + 1, num_users, "users' parts")
    return tally


def _drawn(warehouse: Database, split: Split) -> Iterator[tuple[UserRows, Codes]]:
    """All ratings, some users' at a time, with the part that the split alone gives to each."""
    movie_ids_M = warehouse.table("vectors/movies")["movie_id"].to_numpy()
    for rows in _rows(warehouse):
        yield rows, _part_codes(warehouse, split, rows, movie_ids_M)


def _without_unseen(
    warehouse: Database, drawn: Iterator[tuple[UserRows, Codes]], tally: Tally
) -> Iterator[tuple[UserRows, Codes]]:
    """The same with dev and test of unseen users and movies dropped.

    Who is unseen is known once everybody is through: until then a byte a rating is held, and the
    vectors are read twice.
    """
    codes = []
    for rows, part_R in drawn:
        tally.add(rows, part_R)
        codes.append(part_R)
    for rows, part_R in zip(_rows(warehouse), codes, strict=True):
        yield rows, tally.without_unseen(rows, part_R)


def _rows(warehouse: Database) -> Iterator[UserRows]:
    """All ratings in the order of the vectors, some users' at a time."""
    num_users, _, num_ratings, _ = warehouse.row("vectors/counts")
    for first, end in user_ranges(num_users, num_ratings):
        yield UserRows.of(warehouse.table("splits/rows", first_user=first, end_user=end))


def _part_codes(warehouse: Database, split: Split, rows: UserRows, movie_ids_M: Ids) -> Codes:
    """The part of each rating: what the split's statement says, and train where it says none."""
    if isinstance(split, RandomSplit | TimeSplit):
        batch = rows.table(movie_ids_M)
        held_out = warehouse.table_with(f"splits/{split.kind}", batch, **_definition(split))
        place_H = held_out["row_index"].to_numpy()
    else:
        first, last = int(rows.user_index_U[0]), int(rows.user_index_U[-1])
        held_out = warehouse.table("splits/held_out", first_user=first, end_user=last + 1)
        place_H = rows.places(held_out["user_index"].to_numpy(), held_out["movie_index"].to_numpy())
    part_R = np.zeros(len(rows.movie_R), dtype=np.uint8)
    is_rated_H = place_H >= 0  # a list may name what nobody has rated
    part_R[place_H[is_rated_H]] = held_out["part_code"].to_numpy()[is_rated_H]
    return part_R


def _record_counts(warehouse: Database, split: Split, tally: Tally) -> None:
    """Enter what each part and each union holds; a part without ratings has no row."""
    by_part = [{"part": str(part), **_columns(tally.counts([part]))} for part in Part]
    by_union = [
        {"parts": list(map(str, union)), **_columns(tally.counts(union))} for union in _UNIONS
    ]
    not_empty = pa.Table.from_pylist([row for row in by_part if row["num_ratings"]])
    warehouse.run_with("splits/count", not_empty, split_id=split.split_id)
    warehouse.run_with(
        "splits/count_unions", pa.Table.from_pylist(by_union), split_id=split.split_id
    )


def _columns(counts: Counts) -> dict[str, object]:
    return {f"num_{what}": count for what, count in asdict(counts).items()}


def _check_dates(warehouse: Database, split: TimeSplit | LastKSplit) -> None:
    (num_undated,) = warehouse.row("splits/num_undated")
    if num_undated:
        raise SplitError(
            f"a {split.kind} split needs a date on every rating, {num_undated} have none; "
            "take in files with dates, or split at random"
        )


def _list_pairs(warehouse: Database, split: ListedSplit) -> None:
    """Make `listed_pairs` of the lists, and refuse lists that are not of these ratings."""
    tables = []
    for part, path in split.lists.items():
        listed = read_pairs(path.expanduser())
        if listed.sha256 != split.digests[part]:
            raise SplitError(
                f"{path}: expected the SHA-256 {split.digests[part]}, found {listed.sha256}; "
                f"put back the list that was meant, or leave out split.{part}_sha256"
            )
        names = pa.array([str(part)] * listed.pairs.num_rows, pa.string())
        tables.append(listed.pairs.append_column("part", names))
    warehouse.run_with("splits/list_pairs", pa.concat_tables(tables))
    for user_id, movie_id, dev_line, test_line in warehouse.rows("splits/listed_for_both"):
        raise SplitError(
            f"{split.dev}:{dev_line} and {split.test}:{test_line}: movie {movie_id}, user "
            f"{user_id} is listed for dev and for test; a rating has one part, so take it out "
            "of one of them"
        )
    warehouse.run("splits/record_lists", split_id=split.split_id)
    for counts in listed_counts(warehouse, split):
        _check_absent(warehouse, split, counts)


def _check_absent(warehouse: Database, split: ListedSplit, counts: ListedCounts) -> None:
    """Refuse a list of which too many pairs have no rating."""
    if counts.num_absent <= split.max_absent_fraction * counts.num_pairs:
        return
    user_id, movie_id, line = warehouse.row("splits/first_absent", part=counts.part)
    raise SplitError(
        f"{counts.path}: {counts.num_absent:,} of its {counts.num_pairs:,} pairs have no rating, "
        f"as movie {movie_id}, user {user_id} in line {line}; more than split.max_absent_fraction "
        f"= {split.max_absent_fraction:g} allows. Take in the ratings that it was made for, or "
        "allow more"
    )


def _check_counts(warehouse: Database, split: Split) -> None:
    """Parts sum to the whole; there is something to train on, and the named files exist."""
    counts = counts_by_part(warehouse, split)
    _, _, num_ratings, _ = warehouse.row("vectors/counts")
    assert sum(counts.values()) == num_ratings, (counts, num_ratings)
    missing = [part for part in (Part.TRAIN, Part.TEST) if not counts.get(part)]
    if isinstance(split, FileSplit) and missing:
        pattern = split.train if missing[0] is Part.TRAIN else split.test
        raise SplitError(
            f"the file split finds no {missing[0]} ratings: none that counts and is kept came in a "
            f"file named {pattern}; take it in, and no later one that has the same ratings"
        )
    if Part.TRAIN in missing:
        found = ", ".join(f"{part} {count:,}" for part, count in counts.items())
        raise SplitError(
            f"the {split.kind} split leaves no rating to train on ({found}); look at the split of "
            "the configuration, or choose another, as split.kind=random"
        )
