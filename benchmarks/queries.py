"""How long analysts wait for a published file: one user, one pair, one movie.

    python benchmarks/queries.py home/predictions.duckdb

Users and movies are drawn by a seed; each query is timed on a connection that has the file open,
and every row of it fetched. Milliseconds: median and maximum.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated

import duckdb
import typer

from benchmarks.machine import this_machine

_PREDICTED = "from predicted_ratings where"
_QUERIES = {
    "a user's every movie": f"select movie_id, predicted_rating {_PREDICTED} user_id = $user",
    "one pair": f"select predicted_rating {_PREDICTED} user_id = $user and movie_id = $movie",
    "a movie for every user": f"select user_id, predicted_rating {_PREDICTED} movie_id = $movie",
    "a user's recommendations": "select * from recommendations where user_id = $user order by rank",
}


def time_queries(file: Path, num_drawn: int, seed: int) -> Iterator[tuple[str, int, list[float]]]:
    """Each query's name, the rows of its last result, and its milliseconds for each draw."""
    with duckdb.connect(file, read_only=True) as connection:
        drawn = connection.execute(
            "select users.user_id, movies.movie_id "
            "from (select user_id from users order by hash(user_id, $seed) limit $num_drawn) users "
            "positional join "
            "(select movie_id from movies order by hash(movie_id, $seed) limit $num_drawn) movies",
            {"seed": seed, "num_drawn": num_drawn},
        ).fetchall()
        for name, query in _QUERIES.items():
            waits, num_rows = [], 0
            for user, movie in drawn:
                given = {"user": user, "movie": movie}
                asked = {key: value for key, value in given.items() if f"${key}" in query}
                started = time.perf_counter()
                columns = connection.execute(query, asked).fetchnumpy()
                waits.append((time.perf_counter() - started) * 1e3)
                num_rows = len(next(iter(columns.values())))
            yield name, num_rows, waits


def main(
    file: Annotated[Path, typer.Argument(help="A published predictions.duckdb.")],
    num_drawn: Annotated[int, typer.Option(help="Users and movies.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
) -> None:
    """Print a table of waits."""
    typer.echo(
        f"{this_machine()}\n\n| query | rows | median, ms | largest, ms |\n|---|---:|---:|---:|"
    )
    for name, num_rows, waits in time_queries(file, num_drawn, seed):
        typer.echo(f"| {name} | {num_rows:,} | {median(waits):.1f} | {max(waits):.1f} |")


if __name__ == "__main__":
    typer.run(main)
