"""Movies of which one user may have several ratings, told while ratings are read.

It only says where there is no need to look: which ratings repeat another is found in SQL.
"""

from collections.abc import Iterable

import polars as pl
import pyarrow as pa

_SHORTEST_RUN = 8  # ratings of a movie in a row, on average, where a file goes movie by movie


class Suspects:
    """A movie is one when a batch repeats a user of it, or when it is rated in several batches.

    Of a file that goes movie by movie, the one that a batch ends with counts to the next.
    """

    def __init__(self, rated: Iterable[int] = ()) -> None:
        """Begin with the movies that were rated before."""
        self._rated = set(rated)
        self._movie_ids: set[int] = set()
        self._waiting = pl.DataFrame(schema={"movie_id": pl.Int64(), "user_id": pl.Int64()})

    def add(self, rows: pl.DataFrame) -> None:
        """Look at a batch of ratings; all its movies are suspect where it mixes them."""
        if rows.is_empty():
            return
        rows = rows.select(self._waiting.columns)
        num_in_run = rows["movie_id"].rle().struct.field("len")
        is_mixed = len(num_in_run) * _SHORTEST_RUN >= rows.height
        if is_mixed or len(num_in_run) == 1:
            first, waiting = rows, rows.clear()
        else:
            first, waiting = rows.head(num_in_run[0]), rows.tail(num_in_run[-1])
        self._look_at(pl.concat([self._waiting, first], rechunk=True), is_mixed=is_mixed)
        between = rows.slice(first.height, rows.height - first.height - waiting.height)
        self._look_at(between, is_mixed=False)
        self._waiting = waiting

    def table(self) -> pa.Table:
        """Their ids, as Arrow."""
        self._look_at(self._waiting, is_mixed=False)
        self._waiting = self._waiting.clear()
        return pa.table({"movie_id": pa.array(self._movie_ids, pa.int64())})

    def _look_at(self, rows: pl.DataFrame, *, is_mixed: bool) -> None:
        movie_ids = set(rows["movie_id"].rle().struct.field("value"))
        self._movie_ids |= movie_ids & self._rated
        self._rated |= movie_ids
        if is_mixed:
            self._movie_ids |= movie_ids
        elif _has_repeats(rows):
            has_fewer_users = pl.col("user_id").n_unique() < pl.len()
            movies = rows.group_by("movie_id").agg(has_fewer_users.alias("is_repeated"))
            self._movie_ids.update(movies.filter("is_repeated")["movie_id"])


def _has_repeats(rows: pl.DataFrame) -> bool:
    """Whether any user has several ratings of a movie; rarely true where none has.

    Numbers beyond 64 bits are taken modulo 2^64, so that different pairs may come to the same.
    """
    user_id = pl.col("user_id")
    num_ids = user_id.max() - user_id.min() + 1
    pair = pl.col("movie_id") * num_ids + user_id
    return bool(rows.select(pair.n_unique() < pl.len()).item())
