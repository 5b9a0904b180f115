"""From a row a rating to a list a user, a range of users at a time.

Ratings stand in the order of their files. SQL picks out those of a range of users, and counting
brings them into order: that takes a fraction of the time of SQL's sort, and of the memory of its
list aggregates.

Shape legend: U users, R ratings.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from deeprec.ahead import ahead
from deeprec.progress import Progress
from deeprec.ratings import UNDATED
from deeprec.warehouse import Database

_RATINGS_AT_ONCE = 4_000_000
_RATINGS_SORTED_AT_ONCE = 8_000_000  # for each range the users of all ratings are looked through
_USERS_WRITTEN_AT_ONCE = 122_880  # what DuckDB packs together; fewer wait in it until the end
_RATINGS_WRITTEN_AT_ONCE = 2**26  # bounds memory where so many users have rated more
Indexes = npt.NDArray[np.int32]


def fill_lists(warehouse: Database, progress: Progress) -> None:
    """Fill `user_vectors` with the lists of every user's ratings.

    Args:
        warehouse: in a transaction that has not touched the ratings.
        progress: told of the users done.
    """
    num_users, _, _, _ = warehouse.row("vectors/counts")
    with warehouse.beside() as committed:
        for lists in ahead(_lists_of_all(committed)):
            warehouse.run_with("vectors/insert", lists)
            progress(
                "materialize", lists["user_index"][-1].as_py() + 1, num_users, "users' ratings"
            )


def user_ranges(num_users: int, num_ratings: int) -> Iterator[tuple[int, int]]:
    """Each range's first user and the one after its last; a range bounds memory."""
    users_at_once = max(1, _RATINGS_AT_ONCE * num_users // max(num_ratings, 1))
    for first in range(0, num_users, users_at_once):
        yield first, min(first + users_at_once, num_users)


def lists_by_user(rows: pa.Table, users_U: Indexes) -> pa.Table:
    """One row a user: movie indexes in ascending order, ratings and days beside them.

    Args:
        rows: `user_index`, `movie_index`, `rating` and `rating_day` in any order, no pair twice.
        users_U: ascending, everybody in `rows` among them; others get empty lists.
    """
    lists = _Lists(users_U, rows.num_rows)
    lists.push(rows, users_U)
    return lists.table()


class _Lists:
    """The lists of some users in room that is taken once, filled by a range of them at a time."""

    def __init__(self, users_U: Indexes, num_ratings: int) -> None:
        self._users_U = users_U
        self._bounds = np.zeros(len(users_U) + 1, dtype=np.int32)
        self._movie_R = np.empty(num_ratings, dtype=np.int32)
        self._rating_R = np.empty(num_ratings, dtype=np.float32)
        self._day_R = np.empty(num_ratings, dtype=np.int32)
        self._num_users = 0

    def push(self, rows: pa.Table, users_U: Indexes) -> None:
        """Take in the next users; `rows` are as `lists_by_user` has them."""
        user_R, movie_R, rating_R, day_R = (
            rows[name].combine_chunks().to_numpy(zero_copy_only=False)
            for name in ("user_index", "movie_index", "rating", "rating_day")
        )
        pair_R = np.empty((rows.num_rows, 2), dtype=np.int32)  # moved as one number
        pair_R[:, 0], pair_R[:, 1] = rating_R.view(np.int32), day_R
        pairs_UM = sparse.coo_array(
            (pair_R.view(np.int64).ravel(), (_places(user_R, users_U), movie_R)),
            shape=(len(users_U), int(movie_R.max(initial=-1)) + 1),
        ).tocsr()
        start = self._bounds[self._num_users]
        entries = slice(start, start + rows.num_rows)
        self._bounds[self._num_users + 1 :][: len(users_U)] = start + pairs_UM.indptr[1:]
        self._movie_R[entries] = pairs_UM.indices
        self._rating_R.view(np.int32)[entries] = pairs_UM.data.view(np.int32)[0::2]
        self._day_R[entries] = pairs_UM.data.view(np.int32)[1::2]
        self._num_users += len(users_U)

    def table(self) -> pa.Table:
        """One row a user; all of them must be in by now."""
        assert self._num_users == len(self._users_U), self._num_users
        columns = {
            "movie_indexes": pa.array(self._movie_R),
            "ratings": pa.array(self._rating_R),
            "rating_days": pa.array(self._day_R, mask=self._day_R == UNDATED),
        }
        lists = {
            name: pa.ListArray.from_arrays(self._bounds, values) for name, values in columns.items()
        }
        return pa.table({"user_index": self._users_U, **lists})


def _places(user_R: Indexes, users_U: Indexes) -> Indexes:
    """Where each of the users stands among the ascending ones."""
    first, end = (int(users_U[0]), int(users_U[-1]) + 1) if len(users_U) else (0, 0)
    place_of_user = np.zeros(end - first, dtype=np.int32)
    place_of_user[users_U - first] = np.arange(len(users_U), dtype=np.int32)
    return place_of_user[user_R - first]


def _lists_of_all(warehouse: Database) -> Iterator[pa.Table]:
    """The lists of every user in index order, so many users at a time as are written together."""
    num_ratings_U = warehouse.table("vectors/num_ratings")["num_ratings"].to_numpy()
    user_U = np.arange(len(num_ratings_U), dtype=np.int32)
    for together in _runs(num_ratings_U, _USERS_WRITTEN_AT_ONCE, _RATINGS_WRITTEN_AT_ONCE):
        num_ratings = num_ratings_U[together]
        lists = _Lists(user_U[together], int(num_ratings.sum()))
        for some in _runs(num_ratings, len(num_ratings), _RATINGS_SORTED_AT_ONCE):
            users_U = user_U[together][some]
            rows = warehouse.table(
                "vectors/ratings_of_users",
                first_user=users_U[0].item(),
                end_user=users_U[-1].item() + 1,
                undated=UNDATED,
            )
            lists.push(rows, users_U)
        yield lists.table()


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
