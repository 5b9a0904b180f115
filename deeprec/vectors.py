"""From ratings to one sparse vector a user, and from a split to the part of each rating.

Both are built in SQL and kept in the warehouse; here they are refreshed when the ratings have
changed, and read as CSR.

Shape legend: U users, M movies, R ratings.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from deeprec.config import Config
from deeprec.errors import SplitError, WarehouseError
from deeprec.home import Home
from deeprec.progress import Progress, silent
from deeprec.ratings import UNDATED, Days, Ids, RatingMatrix, RatingScale
from deeprec.splits import FileSplit, LastKSplit, Part, Split, TimeSplit
from deeprec.warehouse import Database, open_warehouse

_PARTS = list(Part)


class MaterializeReport(BaseModel):
    """What the vectors and the split now hold."""

    model_config = ConfigDict(frozen=True)

    changed: bool
    data_digest: str
    split_id: str
    split: str
    num_users: int
    num_movies: int
    num_ratings: int
    counts: dict[Part, int]


@dataclass(frozen=True)
class SplitRatings:
    """All ratings as a matrix, with the part of each beside it."""

    everything: RatingMatrix
    part_R: npt.NDArray[np.uint8]
    first_train_day: date | None
    last_train_day: date | None

    def part(self, *parts: Part) -> RatingMatrix:
        """The ratings of one part, or of several together, over all users and movies."""
        codes = [_PARTS.index(part) for part in parts]
        return self.everything.select_ratings(np.isin(self.part_R, codes))


def materialize(home: Home, config: Config, progress: Progress = silent) -> MaterializeReport:
    """Bring `user_vectors` and the configured split up to date with the ratings.

    Raises:
        WarehouseError: no ratings have been taken in.
        SplitError: the ratings do not allow the split.
    """
    with open_warehouse(home, config.warehouse) as warehouse:
        digest = data_digest(warehouse)
        progress("materialize", 0, 2, "relations")
        with warehouse.transaction():
            vectors_changed = _refresh_vectors(warehouse, digest)
        progress("materialize", 1, 2, "relations")
        with warehouse.transaction():
            split_changed = _refresh_split(warehouse, config.split, digest)
        progress("materialize", 2, 2, "relations")
        num_users, num_movies, num_ratings, _ = warehouse.row("vectors/counts")
        counts = warehouse.rows("splits/counts", split_id=config.split.split_id)
    return MaterializeReport(
        changed=vectors_changed or split_changed,
        data_digest=digest,
        split_id=config.split.split_id,
        split=config.split.kind,
        num_users=num_users,
        num_movies=num_movies,
        num_ratings=num_ratings,
        counts={Part(part): ratings for part, ratings, *_ in counts},
    )


def data_digest(warehouse: Database) -> str:
    """What the ratings are, in one word; changes when any of them does.

    Raises:
        WarehouseError: there are none.
    """
    _, _, num_ratings, _ = warehouse.row("vectors/counts")
    if not num_ratings:
        raise WarehouseError("the warehouse has no ratings yet; run `deeprec ingest SOURCE` first")
    (digest,) = warehouse.row("ratings/data_digest")
    return str(digest)


def current_digest(warehouse: Database) -> str:
    """The digest of the ratings, after a check that the vectors were built from them.

    Raises:
        WarehouseError: the vectors are missing or older than the ratings.
    """
    digest = data_digest(warehouse)
    if warehouse.rows("vectors/built_from") != [(digest,)]:
        raise WarehouseError(
            "the user vectors are older than the ratings; run `deeprec materialize` first"
        )
    return digest


def read_split(warehouse: Database, split: Split) -> SplitRatings:
    """Every rating with its day and its part under a split that has been materialized.

    Raises:
        WarehouseError: the vectors or the split are missing or stale.
    """
    digest = current_digest(warehouse)
    found = warehouse.rows("splits/find", split_id=split.split_id, data_digest=digest)
    if not found:
        raise WarehouseError(
            f"the {split.kind} split of this configuration has not been applied to these "
            "ratings; run `deeprec materialize` with the same configuration first"
        )
    table = warehouse.table("vectors/of_split", split_id=split.split_id)
    everything = rating_matrix(table, movie_ids(warehouse))
    ((first_day, last_day),) = found
    return SplitRatings(everything, _part_codes(table["parts"]), first_day, last_day)


def read_scale(warehouse: Database, train: RatingMatrix) -> RatingScale:
    """The declared scale; an undeclared one is what the training ratings span.

    Raises:
        WarehouseError: it is undeclared, and they are all the same.
    """
    minimum, maximum, step, declared = warehouse.row("vectors/scale")
    if declared:
        return RatingScale(minimum, maximum, step)
    seen_R = train.values_UM.data
    low, high = float(seen_R.min()), float(seen_R.max())
    if low == high:
        raise WarehouseError(
            f"every training rating is {low:g}, so the scale cannot be told from them; state it "
            "when they are taken in, as --set 'ingest.scale={minimum=1, maximum=5}'"
        )
    return RatingScale(low, high)


def movie_ids(warehouse: Database) -> Ids:
    """The source's id of every movie, in index order."""
    return np.asarray(warehouse.table("vectors/movies")["movie_id"].to_numpy(), dtype=np.int64)


