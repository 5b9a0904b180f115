"""What has changed since the vectors were built: whose ratings, and which of them are new.

Only touched users' vectors are built from ratings again. The others stay; where users or movies
have other indexes by now, they are copied through under those. Either way the table holds what
building it anew would give.

Shape legend: U users of a range, T touched users, M movies when the vectors were built, R ratings.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deeprec.progress import Progress
from deeprec.vectors.user_lists import lists_of_users, user_ranges
from deeprec.warehouse.database import Database

_MOST_TOUCHED = 0.25  # of all ratings; of more, sorting them all is cheaper than copying the rest
_NONE = -1
Indexes = npt.NDArray[np.int32]


def find_touched(warehouse: Database) -> bool:
    """Make `touched_users` of what has changed since the vectors were built, and keep arrivals.

    False where that cannot be told: there are no vectors, or the past that they were built from
    has been forgotten.
    """
    if not warehouse.row("vectors/num_files")[0]:
        return False
    changed = warehouse.table("vectors/changed_files")
    if not all(changed["is_known"].to_pylist()):
        return False
    warehouse.run_with("vectors/find_touched", changed)
    warehouse.run("vectors/keep_arrived")
    return True


def is_worth_it(warehouse: Database) -> bool:
    """Whether so few ratings are touched that the other users' vectors are better copied."""
    _, num_touched = warehouse.row("vectors/count_touched")
    _, _, num_ratings, _ = warehouse.row("vectors/counts")
    return bool(num_touched <= _MOST_TOUCHED * num_ratings)


def renew_lists(warehouse: Database, progress: Progress) -> int:
    """Bring `user_vectors` up to date with the touched users' ratings; how many users those are.

    Args:
        warehouse: in a transaction that has not changed the vectors, after `find_touched`.
        progress: told of the users done.
    """
    users = warehouse.table("vectors/touched_users")
    users_T, touched = users["user_index"].to_numpy(), lists_of_users(warehouse, users)
    if warehouse.row("vectors/num_moved")[0]:
        _copy_through(warehouse, touched, users_T, progress)
    else:
        warehouse.run("vectors/delete_touched")
        warehouse.run_with("vectors/insert", touched)
    return len(users_T)


def _copy_through(
    warehouse: Database, touched: pa.Table, users_T: Indexes, progress: Progress
) -> None:
    """Write the whole table again, in order, with everybody under the indexes of now."""
    num_users, _, num_ratings, _ = warehouse.row("vectors/counts")
    (num_before,) = warehouse.row("vectors/num_before")
    moved = warehouse.table("vectors/moved_movies")["movie_index"]
    moved_M = moved.combine_chunks().fill_null(_NONE).to_numpy(zero_copy_only=False)
    warehouse.run("vectors/clear")
    done = 0
    for first, end in user_ranges(num_before, num_ratings):
        with warehouse.reader("vectors/of_users_before", first_user=first, end_user=end) as read:
            before = read.read_all()
        users_U = before["user_index"].to_numpy()
        kept = _reindexed(before.filter(pa.array(~np.isin(users_U, users_T))), moved_M)
        until = num_users if end == num_before else int(users_U.max(initial=done - 1)) + 1
        new = touched.slice(*_run(users_T, done, until))
        merged = pa.concat_tables([kept, new.cast(kept.schema)])
        warehouse.run_with("vectors/insert", merged.sort_by("user_index"))
        progress("materialize", until, num_users, "users' ratings")
        done = until


def _run(users_T: Indexes, first: int, end: int) -> tuple[int, int]:
    """Where the users of a range begin in an ascending list, and how many they are."""
    start, stop = np.searchsorted(users_T, [first, end])
    return int(start), int(stop - start)


def _reindexed(vectors: pa.Table, moved_M: Indexes) -> pa.Table:
    """The same vectors with their movies under the indexes of now; the order stays."""
    lists = vectors["movie_indexes"].combine_chunks()
    bounds = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False))])
    moved_R = moved_M[lists.flatten().to_numpy(zero_copy_only=False)]
    assert not np.any(moved_R == _NONE), "a movie is gone, and a user who had rated it is untouched"
    place = vectors.schema.get_field_index("movie_indexes")
    moved = pa.ListArray.from_arrays(bounds.astype(np.int32), pa.array(moved_R, pa.int32()))
    return vectors.set_column(place, "movie_indexes", moved)
