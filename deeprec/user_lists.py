"""From a row a rating to a list a user: sorted in SQL, cut here, a range of users at a time.

Sorting and cutting takes a fraction of the time and memory that SQL's list aggregates take.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deeprec.progress import Progress
from deeprec.warehouse import Database

_RATINGS_AT_ONCE = 4_000_000
_USER = "user_index"
Indexes = npt.NDArray[np.int32]


def fill_lists(warehouse: Database, progress: Progress) -> None:
    """Fill `user_vectors` with the lists of every user's ratings.

    Args:
        warehouse: in a transaction that has not touched the ratings.
        progress: told of the users done.
    """
    num_users, _, _, _ = warehouse.row("vectors/counts")
    with warehouse.reader("vectors/sorted_ratings") as batches:
        first, rest = 0, batches.schema.empty_table()
        for batch in batches:
            rows = pa.concat_tables([rest, pa.Table.from_batches([batch])])
            users = rows[_USER].to_numpy()
            end = int(users[-1])  # whose ratings may go on in the next batch
            warehouse.run_with("vectors/insert", lists_by_user(rows, _range(first, end)))
            progress("materialize", end, num_users, "users' ratings")
            first, rest = end, rows.slice(int(np.searchsorted(users, end)))
    warehouse.run_with("vectors/insert", lists_by_user(rest, _range(first, num_users)))
    progress("materialize", num_users, num_users, "users' ratings")


def user_ranges(num_users: int, num_ratings: int) -> Iterator[tuple[int, int]]:
    """Each range's first user and the one after its last; a range bounds memory."""
    users_at_once = max(1, _RATINGS_AT_ONCE * num_users // max(num_ratings, 1))
    for first in range(0, num_users, users_at_once):
        yield first, min(first + users_at_once, num_users)


def _range(first_user: int, end_user: int) -> Indexes:
    return np.arange(first_user, end_user, dtype=np.int32)


def lists_by_user(rows: pa.Table, users_U: Indexes) -> pa.Table:
    """One row a user, with a list for each column but `user_index`.

    Args:
        rows: by ascending `user_index`; those of others come after the last user's.
        users_U: ascending; a user without rows gets empty lists.
    """
    columns = rows.combine_chunks()
    end = users_U[-1:] + 1 if len(users_U) else np.zeros(1, dtype=np.int32)
    starts_U = np.concatenate([users_U, end])
    bounds = np.searchsorted(columns[_USER].to_numpy(), starts_U).astype(np.int32)
    lists = {
        name: pa.ListArray.from_arrays(bounds, _one_chunk(columns[name]))
        for name in columns.column_names
        if name != _USER
    }
    return pa.table({_USER: users_U, **lists})


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; without rows it has no chunk at all."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
