"""How large the published file gets over nights in which few users rate.

    python -m benchmarks.file_growth --home HOME --ratings 1e7 --nights 30 --changed 0.05

Made-up ratings of Netflix's shape are scored; then, night after night, a share of the users each
rate a movie and are scored again, by the commands that a user runs. A night in which everybody is
scored is one in which the file was made anew, since much of it was free.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import this_machine
from benchmarks.night import Storage, run_night
from benchmarks.rescoring import rate_again, score


class NightFile(BaseModel):
    """The published file after a night."""

    model_config = ConfigDict(frozen=True)

    night: int
    num_users: int
    num_scored: int
    num_bytes: int


def grow(
    home: Path, num_ratings: int, storage: Storage, num_nights: int, share: float
) -> Iterator[NightFile]:
    """The file of the first night, which is new, and of each after it."""
    list(run_night(home, num_ratings, storage))
    state = home / "home"
    for night in range(num_nights + 1):
        if night:
            rate_again(home, share, night)
        _, report = score(state, storage, *([] if night else ["--set=score.incremental=false"]))
        yield NightFile(
            night=night,
            num_users=report["num_users"],
            num_scored=report["num_users_scored"],
            num_bytes=(state / "predictions.duckdb").stat().st_size,
        )


def main(
    home: Annotated[Path, typer.Option(help="A folder for what is made; must not exist.")],
    ratings: Annotated[str, typer.Option(help="Size, as 1e7.")] = "1e6",
    nights: Annotated[int, typer.Option(help="How many after the first.")] = 30,
    changed: Annotated[float, typer.Option(help="Share of the users who rate in a night.")] = 0.05,
    storage: Annotated[Storage, typer.Option(help="Form of the predictions.")] = "factored",
) -> None:
    """Print a line a night."""
    typer.echo(f"{this_machine()}\n")
    typer.echo("| night | users | scored | file, MB | of a new one |")
    typer.echo("|---:|---:|---:|---:|---:|")
    new = 0
    for file in grow(home, int(float(ratings)), storage, nights, changed):
        new = new or file.num_bytes
        typer.echo(
            f"| {file.night} | {file.num_users:,} | {file.num_scored:,} "
            f"| {file.num_bytes / 1e6:.1f} | {file.num_bytes / new:.2f} |"
        )


if __name__ == "__main__":
    typer.run(main)
