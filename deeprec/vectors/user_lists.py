"""From a row a rating to a list a user, a range of users at a time.

Ratings stand in the order of their files. SQL picks out those of a range of users, and counting
brings them into order: lists come of that without comparing ratings, or holding all of them.

Shape legend: U users, M movies, R ratings.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from deeprec.ahead import ahead
from deeprec.progress import Progress
from deeprec.ratings import UNDATED, Ids, RatingMatrix
from deeprec.vectors.stacking import Stack
from deeprec.warehouse.database import Database

_RATINGS_AT_ONCE = 4_000_000
_RATINGS_SORTED_AT_ONCE = 8_000_000  # for each range the users of all ratings are looked through
_USERS_WRITTEN_AT_ONCE = 122_880  # what DuckDB packs together; fewer wait in it until the end
_RATINGS_WRITTEN_AT_ONCE = 2**26  # bounds memory where so many users have rated more


def fill_lists(warehouse: Database, progress: Progress) -> None:
    """Fill `user_vectors` with the lists of every user's ratings.

    Args:
        warehouse: in a transaction that has not touched the ratings.
        progress: told of the users done.
    """
    with warehouse.beside() as committed:
        users = committed.table("vectors/num_ratings")
        num_ratings_U = users["num_ratings"].to_numpy()
        runs = _runs(num_ratings_U, _USERS_WRITTEN_AT_ONCE, _RATINGS_WRITTEN_AT_ONCE)
        done = 0
        for lists in ahead(lists_of_users(committed, users[run]) for run in runs):
            warehouse.run_with("vectors/insert", lists)
            done += lists.num_rows
            progress("materialize", done, users.num_rows, "users' ratings")


def user_ranges(num_users: int, num_ratings: int) -> Iterator[tuple[int, int]]:
    """Each range's first user and the one after its last; a range bounds memory."""
    users_at_once = max(1, _RATINGS_AT_ONCE * num_users // max(num_ratings, 1))
    for first in range(0, num_users, users_at_once):
        yield first, min(first + users_at_once, num_users)


def lists_of_users(warehouse: Database, users: pa.Table) -> pa.Table:
    """One row a user: movie indexes in ascending order, ratings and days beside them.

    Args:
        warehouse: whose ratings are read, not its vectors.
        users: `user_index`, ascending, `user_id` and `num_ratings`.
    """
    movie_ids_M = warehouse.table("vectors/movies")["movie_id"].to_numpy()
    num_ratings_U = users["num_ratings"].to_numpy()
    stack = Stack(users.num_rows, int(num_ratings_U.sum()), movie_ids_M, has_days=True)
    for run in _runs(num_ratings_U, users.num_rows, _RATINGS_SORTED_AT_ONCE):
        stack.push(_ratings_of(warehouse, users["user_id"][run].to_numpy(), movie_ids_M))
    ratings = stack.whole()
    assert ratings.days_R is not None
    columns = {
        "movie_indexes": pa.array(ratings.values_UM.indices),
        "ratings": pa.array(ratings.values_UM.data),
        "rating_days": pa.array(ratings.days_R, mask=ratings.days_R == UNDATED),
    }
    lists = {
        name: pa.ListArray.from_arrays(ratings.values_UM.indptr, values)
        for name, values in columns.items()
    }
    return pa.table({"user_index": users["user_index"], **lists})


def _ratings_of(warehouse: Database, user_ids_U: Ids, movie_ids_M: Ids) -> RatingMatrix:
    """The ratings of some users with their days, read in no order and sorted by counting."""
    batch = pa.table({"user_id": user_ids_U, "place": np.arange(len(user_ids_U), dtype=np.int32)})
    rows = warehouse.table_with("vectors/ratings_of_users", batch, undated=UNDATED)
    place_R, movie_R, rating_R, day_R = (
        rows[name].combine_chunks().to_numpy(zero_copy_only=False)
        for name in ("place", "movie_index", "rating", "rating_day")
    )
    pair_R = np.stack([rating_R.view(np.int32), day_R], axis=1)  # moved as one number of both
    shape = (len(user_ids_U), len(movie_ids_M))
    pairs_UM = sparse.coo_array((pair_R.view(np.int64).ravel(), (place_R, movie_R)), shape).tocsr()
    pair_R = pairs_UM.data.view(np.int32).reshape(-1, 2)
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        (pair_R[:, 0].copy().view(np.float32), pairs_UM.indices, pairs_UM.indptr), shape
    )
    return RatingMatrix(user_ids_U, movie_ids_M, values_UM, pair_R[:, 1])


def _runs(
    num_ratings_U: npt.NDArray[np.int64], most_users: int, most_ratings: int
) -> Iterator[slice]:
    """All users in order, in runs of so many; the last user of a run may go beyond its ratings."""
    num_until_U = np.cumsum(num_ratings_U)
    first, num_before = 0, 0
    while first < len(num_ratings_U):
        last = int(np.searchsorted(num_until_U, num_before + most_ratings))
        end = min(last + 1, first + most_users, len(num_ratings_U))
        yield slice(first, end)
        first, num_before = end, num_until_U[end - 1]
