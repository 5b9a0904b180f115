"""Dense predictions from vectors to the published file, beside DuckDB's insert of the same rows.

    python -m benchmarks.dense_write --home HOME --ratings 4e6

Made-up ratings of Netflix's shape are taken in, and a model is trained on them for long enough that
its predictions differ from movie to movie: their size on disk hangs on that. Then `deeprec score`
runs as a process of its own: start, vectors, graph, write and publication. In another process
DuckDB alone inserts the rows that came of it, already computed: `bare.py` reads them back some at a
time, and counts the seconds of its inserts and its checkpoint.
"""

from pathlib import Path
from typing import Annotated

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


if __name__ == "__main__":
    typer.run(main)
