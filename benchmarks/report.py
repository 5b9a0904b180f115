"""The accuracy benchmark's report, and how a person reads it: one table of RMSE and seconds."""

from statistics import mean, stdev

from pydantic import BaseModel, ConfigDict
from rich import box
from rich.table import Table

from benchmarks.machine import Machine
from deeprec.commands.terminal import text_console
from deeprec.splits import Part

_WIDE = 1000  # columns: a table that was cut to a terminal could not be pasted
_HEADER = ("system", "version", "settings", "dev RMSE", "test RMSE", "fit s", "predict s", "note")
_NUMERIC = ("dev RMSE", "test RMSE", "fit s", "predict s")


class SystemFigures(BaseModel):
    """One system: a figure for each seed, errors in rating units, times in seconds.

    Without figures, `note` says why. Times are of the last fit and of predicting the test part;
    `cpu` counts all threads and is empty where it was not measured.
    """

    model_config = ConfigDict(frozen=True)

    system: str
    version: str | None = None
    settings: dict[str, int | float | str] = {}
    dev_rmse: tuple[float, ...] = ()
    test_rmse: tuple[float, ...] = ()
    num_test: int = 0
    num_fallback: int = 0
    fit_s: tuple[float, ...] = ()
    fit_cpu_s: tuple[float, ...] = ()
    predict_s: tuple[float, ...] = ()
    predict_cpu_s: tuple[float, ...] = ()
    note: str = ""


class AccuracyReport(BaseModel):
    """Systems on the same split of the same ratings."""

    model_config = ConfigDict(frozen=True)

    sources: tuple[str, ...]
    config: str
    protocol: str | None
    data_digest: str
    num_users: int
    num_movies: int
    split: str
    split_id: str
    counts: dict[Part, int]
    seeds: tuple[int, ...]
    peers_see_dev: bool
    machine: Machine
    systems: tuple[SystemFigures, ...]


def answered_by_biases(num_pairs: int) -> str:
    """The note on test pairs of which a system itself can say nothing."""
    return f"{num_pairs:,} test pairs by biases: unseen user or movie"


def as_text(report: AccuracyReport) -> str:
    """What was compared on which machine, then the table, as Markdown."""
    table = Table(box=box.MARKDOWN)
    for name in _HEADER:
        table.add_column(name, justify="right" if name in _NUMERIC else "left")
    for figures in report.systems:
        table.add_row(*_cells(figures))
    console = text_console(width=_WIDE, color_system=None)
    with console.capture() as drawn:
        console.print(table)
    return f"{_heading(report)}\n\n{drawn.get().strip()}\n"


def as_line(figures: SystemFigures) -> str:
    """A row for whoever is waiting, or has to stop a run that takes hours."""
    named = zip(_HEADER, _cells(figures), strict=True)
    return ", ".join(f"{name} {cell}" for name, cell in named if cell)


def _heading(report: AccuracyReport) -> str:
    counts = ", ".join(f"{count:,} {part}" for part, count in report.counts.items())
    seen = "train, then train and dev for the test figure" if report.peers_see_dev else "train"
    return (
        f"{report.config}: {report.num_users:,} users, {report.num_movies:,} movies from "
        f"{' '.join(report.sources)}\n"
        f"{report.protocol or report.split} split: {counts}\n"
        f"seeds {', '.join(map(str, report.seeds))}; peers are fitted to {seen}\n"
        f"{report.machine}"
    )


def _cells(figures: SystemFigures) -> tuple[str, ...]:
    return (
        figures.system,
        figures.version or "",
        " ".join(f"{name}={value}" for name, value in figures.settings.items()),
        _mean_and_deviation(figures.dev_rmse),
        _mean_and_deviation(figures.test_rmse),
        _seconds(figures.fit_s, figures.fit_cpu_s),
        _seconds(figures.predict_s, figures.predict_cpu_s),
        figures.note,
    )


def _mean_and_deviation(values: tuple[float, ...]) -> str:
    """The mean over seeds, with the sample's standard deviation where there are several."""
    if not values:
        return ""
    return f"{mean(values):.4f}" + (f" +- {stdev(values):.4f}" if len(values) > 1 else "")


def _seconds(wall: tuple[float, ...], cpu: tuple[float, ...]) -> str:
    """Mean seconds on the clock, then those of all cores together."""
    if not wall:
        return ""
    return f"{mean(wall):.1f}" + (f" ({mean(cpu):.1f} cpu)" if cpu else "")
