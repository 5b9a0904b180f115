"""Vectors when few users have rated: those of everybody built anew, and only those touched.

    python -m benchmarks.refreshing --home HOME --ratings 1e7 --changed 0.01

Made-up ratings of Netflix's shape are taken in and materialized; then a share of the users each
rate a movie again, or with `--moving` one that nobody had rated, which moves every index behind it.
The same warehouse is materialized in both ways, each a process of its own, the split included in
both. The two results are compared row by row.
"""

import shutil
from pathlib import Path
from typing import Annotated

import duckdb
import numpy as np
import typer

from benchmarks.machine import this_machine
from benchmarks.processes import Usage, measured
from deeprec.samples.sample import write_sample

_USERS_OF_NETFLIX, _MOVIES, _RATINGS_OF_NETFLIX = 480_189, 17_770, 100_480_507
_FORGET = "delete from materializations; delete from vector_files; delete from vector_movies"
_DIFFERING = (
    "select count(*) from ((from one.user_vectors except all from other.user_vectors) "
    "union all (from other.user_vectors except all from one.user_vectors))"
)


def prepare(home: Path, num_ratings: int, share: float, *, moving: bool) -> int:
    """Two homes with the same new ratings, one of which has forgotten its vectors; new ratings."""
    num_users = max(100, _USERS_OF_NETFLIX * num_ratings // _RATINGS_OF_NETFLIX)
    sample = home / "sample"
    write_sample(sample, num_users=num_users, num_movies=_MOVIES, num_ratings=num_ratings)
    state = home / "touched"
    for stage in (["ingest", str(sample)], ["materialize"]):
        measured(["deeprec.cli", *stage, "--home", str(state), "--json"])
    with duckdb.connect(state / "warehouse.duckdb", read_only=True) as warehouse:
        ids = np.array(warehouse.execute("select user_id from users order by all").fetchall())[:, 0]
    chosen = np.random.default_rng(0).choice(ids, round(share * len(ids)), replace=False)
    movie = 0 if moving else 1  # the sample's first is 1
    rows = "".join(f"{user},{movie},{1 + user % 5},2006-01-01\n" for user in chosen)
    new = home / "new.csv"
    new.write_text(f"user_id,movie_id,rating,date\n{rows}", encoding="utf-8")
    measured(["deeprec.cli", "ingest", str(new), "--home", str(state), "--json"])
    shutil.copytree(state, home / "anew")
    with duckdb.connect(home / "anew" / "warehouse.duckdb") as warehouse:
        warehouse.execute(_FORGET)
    return len(chosen)


def materialize(state: Path) -> tuple[int, Usage]:
    """How many users' vectors were built, and what that took."""
    report, usage = measured(["deeprec.cli", "materialize", "--home", str(state), "--json"])
    return report["num_users_rebuilt"], usage


def num_differing(home: Path) -> int:
    """Users whose vectors are not the same in both homes."""
    with duckdb.connect(config={"memory_limit": "3GB"}) as connection:
        for name, state in (("one", "anew"), ("other", "touched")):
            file = home / state / "warehouse.duckdb"
            connection.execute(f"attach '{file}' as {name} (read_only)")
        ((count,),) = connection.execute(_DIFFERING).fetchall()
    return int(count)


def main(
    home: Annotated[Path, typer.Option(help="A folder for what is made; must not exist.")],
    ratings: Annotated[str, typer.Option(help="Size, as 1e7.")] = "1e6",
    changed: Annotated[float, typer.Option(help="Share of the users who have rated.")] = 0.01,
    *,
    moving: Annotated[bool, typer.Option(help="Rate a movie that moves all others.")] = False,
) -> None:
    """Print a table of seconds."""
    home.mkdir(parents=True)
    num_new = prepare(home, int(float(ratings)), changed, moving=moving)
    num_anew, anew = materialize(home / "anew")
    num_touched, touched = materialize(home / "touched")
    typer.echo(f"{this_machine()}\n")
    typer.echo("| ratings | new | users | touched | anew, s | touched, s | ratio | differing |")
    typer.echo("|---:|---:|---:|---:|---:|---:|---:|---:|")
    typer.echo(
        f"| {int(float(ratings)):,} | {num_new:,} | {num_anew:,} | {num_touched:,} "
        f"| {anew.seconds:.1f} | {touched.seconds:.1f} | {anew.seconds / touched.seconds:.1f} "
        f"| {num_differing(home):,} |"
    )


if __name__ == "__main__":
    typer.run(main)
