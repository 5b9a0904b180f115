"""`deeprec experiment`: the verbs of experiments, and their figures as a table.

Holds no logic of an experiment. Data goes to stdout, everything else to stderr.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from deeprec.commands.options import HomeOption, JsonOption, SetOption
from deeprec.commands.running import tell
from deeprec.commands.stages import import_stage
from deeprec.errors import ConfigError
from deeprec.home import Home
from deeprec.progress import Progress
from deeprec.splits import Seed

if TYPE_CHECKING:
    from deeprec.experiments.comparison import Published, SystemFigures

experiment_app = typer.Typer(
    help="Train and compare a set of systems under one protocol.", no_args_is_help=True
)
_WATCH_TEST = "train.watch_test=true"
_SEEDS = TypeAdapter(Annotated[tuple[Seed, ...], Field(min_length=1)])

SetArgument = Annotated[
    str, typer.Argument(metavar="SET", help="Name of an experiment set, as poster, or its folder.")
]


@experiment_app.command()
def run(
    experiment: SetArgument,
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="SOURCE", help="Folder, file or glob; repeatable."),
    ],
    protocol: Annotated[
        str, typer.Option("--protocol", help="Name of a protocol, or its TOML file.")
    ],
    seeds: Annotated[str, typer.Option("--seeds", help="One cell a system and seed.")] = "0",
    only: Annotated[str, typer.Option("--only", help="Systems, by name; else all.")] = "",
    *,
    override: SetOption = None,
    test_oracle: Annotated[
        bool,
        typer.Option("--test-oracle", help="Also record the best test RMSE; it decides nothing."),
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run every cell that has not been run yet, and print the table."""
    told = {
        "experiment": experiment,
        "sources": tuple(data),
        "protocol": protocol,
        "seeds": _seeds(seeds),
        "only": _listed(only),
        "overrides": (*(override or ()), *([_WATCH_TEST] if test_oracle else [])),
    }

    def stage(progress: Progress) -> BaseModel:
        config = import_stage("experiments.sets").ExperimentConfig(**told)
        report: BaseModel = import_stage("experiments.experiment").run_experiment(
            Home.locate(home), config, progress
        )
        return report

    tell(stage, as_json=as_json, show=_show)


@experiment_app.command()
def report(
    experiment: SetArgument,
    output: Annotated[
        Path | None, typer.Option("--output", help="HTML file; else in the experiments' home.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the page of an experiment: published and measured side by side, with pictures."""

    def stage(progress: Progress) -> BaseModel:
        del progress  # a page takes a moment
        cells_home = import_stage("experiments.cells").experiments_home(Home.locate(home))
        page: BaseModel = import_stage("pages.experiment").write_report(
            cells_home, experiment, output
        )
        return page

    tell(stage, as_json=as_json, show=_show)


def _show(data: Console, report: BaseModel) -> None:
    """Single values as lines, lists of text beneath them, the systems as a table."""
    for name, value in report:
        if name == "systems":
            continue
        shown = value if not isinstance(value, tuple) else "; ".join(value) or "none"
        _say(data, f"{name.replace('_', ' ')}: {shown}")
    systems: Sequence[SystemFigures] = getattr(report, "systems", ())
    if not systems:
        return
    data.print(_table([row for row in systems if row.verdict != "not run"]))
    not_run = [row.system for row in systems if row.verdict == "not run"]
    _say(data, f"not run: {', '.join(not_run) or 'none'}")
    _say(data, "* published for another protocol or other data: not to be compared")
    for row in systems:
        for failure in row.failures:
            _say(data, f"{row.system}: {failure}")


def _table(systems: Sequence["SystemFigures"]) -> Table:
    """One row a system; mean and standard deviation over seeds."""
    table = Table(box=None, padding=(0, 1), header_style="italic")
    headers = ("seeds", "epochs", "dev", "test", "best on test", "bias floor", "published")
    table.add_column("system", no_wrap=True)
    for header in (*headers, "seconds", "verdict"):
        table.add_column(header)
    for row in systems:
        table.add_row(
            row.system,
            ", ".join(map(str, row.seeds)),
            row.epochs,
            *(_figure(figure) for figure in (row.dev, row.test, row.oracle, row.test_bias)),
            "\n".join(map(_beside, row.published)),
            "" if row.seconds is None else f"{row.seconds:,.0f}",
            row.verdict,
        )
    return table


def _say(data: Console, text: str) -> None:
    data.print(text, highlight=False)


def _beside(published: "Published") -> str:
    """A published figure, its part and note, with a star where it is no comparison."""
    star = "" if published.same_protocol else "*"
    note = f", {published.figure.note}" if published.figure.note else ""
    return f"{published.figure.rmse:.3f}{star} {published.figure.part}{note}"


def _figure(figure: object) -> str:
    return "" if figure is None else str(figure)


def _listed(text: str) -> tuple[str, ...]:
    """The words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _seeds(text: str) -> tuple[int, ...]:
    """Whole numbers between commas."""
    try:
        return _SEEDS.validate_python(_listed(text))
    except ValidationError as error:
        expected = "expected whole numbers below 2^63, such as 0,1,2"
        raise ConfigError(f"--seeds {text}: {expected}") from error