def read_users(
    warehouse: Database, first_user: int, end_user: int, *, with_days: bool = False
) -> pa.Table:
    """The whole vectors of an index range of users, as `rating_matrix` takes them."""
    statement = "vectors/of_users_with_days" if with_days else "vectors/of_users"
    return warehouse.table(statement, first_user=first_user, end_user=end_user)


def rating_matrix(table: pa.Table, movie_ids_M: Ids) -> RatingMatrix:
    """Rows of `user_id`, `movie_indexes`, `ratings` as CSR, without a loop over users.

    The days of the ratings come along where the table has `rating_days`.
    """
    indexes = table["movie_indexes"].combine_chunks()
    lengths_U = indexes.value_lengths().to_numpy(zero_copy_only=False)
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            table["ratings"].combine_chunks().flatten().to_numpy(zero_copy_only=False),
            indexes.flatten().to_numpy(zero_copy_only=False),
            np.concatenate([[0], np.cumsum(lengths_U)]),
        ),
        shape=(table.num_rows, len(movie_ids_M)),
    )
    user_ids_U = table["user_id"].to_numpy().astype(np.int64)
    days_R = _days(table["rating_days"]) if "rating_days" in table.column_names else None
    return RatingMatrix(user_ids_U, movie_ids_M, values_UM, days_R)


def _days(rating_days: pa.ChunkedArray) -> Days:
    """The day of every rating, `UNDATED` where there is none."""
    days = rating_days.combine_chunks().flatten().fill_null(UNDATED)
    return np.asarray(days.to_numpy(zero_copy_only=False), dtype=np.int32)


def _part_codes(parts: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """The place in `Part` of every rating's part."""
    encoded = parts.combine_chunks().flatten()
    code_of_entry = np.array(
        [_PARTS.index(Part(name)) for name in encoded.dictionary.to_pylist()], dtype=np.uint8
    )
    return np.asarray(code_of_entry[encoded.indices.to_numpy(zero_copy_only=False)])


def _refresh_vectors(warehouse: Database, digest: str) -> bool:
    """Rebuild `user_vectors` unless it was built from these ratings; whether it was rebuilt."""
    if warehouse.rows("vectors/built_from") == [(digest,)]:
        return False
    warehouse.run("vectors/clear")
    warehouse.run("vectors/build")
    warehouse.run("vectors/forget")
    warehouse.run("vectors/record", data_digest=digest, built_at=_now())
    _, _, num_ratings, num_in_vectors = warehouse.row("vectors/counts")
    assert num_ratings == num_in_vectors, (num_ratings, num_in_vectors)
    return True


def _refresh_split(warehouse: Database, split: Split, digest: str) -> bool:
    """Apply the split unless it has been applied to these ratings; whether it was applied."""
    if warehouse.rows("splits/find", split_id=split.split_id, data_digest=digest):
        return False
    for forget in ("forget_stale", "forget_stale_vectors", "forget_stale_counts"):
        parameters = {"data_digest": digest} if forget == "forget_stale" else {}
        warehouse.run(f"splits/{forget}", **parameters)
    _assign_parts(warehouse, split)
    warehouse.run("splits/count", split_id=split.split_id)
    counts = {
        Part(row[0]): row[1] for row in warehouse.rows("splits/counts", split_id=split.split_id)
    }
    _check_counts(warehouse, split, counts)
    warehouse.run("vectors/build_split", split_id=split.split_id)
    warehouse.run(
        "splits/record",
        split_id=split.split_id,
        definition=split.model_dump_json(),
        data_digest=digest,
        built_at=_now(),
    )
    return True


def _assign_parts(warehouse: Database, split: Split) -> None:
    """Make `rating_parts`, which gives each rating exactly one part."""
    if isinstance(split, TimeSplit | LastKSplit):
        (num_undated,) = warehouse.row("splits/num_undated")
        if num_undated:
            raise SplitError(
                f"a {split.kind} split needs a date on every rating, {num_undated} have none; "
                "take in files with dates, or split at random"
            )
    definition = split.model_dump(exclude={"kind", "drop_unseen"})
    if isinstance(split, LastKSplit):
        definition.pop("seed")
    warehouse.run(f"splits/{split.kind}", **definition)
    if split.drop_unseen:
        warehouse.run("splits/drop_unseen")


def _check_counts(warehouse: Database, split: Split, counts: dict[Part, int]) -> None:
    """Parts sum to the whole; there is something to train on, and the named files exist."""
    _, _, num_ratings, _ = warehouse.row("vectors/counts")
    assert sum(counts.values()) == num_ratings, (counts, num_ratings)
    missing = [part for part in (Part.TRAIN, Part.TEST) if not counts.get(part)]
    if isinstance(split, FileSplit) and missing:
        pattern = split.train if missing[0] is Part.TRAIN else split.test
        raise SplitError(
            f"the file split finds no {missing[0]} ratings: no file taken in is named {pattern}"
        )
    if Part.TRAIN in missing:
        found = ", ".join(f"{part} {count:,}" for part, count in counts.items())
        raise SplitError(f"the {split.kind} split leaves no rating to train on ({found})")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
