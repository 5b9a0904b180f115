"""Scoring again when few users have rated: everybody anew, and only those who have changed.

    python -m benchmarks.rescoring --home HOME --ratings 1e7 --changed 0.01

Made-up ratings of Netflix's shape are scored; then a share of the users each rate a movie, and the
same warehouse is scored over everybody (`score.incremental=false`) and once over those who have
changed, each a process of its own, both from the file published before. The two results are
compared row by row; of dense predictions by a digest of each user's.
"""

import shutil
from pathlib import Path
from typing import Annotated, Any

import duckdb
import numpy as np
import typer
from pydantic import BaseModel, ConfigDict, TypeAdapter

from benchmarks.machine import this_machine
from benchmarks.night import Storage, run_night
from benchmarks.processes import measured

_STORAGE: TypeAdapter[Storage] = TypeAdapter(Storage)
_DIFFERING = """
select count(*) from (
    (from {one} except all from {other}) union all (from {other} except all from {one})
)
"""
_PREDICTIONS: dict[Storage, str] = {
    "dense": "(select user_id, sum(hash(movie_id, predicted_rating)) "
    "from {file}.predicted_ratings group by user_id)",
    "factored": "{file}.user_codes",
}


class RescoringFigures(BaseModel):
    """One storage: seconds of either way, and the rows in which the results differ."""

    model_config = ConfigDict(frozen=True)

    storage: Storage
    num_users: int
    num_scored: int
    full: float
    incremental: float
    num_differing: int

    def __str__(self) -> str:
        return (
            f"| {self.storage} | {self.num_users:,} | {self.num_scored:,} | {self.full:.1f} "
            f"| {self.incremental:.1f} | {self.full / self.incremental:.1f} "
            f"| {self.num_differing:,} |"
        )


def prepare(home: Path, num_ratings: int, share: float, storages: list[Storage]) -> None:
    """A home in which a share of the users have rated since `STORAGE.duckdb` was published."""
    list(run_night(home, num_ratings, storages[0]))
    state = home / "home"
    for storage in storages:
        score(state, storage)
        (state / "predictions.duckdb").rename(home / f"{storage}.duckdb")
    rate_again(home, share)


def rate_again(home: Path, share: float, night: int = 0) -> None:
    """Take in a rating of each of some users, drawn by the night's number."""
    state, new = home / "home", home / f"new-{night}.csv"
    with duckdb.connect(state / "warehouse.duckdb", read_only=True) as warehouse:
        found = warehouse.execute("select user_id from users order by user_id").fetchall()
    ids = np.array(found)[:, 0]
    chosen = np.random.default_rng(night).choice(ids, round(share * len(ids)), replace=False)
    rows = "".join(
        f"{user},{1 + (user + night) % 100},{1 + (user + night) % 5},2006-01-01\n"
        for user in chosen
    )
    new.write_text(f"user_id,movie_id,rating,date\n{rows}", encoding="utf-8")
    for stage in (["ingest", str(new)], ["materialize"]):
        measured(["deeprec.cli", *stage, "--home", str(state), "--json"])


def compare_scoring(home: Path, storage: Storage) -> RescoringFigures:
    """Both ways from the same published file, the full run first."""
    state = home / "home"
    shutil.copy2(home / f"{storage}.duckdb", state / "predictions.duckdb")
    full, _ = score(state, storage, "--set=score.incremental=false")
    everybody = (state / "predictions.duckdb").rename(home / "everybody.duckdb")
    (home / f"{storage}.duckdb").rename(state / "predictions.duckdb")
    incremental, report = score(state, storage)
    figures = RescoringFigures(
        storage=storage,
        num_users=report["num_users"],
        num_scored=report["num_users_scored"],
        full=full,
        incremental=incremental,
        num_differing=_differing(everybody, state / "predictions.duckdb", storage),
    )
    everybody.unlink()
    return figures


def score(state: Path, storage: Storage, *settings: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a run, and its report."""
    arguments = ["--home", str(state), f"--set=score.storage={storage}", *settings, "--json"]
    report, usage = measured(["deeprec.cli", "score", *arguments])
    return usage.seconds, report


def _differing(one: Path, other: Path, storage: Storage) -> int:
    """Rows of users, recommendations and, one a user, predictions in which the two differ."""
    with duckdb.connect(config={"memory_limit": "3GB"}) as connection:
        connection.execute(f"attach '{one}' as one (read_only)")
        connection.execute(f"attach '{other}' as other (read_only)")
        relations = ["{file}.users", "{file}.recommendations", _PREDICTIONS[storage]]
        counts = [
            connection.execute(
                _DIFFERING.format(
                    one=relation.format(file="one"), other=relation.format(file="other")
                )
            ).fetchall()
            for relation in relations
        ]
    return sum(count for ((count,),) in counts)


def main(
    home: Annotated[Path, typer.Option(help="A folder for what is made; must not exist.")],
    ratings: Annotated[str, typer.Option(help="Size, as 1e7.")] = "1e6",
    changed: Annotated[float, typer.Option(help="Share of the users who have rated.")] = 0.01,
    storages: Annotated[str, typer.Option(help="Forms of the predictions.")] = "factored,dense",
) -> None:
    """Print a table of seconds."""
    wanted = [_STORAGE.validate_python(name) for name in storages.split(",")]
    prepare(home, int(float(ratings)), changed, wanted)
    typer.echo(f"{this_machine()}\n")
    typer.echo("| storage | users | scored again | full, s | incremental, s | ratio | differing |")
    typer.echo("|---|---:|---:|---:|---:|---:|---:|")
    for storage in wanted:
        typer.echo(str(compare_scoring(home, storage)))


if __name__ == "__main__":
    typer.run(main)
