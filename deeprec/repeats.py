"""Movies of which one user may have several ratings, told while ratings are read.

It only says where there is no need to look: which ratings repeat another is found in SQL.
"""

from collections.abc import Iterable

import polars as pl
import pyarrow as pa

_SHORTEST_RUN = 8  # ratings of a movie in a row, on average, where a file goes movie by movie


class Suspects:
    """A movie is one when a batch repeats a user of it, or when more than one batch rates it."""

    def __init__(self, rated: Iterable[int] = ()) -> None:
        """Begin with the movies that were rated before."""
        self._rated = set(rated)
        self._movie_ids: set[int] = set()

    def add(self, rows: pl.DataFrame) -> None:
        """Look at a batch of ratings; all its movies are suspect where it mixes them."""
        is_new_run = pl.col("movie_id") != pl.col("movie_id").shift()
        num_runs = rows.select(is_new_run.sum()).item()
        is_repeated = pl.lit(value=True)
        if num_runs * _SHORTEST_RUN < rows.height:
            is_repeated = pl.col("user_id").n_unique() < pl.len()
        movies = rows.group_by("movie_id").agg(is_repeated=is_repeated)
        movie_ids = set(movies["movie_id"])
        self._movie_ids |= movie_ids & self._rated
        self._movie_ids.update(movies.filter("is_repeated")["movie_id"])
        self._rated |= movie_ids

    def table(self) -> pa.Table:
        """Their ids, as Arrow."""
        return pa.table({"movie_id": pa.array(self._movie_ids, pa.int64())})
