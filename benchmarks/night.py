"""A whole night at several sizes: seconds, peak memory, bytes and rows of each stage.

    python benchmarks/night.py --home HOME --ratings 1e6,1e7,1e8 --storage factored

Made-up ratings of Netflix's shape go through the commands that a user runs, each a process of its
own: sample, ingest, materialize, train (one epoch, 128 hidden units, and the export), score. Users
grow with the ratings, movies stay 17,770. Each slope is that of log cost over log ratings: 1 is
linear.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import Machine, this_machine
from benchmarks.processes import measured

_NUM_USERS, NUM_MOVIES, _NUM_RATINGS = 480_189, 17_770, 100_480_507  # of the Netflix Prize
_MODEL = (
    "--set=model.hidden_layers=[128]",
    "--set=train.num_epochs=1",
    "--set=train.batch_size=1024",
    "--set=train.device=cpu",
)
Storage = Literal["dense", "factored"]


class StageCost(BaseModel):
    """What one stage took; memory is the process's largest, disk what its result lies in."""

    model_config = ConfigDict(frozen=True)

    num_ratings: int
    stage: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    disk_bytes: int
    num_rows: int


class NightReport(BaseModel):
    """All stages at all sizes."""

    model_config = ConfigDict(frozen=True)

    machine: Machine
    storage: Storage
    costs: tuple[StageCost, ...]

    def slope(self, stage: str) -> float | None:
        """Of log seconds over log ratings; none of a single size."""
        costs = [cost for cost in self.costs if cost.stage == stage]
        if len(costs) == 1:
            return None
        logs = np.log([(cost.num_ratings, cost.seconds) for cost in costs])
        return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])

    def __str__(self) -> str:
        lines = [
            str(self.machine),
            f"{NUM_MOVIES:,} movies, predictions {self.storage}",
            "",
            "| ratings | stage | seconds | CPU s | peak memory, GB | on disk, GB | rows |",
            "|---:|---|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {cost.num_ratings:,} | {cost.stage} | {cost.seconds:.1f} | {cost.cpu_seconds:.1f} "
            f"| {cost.peak_bytes / 1e9:.2f} | {cost.disk_bytes / 1e9:.3f} | {cost.num_rows:,} |"
            for cost in self.costs
        ]
        slopes = {stage: self.slope(stage) for stage in dict.fromkeys(c.stage for c in self.costs)}
        told = ", ".join(f"{stage} {slope:.2f}" for stage, slope in slopes.items() if slope)
        return "\n".join([*lines, "", f"slopes: {told}"] if told else lines)


def run_night(
    home: Path, num_ratings: int, storage: Storage, model: Sequence[str] = _MODEL
) -> Iterator[StageCost]:
    """The cost of each stage at one size; everything lies in `home`, which must be new.

    Args:
        home: a folder to make.
        num_ratings: of the sample; its users are as many as Netflix has to so many ratings.
        storage: of the predictions.
        model: options of the training.
    """
    num_users = num_users_of(num_ratings)
    sample, state = home / "sample", home / "home"
    size = [f"--ratings={num_ratings}", f"--users={num_users}", f"--movies={NUM_MOVIES}"]
    at = ["--home", str(state)]
    warehouse, predictions = state / "warehouse.duckdb", state / "predictions.duckdb"
    stages: dict[str, tuple[list[str], str, Path]] = {
        "sample": ([str(sample), *size, "--layout=netflix-combined"], "num_ratings", sample),
        "ingest": ([str(sample), *at], "num_ratings", warehouse),
        "materialize": (at, "num_ratings", warehouse),
        "train": ([*at, *model], "num_users", state / "models"),
        "score": ([*at, f"--set=score.storage={storage}"], "num_predictions", predictions),
    }
    for stage, (arguments, rows, result) in stages.items():
        report, usage = measured(["deeprec.cli", stage, *arguments, "--json"])
        num_users = int(report.get("num_users", num_users))
        yield StageCost(
            num_ratings=num_ratings,
            stage=stage,
            **usage.model_dump(),
            disk_bytes=_size(result),
            num_rows=int(report.get(rows, num_users)),
        )


def num_users_of(num_ratings: int) -> int:
    """As many users as Netflix has to so many ratings."""
    return max(1, round(_NUM_USERS * num_ratings / _NUM_RATINGS))


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def draw_costs(report: NightReport, file: Path) -> None:
    """Seconds of each stage over ratings, both in logarithms, as a picture."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only where a picture is wanted

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="ratings", ylabel="seconds")
    for stage in dict.fromkeys(cost.stage for cost in report.costs):
        costs = [cost for cost in report.costs if cost.stage == stage]
        slope = report.slope(stage)
        label = stage if slope is None else f"{stage}, slope {slope:.2f}"
        axes.plot(
            [cost.num_ratings for cost in costs],
            [cost.seconds for cost in costs],
            "o-",
            label=label,
        )
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(file)


def main(
    home: Annotated[Path, typer.Option(help="A folder for what is made; must not exist.")],
    ratings: Annotated[str, typer.Option(help="Sizes, as 1e6,1e7,1e8.")] = "1e5,1e6",
    storage: Annotated[Storage, typer.Option(help="Form of the predictions.")] = "factored",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="The report, for a program.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Cost over size, as .svg or .png.")] = None,
) -> None:
    """Run a night at each size and print the table."""
    costs: list[StageCost] = []
    for size in ratings.split(","):
        for cost in run_night(home / size, int(float(size)), storage):
            costs.append(cost)
            typer.echo(f"{size} {cost.stage}: {cost.seconds:.1f} s", err=True)
    report = NightReport(machine=this_machine(), storage=storage, costs=tuple(costs))
    typer.echo(str(report))
    if json_file:
        json_file.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if picture:
        draw_costs(report, picture)


if __name__ == "__main__":
    typer.run(main)
