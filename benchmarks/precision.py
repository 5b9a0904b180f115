"""Training in bfloat16 beside training in 32 bits: the error on dev, and the time of an epoch.

    python -m benchmarks.precision RATINGS --home HOME --config deployments/config/ml-1m.toml

The same configuration is trained with the same seeds either way, each a process of its own, in
turn, and its best epoch's RMSE on dev is compared. Test ratings play no part. An epoch's time is
the median over all epochs and seeds, that of the dev error with it.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median, stdev
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import this_machine
from benchmarks.processes import measured
from deeprec.training.train import TrainReport

_PRECISIONS = ("float32", "bfloat16")


class PrecisionFigures(BaseModel):
    """One precision: the best dev RMSE of every seed, and the seconds of an epoch."""

    model_config = ConfigDict(frozen=True)

    precision: str
    dev_rmse: tuple[float, ...]
    epoch_seconds: float

    def __str__(self) -> str:
        spread = f" ({stdev(self.dev_rmse):.5f})" if len(self.dev_rmse) > 1 else ""
        return (
            f"| {self.precision} | {len(self.dev_rmse)} | {mean(self.dev_rmse):.5f}{spread} "
            f"| {self.epoch_seconds:.3f} |"
        )


def compare_precisions(
    source: Path, home: Path, settings: list[str], seeds: list[int]
) -> Iterator[PrecisionFigures]:
    """Each precision's figures.

    Args:
        source: rating files.
        home: a folder to make.
        settings: of the run, as options of `deeprec`.
        seeds: of the weights and the batches; the split is the same for all.
    """
    home.mkdir(parents=True)
    at = ["--home", str(home), "--json"]
    measured(["deeprec.cli", "ingest", str(source), *at])
    measured(["deeprec.cli", "materialize", *at, *settings])
    reports: dict[str, list[TrainReport]] = {precision: [] for precision in _PRECISIONS}
    for seed in seeds:
        for precision, of_it in reports.items():
            told = [f"--set=train.precision={precision}", f"--set=train.seed={seed}"]
            report, _ = measured(["deeprec.cli", "train", *at, *settings, *told])
            of_it.append(TrainReport.model_validate(report))
            assert of_it[-1].changed, "an earlier fit of the same was found"
    for precision, of_it in reports.items():
        rmse_by_epoch = ([epoch.dev_rmse for epoch in report.epochs] for report in of_it)
        yield PrecisionFigures(
            precision=precision,
            dev_rmse=tuple(min(filter(None, rmses)) for rmses in rmse_by_epoch),
            epoch_seconds=median(epoch.seconds for report in of_it for epoch in report.epochs),
        )


def main(
    source: Annotated[Path, typer.Argument(help="Rating files.")],
    home: Annotated[Path, typer.Option(help="A folder for what is made; must not exist.")],
    config: Annotated[Path, typer.Option(help="TOML file of a named run configuration.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="As of deeprec; repeatable.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="As 0,1,2.")] = "0,1,2",
) -> None:
    """Train in both precisions and print the table."""
    settings = [f"--config={config}", *(f"--set={override}" for override in overrides or [])]
    typer.echo(f"{this_machine()}\n")
    typer.echo("| precision | seeds | best dev RMSE | seconds an epoch |")
    typer.echo("|---|---:|---:|---:|")
    for figures in compare_precisions(source, home, settings, list(map(int, seeds.split(",")))):
        typer.echo(str(figures))


if __name__ == "__main__":
    typer.run(main)
