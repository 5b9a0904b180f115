"""From ratings to one sparse vector a user, and from a split to the part of each rating.

SQL picks out the ratings, `user_lists` brings them into order, `partition` applies a split; both
are kept in the warehouse. Here they are refreshed when the ratings have changed, and read as CSR.

Shape legend: U users, M movies, N movies of the warehouse, R ratings.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from deeprec.ahead import ahead
from deeprec.config.run import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.progress import Progress, silent
from deeprec.ratings import (
    UNDATED,
    Days,
    Ids,
    RatingMatrix,
    RatingScale,
    index_type,
    rating_text,
)
from deeprec.splits import Part, Split
from deeprec.vectors.partition import (
    ListedCounts,
    counts_by_part,
    counts_by_parts,
    listed_counts,
    pin,
    refresh_split,
)
from deeprec.vectors.protocols import Comparison, compare
from deeprec.vectors.stacking import Stack, unite
from deeprec.vectors.touched_users import find_touched, is_worth_it, renew_lists
from deeprec.vectors.user_lists import fill_lists, user_ranges
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse, require_warehouse

USER_VECTORS = "user_vectors"  # as its relation is called
_PARTS = list(Part)
_LOG = logging.getLogger(__name__)


class MaterializeReport(BaseModel):
    """What the vectors and the split now hold."""

    model_config = ConfigDict(frozen=True)

    changed: bool
    data_digest: str
    split_id: str
    split: str
    num_users: int
    num_users_rebuilt: int
    num_movies: int
    num_ratings: int
    counts: dict[Part, int]
    lists: tuple[ListedCounts, ...] = ()
    protocol: str | None = None
    published: tuple[Comparison, ...] = ()

    @property
    def deviations(self) -> tuple[Comparison, ...]:
        """The published counts that were not found."""
        return tuple(row for row in self.published if not row.agrees)


@dataclass(frozen=True)
class SplitRatings:
    """All ratings, a matrix a part, each over all users and all N movies."""

    matrices: Mapping[Part, RatingMatrix]
    first_train_day: date | None
    last_train_day: date | None

    def part(self, *parts: Part) -> RatingMatrix:
        """The ratings of one part, or a copy of those of several together."""
        return unite(*(self.matrices[part] for part in parts))

    @property
    def movie_ids_N(self) -> Ids:
        """The source's ids of all movies."""
        return self.matrices[Part.TRAIN].movie_ids_M

    @property
    def everything(self) -> RatingMatrix:
        """A copy of the ratings of all parts together."""
        return self.part(*self.matrices)


def materialize(home: Home, config: Config, progress: Progress = silent) -> MaterializeReport:
    """Bring `user_vectors` and the configured split up to date with the ratings.

    Counts that are not those its protocol was published with are told, not refused: an excerpt
    of the data is allowed to have others.

    Raises:
        WarehouseError: no ratings have been taken in.
        SourceError: a file that the split lists its pairs in cannot be read or used.
        SplitError: the ratings do not allow the split.
    """
    split, protocol = pin(config.split), config.protocol
    require_warehouse(home)
    with open_warehouse(home, config.warehouse) as warehouse:
        digest = data_digest(warehouse)
        with warehouse.transaction():
            num_rebuilt = _refresh_vectors(warehouse, digest, progress)
        with warehouse.transaction():
            split_changed = refresh_split(warehouse, split, digest, progress)
        num_users, num_movies, num_ratings, _ = warehouse.row("vectors/counts")
        counts = counts_by_parts(warehouse, split)
        report = MaterializeReport(
            changed=num_rebuilt is not None or split_changed,
            data_digest=digest,
            split_id=split.split_id,
            split=split.kind,
            num_users=num_users,
            num_users_rebuilt=num_rebuilt or 0,
            num_movies=num_movies,
            num_ratings=num_ratings,
            counts=counts_by_part(warehouse, split),
            lists=listed_counts(warehouse, split),
            protocol=protocol.name if protocol else None,
            published=compare(protocol, counts) if protocol else (),
        )
    _warn_of_deviations(report)
    return report


