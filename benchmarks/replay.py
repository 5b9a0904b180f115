"""Ten nights replayed: a data set's own dates, its files dropped day by day.

    python -m benchmarks.replay --home HOME --ratings ../shared/data/ml-100k
    python -m benchmarks.replay --home HOME --ratings ../shared/data/netflix-excerpt

The oldest half of the ratings is there on the first night; the rest comes in ten files, in the
order of their dates. Each night measures what was published the night before on what came since,
trains when a twentieth of the ratings is new, and promotes what is surely better. After the first
promotion a person rolls it back, as somebody would who does not trust it; the nights go on.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import this_machine
from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.nights.champions import rollback
from deeprec.nights.nightly import NightReport, run_night
from deeprec.readers.detection import find_files
from deeprec.readers.layouts import Role
from deeprec.warehouse.database import open_database

_NUM_NIGHTS = 10
_SETTINGS = (
    "split.kind=random",
    "split.test_fraction=0.1",
    "split.dev_fraction=0.05",
    "score.storage=factored",
    "nightly.train_at_new_fraction=0.05",
    "nightly.train_every_days=1000",  # ten nights pass in minutes
)
_CONFIGS = Path(__file__).parents[1] / "deployments" / "config"


class ReplayedNight(BaseModel):
    """A night: what came, how far off it had been predicted, and what was decided."""

    model_config = ConfigDict(frozen=True)

    last_day: str
    num_new: int
    measured: str
    challenge: str
    published: str
    seconds: float

    def __str__(self) -> str:
        return (
            f"| {self.last_day} | {self.num_new:,} | {self.measured} | {self.challenge} "
            f"| {self.published} | {self.seconds:.1f} |"
        )


def settings(source: Path) -> Config:
    """The data set's own configuration, under a random split, with factored predictions."""
    config = load_config(_CONFIGS / f"{source.name}.toml")
    values = {"model": config.model, "train": config.train, "name": config.name}
    return load_config(None, _SETTINGS).model_copy(update=values)


def ratings_by_date(home: Path, source: Path, config: Config) -> pl.DataFrame:
    """All ratings of the source with their dates, oldest first."""
    whole = Home(home / "whole")
    layout = {"netflix-excerpt": "netflix-folder", "ml-100k": "ml-100k"}[source.name]
    told = config.model_copy(update={"ingest": config.ingest.model_copy(update={"format": layout})})
    files = [
        str(file.path)
        for file in find_files(str(source), told.ingest)
        if file.layout.role is Role.RATINGS
    ]
    ingest(whole, files, told)
    with open_database(whole.warehouse, read_only=True) as warehouse:
        table = warehouse.table("history/ratings", file_ids=list(range(len(files))))
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    dated = rows.with_columns(date=pl.col("rated_at").dt.date())
    return dated.select("user_id", "movie_id", "rating", "date", "rated_at").sort(
        "rated_at", "user_id", "movie_id"
    )


def replay(home: Path, source: Path) -> Iterator[ReplayedNight]:
    """Every night in turn, the first of them on the oldest half."""
    config = settings(source)
    ratings = ratings_by_date(home, source, config)
    state, drop = Home(home / "home"), home / "drop"
    drop.mkdir()
    for titles in ("movie_titles.txt", "u.item"):
        if (source / titles).exists():
            shutil.copyfile(source / titles, drop / titles)
    first = len(ratings) // 2
    size = -(-(len(ratings) - first) // _NUM_NIGHTS)
    slices = [ratings[:first], *(ratings[first:].iter_slices(size))]
    rolled_back = False
    for number, came in enumerate(slices):
        came.drop("rated_at").write_csv(drop / f"ratings_{number:02}.csv")
        last_day = came["date"][-1]
        started = datetime.now(UTC)
        night = run_night(state, [str(drop)], config, night_of=last_day)
        seconds = (datetime.now(UTC) - started).total_seconds()
        decided = _said(night, "challenge")
        is_promoted = "is champion: better than the champion" in decided
        if is_promoted and not rolled_back:
            rolled_back = True
            back = rollback(state, config)
            decided += f"; then rolled back to run {back.run_id}"
        yield ReplayedNight(
            last_day=str(last_day),
            num_new=len(came),
            measured=_said(night, "measure"),
            challenge=decided,
            published=_said(night, "score"),
            seconds=seconds,
        )


def _said(night: NightReport, step: str) -> str:
    return next(each.said for each in night.steps if each.step == step)


def main(
    home: Annotated[Path, typer.Option(help="A new folder that everything goes into.")],
    ratings: Annotated[Path, typer.Option(help="Folder of a data set, by its own name.")],
) -> None:
    """Replay ten nights and print a row a night."""
    home.mkdir(parents=True)
    typer.echo(this_machine())
    typer.echo(f"\n{ratings.name}, seed 0\n")
    typer.echo("| to | ratings | measured | challenge | score | seconds |")
    typer.echo("|---|---:|---|---|---|---:|")
    for night in replay(home.resolve(), ratings):
        typer.echo(str(night))


if __name__ == "__main__":
    typer.run(main)
