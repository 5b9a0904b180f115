"""Taking ratings in and sorting them into vectors, each beside the least that could be done.

    python -m benchmarks.ingest --home HOME --ratings 1e7 --layouts netflix-combined,netflix-folder

Made-up ratings of Netflix's shape, in either of its raw layouts: `deeprec ingest` against a bare
scan and insert of the same files, and the vectors of `deeprec materialize` against a bare sort of
the same rows; `benchmarks.bare` says what these leave out. Each is a process of its own, and its
seconds those of the process. Vectors are what materializing takes beyond applying another split.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import Machine, this_machine
from benchmarks.night import NUM_MOVIES, num_users_of
from benchmarks.processes import Usage, measured


class Step(BaseModel):
    """What one process took; `bare` is what the least that could be done took."""

    model_config = ConfigDict(frozen=True)

    layout: str
    name: str
    usage: Usage
    bare: Usage | None = None


class IngestCosts(BaseModel):
    """All steps in all layouts at one size."""

    model_config = ConfigDict(frozen=True)

    machine: Machine
    num_ratings: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = [
            str(self.machine),
            f"{self.num_ratings:,} ratings, {NUM_MOVIES:,} movies",
            "",
            "| layout | step | seconds | peak memory, GB | bare seconds | bare GB | ratio |",
            "|---|---|---:|---:|---:|---:|---:|",
        ]
        for step in self.steps:
            bare = ["", "", ""]
            if step.bare:
                ratio = step.usage.seconds / step.bare.seconds
                bare = [f"{step.bare.seconds:.1f}", _gigabytes(step.bare), f"{ratio:.2f}"]
            cells = [f"{step.usage.seconds:.1f}", _gigabytes(step.usage), *bare]
            lines.append(f"| {step.layout} | {step.name} | {' | '.join(cells)} |")
        return "\n".join(lines)


def run_steps(home: Path, num_ratings: int, layout: str, sample: Path | None) -> Iterator[Step]:
    """The steps in one layout; everything lies in `home`, which must be new.

    Args:
        home: a folder to make.
        num_ratings: of the sample; its users are as many as Netflix has to so many ratings.
        layout: of the sample.
        sample: a sample of that size and layout, where there is one already.
    """
    if not sample:
        sample = home / "sample"
        size = [f"--ratings={num_ratings}", f"--users={num_users_of(num_ratings)}"]
        shape = [*size, f"--movies={NUM_MOVIES}", f"--layout={layout}"]
        measured(["deeprec.cli", "sample", str(sample), *shape, "--json"])
    home.mkdir(parents=True, exist_ok=True)
    at = ["--home", str(home / "home"), "--json"]
    _, bare = measured(["benchmarks.bare", "take-in", str(sample), str(home / "bare.duckdb")])
    (home / "bare.duckdb").unlink()
    _, usage = measured(["deeprec.cli", "ingest", str(sample), *at])
    yield Step(layout=layout, name="ingest", usage=usage, bare=bare)
    unsorted = home / "unsorted.duckdb"
    shutil.copy(home / "home" / "warehouse.duckdb", unsorted)
    _, bare = measured(["benchmarks.bare", "sort", str(unsorted)])
    unsorted.unlink()
    _, both = measured(["deeprec.cli", "materialize", *at])
    _, split = measured(["deeprec.cli", "materialize", *at, "--set=split.seed=1"])
    vectors = Usage(
        seconds=both.seconds - split.seconds,
        cpu_seconds=both.cpu_seconds - split.cpu_seconds,
        peak_bytes=both.peak_bytes,
    )
    yield Step(layout=layout, name="vectors", usage=vectors, bare=bare)
    yield Step(layout=layout, name="split", usage=split)
    yield Step(layout=layout, name="materialize", usage=both)


def _gigabytes(usage: Usage) -> str:
    return f"{usage.peak_bytes / 1e9:.2f}"


def main(
    home: Annotated[Path, typer.Option(help="A folder for what is made; must not exist.")],
    ratings: Annotated[str, typer.Option(help="The size, as 1e7.")] = "3e6",
    layouts: Annotated[str, typer.Option(help="Raw layouts.")] = "netflix-combined,netflix-folder",
    sample: Annotated[
        Path | None, typer.Option(help="A sample of that size and the one layout asked for.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="The report, for a program.")
    ] = None,
) -> None:
    """Run the steps in each layout and print the table."""
    num_ratings = int(float(ratings))
    steps: list[Step] = []
    for layout in layouts.split(","):
        for step in run_steps(home / layout, num_ratings, layout, sample):
            steps.append(step)
            typer.echo(f"{layout} {step.name}: {step.usage.seconds:.1f} s", err=True)
    report = IngestCosts(machine=this_machine(), num_ratings=num_ratings, steps=tuple(steps))
    typer.echo(str(report))
    if json_file:
        json_file.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