def _warn_of_deviations(report: MaterializeReport) -> None:
    if report.deviations:
        _LOG.warning(
            "the split has other counts than %s was published with: %s; other data, or another "
            "split",
            report.protocol,
            "; ".join(map(str, report.deviations)),
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


def is_made_of(warehouse: Database, relation: str, digest: str) -> bool:
    """Whether a relation was made of just these ratings."""
    return warehouse.rows("materializations/made_of", relation=relation) == [(digest,)]


def record_made(warehouse: Database, relation: str, digest: str) -> None:
    """Enter what a relation has been made of; in a transaction."""
    warehouse.run("materializations/forget", relation=relation)
    warehouse.run("materializations/record", relation=relation, data_digest=digest, built_at=_now())


def current_digest(warehouse: Database) -> str:
    """The digest of the ratings, after a check that the vectors were built from them.

    Raises:
        WarehouseError: the vectors are missing or older than the ratings.
    """
    digest = data_digest(warehouse)
    if not is_made_of(warehouse, USER_VECTORS, digest):
        raise WarehouseError(
            "there are no user vectors of these ratings; run `deeprec materialize` first, with the "
            "same --as-of where there is one"
        )
    return digest


def read_split(warehouse: Database, split: Split, *, train_days: bool = True) -> SplitRatings:
    """Every rating under its part of a split that has been materialized, with its day.

    Args:
        warehouse: holds the split.
        split: the one to read.
        train_days: whether training ratings come with theirs too, which few models look at.

    Raises:
        WarehouseError: the vectors or the split are missing or stale.
        SourceError: a file that the split lists its pairs in cannot be read.
    """
    split = pin(split)
    digest = current_digest(warehouse)
    found = warehouse.rows("splits/find", split_id=split.split_id, data_digest=digest)
    if not found:
        raise WarehouseError(
            f"the {split.kind} split of this configuration has not been applied to these "
            "ratings; run `deeprec materialize` with the same configuration first"
        )
    ((first_day, last_day),) = found
    return SplitRatings(_read_parts(warehouse, split, train_days=train_days), first_day, last_day)


def _read_parts(warehouse: Database, split: Split, *, train_days: bool) -> dict[Part, RatingMatrix]:
    """The matrix of every part, read a range of users at a time: the tables never lie whole."""
    num_users, _, num_ratings, _ = warehouse.row("vectors/counts")
    counts, movie_ids_M = counts_by_part(warehouse, split), movie_ids(warehouse)
    stacks = [
        Stack(
            num_users,
            counts.get(part, 0),
            movie_ids_M,
            has_days=train_days or part is not Part.TRAIN,
        )
        for part in _PARTS
    ]
    tables = (
        warehouse.table("vectors/of_split", split_id=split.split_id, first_user=first, end_user=end)
        for first, end in user_ranges(num_users, num_ratings)
    )
    for table in ahead(tables):
        users, code_R = rating_matrix(table, movie_ids_M), _part_codes(table["parts"])
        for code, stack in enumerate(stacks):
            stack.push(users.select_ratings(code_R == code))
    return {part: stack.whole() for part, stack in zip(_PARTS, stacks, strict=True)}


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
            f"every training rating is {rating_text(low)}, so the scale cannot be told from them; "
            "state it when they are taken in, as --set 'ingest.scale={minimum=1, maximum=5}'"
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
    column_R = indexes.flatten().to_numpy(zero_copy_only=False)
    index = index_type(len(column_R))
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            table["ratings"].combine_chunks().flatten().to_numpy(zero_copy_only=False),
            column_R.astype(index, copy=False),
            np.concatenate([[0], np.cumsum(lengths_U)]).astype(index),
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


def _refresh_vectors(warehouse: Database, digest: str, progress: Progress) -> int | None:
    """Bring `user_vectors` up to date; how many users' were built again, None if it was."""
    if is_made_of(warehouse, USER_VECTORS, digest):
        return None
    if find_touched(warehouse) and is_worth_it(warehouse):
        num_rebuilt = renew_lists(warehouse, progress)
    else:
        warehouse.run("vectors/clear")
        fill_lists(warehouse, progress)
        num_rebuilt, _, _, _ = warehouse.row("vectors/counts")
    for what in ("files", "movies"):
        warehouse.run(f"vectors/forget_{what}")
        warehouse.run(f"vectors/record_{what}")
    record_made(warehouse, USER_VECTORS, digest)
    _, _, num_ratings, num_in_vectors = warehouse.row("vectors/counts")
    assert num_ratings == num_in_vectors, (num_ratings, num_in_vectors)
    return int(num_rebuilt)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
