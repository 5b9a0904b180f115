"""Dense predictions from vectors to the published file, beside DuckDB's insert of the same rows.

    python -m benchmarks.dense_write --home HOME --ratings 4e6

Made-up ratings of Netflix's shape are taken in, and a model is trained on them for long enough that
its predictions differ from movie to movie: their size on disk hangs on that. Then `deeprec score`
runs as a process of its own: start, vectors, graph, write and publication. In another process
DuckDB alone inserts the rows that came of it, already computed: `bare.py` reads them back some at a
time, and counts the seconds of its inserts and its checkpoint.

A second table holds the reading of the two files against each other: ours keeps lists behind a
view, the other one the rows themselves. Milliseconds, the least of five, every row fetched.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import this_machine
from benchmarks.night import StageCost, run_night
from benchmarks.processes import measured

_MODEL = (
    "--set=model.hidden_layers=[128]",
    "--set=train.num_epochs=8",
    "--set=train.batch_size=256",
    '--set=train.optimizer="adam"',
    "--set=train.learning_rate=0.001",
    "--set=train.device=cpu",
)
_NUM_READS = 5
_READS = {
    "a user's every movie": "select movie_id, predicted_rating from {} where user_id = {user}",
    "one pair": "select predicted_rating from {} where user_id = {user} and movie_id = {movie}",
    "a movie for every user": "select user_id, predicted_rating from {} where movie_id = {movie}",
    "the mean of everything": "select avg(predicted_rating) from {}",
    "every movie's mean": "select movie_id, avg(predicted_rating) from {} group by movie_id",
}


class DenseFigures(BaseModel):
    """Both ways of writing the same rows."""

    model_config = ConfigDict(frozen=True)

    score: StageCost
    insert_seconds: float

    def __str__(self) -> str:
        rows, rate = self.score.num_rows, self.score.num_rows / self.score.seconds
        bare = rows / self.insert_seconds
        return (
            f"| {rows:,} | {rate / 1e6:.1f} | {bare / 1e6:.1f} | {rate / bare:.2f} "
            f"| {self.score.disk_bytes / rows:.2f} | {self.score.peak_bytes / 1e9:.2f} |"
        )


def compare_writes(home: Path, num_ratings: int) -> DenseFigures:
    """Score everybody whom so many ratings have, then insert the rows again."""
    *_, score = run_night(home, num_ratings, "dense", _MODEL)
    published = home / "home" / "predictions.duckdb"
    report, _ = measured(["benchmarks.bare", "insert", str(published), str(home / "bare.duckdb")])
    assert report["num_rows"] == score.num_rows, report
    return DenseFigures(score=score, insert_seconds=report["seconds"])


def compare_reads(home: Path) -> Iterator[tuple[str, float, float]]:
    """Each query's name, its milliseconds from our file, and those from the other one."""
    with duckdb.connect(home / "home" / "predictions.duckdb", read_only=True) as connection:
        connection.execute(f"attach '{home / 'bare.duckdb'}' as bare (read_only)")
        (drawn,) = connection.execute(
            "select any_value(user_id), (select any_value(movie_id) from movies) from users"
        ).fetchall()
        user, movie = drawn
        for name, query in _READS.items():
            published, rows = (
                _milliseconds(connection, query.format(relation, user=user, movie=movie))
                for relation in ("predicted_ratings", "bare.predicted_ratings")
            )
            yield name, published, rows


def _milliseconds(connection: duckdb.DuckDBPyConnection, query: str) -> float:
    """The least that the query takes."""
    waits = []
    for _ in range(_NUM_READS):
        started = time.perf_counter()
        connection.execute(query).fetchnumpy()
        waits.append(time.perf_counter() - started)
    return min(waits) * 1e3


def main(
    home: Annotated[Path, typer.Option(help="A folder for what is made; must not exist.")],
    ratings: Annotated[str, typer.Option(help="Size, as 4e6.")] = "4e6",
) -> None:
    """Print a table of rates."""
    typer.echo(f"{this_machine()}\n")
    typer.echo(
        "| predictions | scored, millions/s | bare insert, millions/s | ratio "
        "| bytes a prediction | peak memory, GB |"
    )
    typer.echo("|---:|---:|---:|---:|---:|---:|")
    typer.echo(str(compare_writes(home, int(float(ratings)))))
    typer.echo("\n| query | as published, ms | from rows, ms |\n|---|---:|---:|")
    for name, published, rows in compare_reads(home):
        typer.echo(f"| {name} | {published:.1f} | {rows:.1f} |")


if __name__ == "__main__":
    typer.run(main)
