"""What a person sees: progress while a stage runs, its report when it ends."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from pydantic import BaseModel
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from deeprec.metrics.breakdowns import BreakdownTable, Group, breakdown_tables
from deeprec.progress import Progress

_WIDEST_TABLE = 7  # columns; wider rows are shown a line a field
_LONGEST_BREAKDOWN = 20  # rows; of more, which months can be, the last are shown
_LONGEST_NAME = 16  # letters; a few wide rows of short names stand side by side under them
_LINE_EVERY_S = 30.0  # where bars would not move, as in a log
_SMALL = 0.01  # below it, four decimals would say little
# Text is shown as it is: in titles, notes and paths, brackets and colons are no markup.
text_console = partial(Console, markup=False, emoji=False)


class _Amount(ProgressColumn):
    """How much is done of how much, in the stage's own unit."""

    def render(self, task: Task) -> Text:
        return Text(_amount(int(task.completed), task.total, task.fields["unit"]))


@contextmanager
def show_progress(console: Console) -> Iterator[Progress]:
    """Bars on a terminal; in a log or a pipe a line now and then."""
    if console.is_terminal:
        with _bars(console) as report:
            yield report
    else:
        yield ProgressLines(console)


class ProgressLines:
    """A line when a part of the work begins, every half minute after that, and when it ends."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._due_at: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        """Write, if it is time to."""
        now = self._clock()
        ended = total is not None and done >= total
        if not ended and now < self._due_at.get(what, now):
            return
        self._due_at[what] = now + _LINE_EVERY_S
        text = f"{what}: {_amount(done, total, unit)}" + (f", {note}" if note else "")
        self._console.print(text, highlight=False, soft_wrap=True)


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """One bar for each thing that the stage reports on."""
    one_line = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=one_line),
        BarColumn(bar_width=16),
        _Amount(table_column=one_line),
        TimeElapsedColumn(table_column=one_line),
        TextColumn("{task.fields[note]}", markup=False, table_column=one_line),
    )
    bars = Bars(*columns, console=console)
    tasks: dict[str, TaskID] = {}

    def report(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        if what not in tasks:
            bars.start()
            tasks[what] = bars.add_task(what, total=total, unit=unit, note=note)
        bars.update(tasks[what], completed=done, total=total, note=note)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()


def _amount(done: int, total: float | None, unit: str) -> str:
    """How much of how much."""
    shown = decimal if unit == "bytes" else "{:,.0f}".format
    of_total = f" of {shown(int(total))}" if total is not None else ""
    return f"{shown(done)}{of_total}" + ("" if unit == "bytes" else f" {unit}")


def print_report(console: Console, report: BaseModel) -> None:
    """A report as a person reads it: a line a field, then a table for rows of the same kind."""
    console.print(type(report).__name__.removesuffix("Report").lower(), style="bold")
    fields = Table(box=None, show_header=False, padding=(0, 2))
    fields.add_column(no_wrap=True)
    fields.add_column(overflow="fold")
    tables = _fill(fields, report)
    for part in (fields, *tables):
        if part.row_count:
            console.print(part)


def _fill(fields: Table, report: BaseModel) -> list[Table]:
    """Put single values into `fields`; rows of the same kind come back as tables of their own."""
    tables = []
    for name, value in report:
        if isinstance(value, BaseModel):
            fields.add_row(name.replace("_", " "), "")
            tables += _fill(fields, value)
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            tables += _rows(fields, value)
        elif value is not None and value != ():
            fields.add_row(name.replace("_", " "), _shown(value, name))
    for name in type(report).model_computed_fields:
        fields.add_row(name.replace("_", " "), _shown(getattr(report, name), name))
    return tables


def _rows(fields: Table, rows: tuple[BaseModel, ...]) -> list[Table]:
    """Rows of the same kind, in the form that fits them."""
    if groups := [row for row in rows if isinstance(row, Group)]:
        return [_breakdown(table) for table in breakdown_tables(groups)]
    if len(type(rows[0]).model_fields) <= _WIDEST_TABLE:
        return [_table(rows)]
    names = [str(next(iter(row))[1]) for row in rows]
    if 1 < len(rows) < _WIDEST_TABLE and max(map(len, names)) <= _LONGEST_NAME:
        return [_side_by_side(rows)]
    return [table for row in rows for table in _fill(fields, row)]


def _side_by_side(rows: tuple[BaseModel, ...]) -> Table:
    """A column a row, headed by its first field."""
    header, *fields = zip(*rows, strict=True)
    table = Table(box=None, padding=(0, 2), header_style="italic")
    table.add_column(header[0][0].replace("_", " "))
    for _, name in header:
        table.add_column(_shown(name), justify="right")
    for values in fields:
        table.add_row(values[0][0].replace("_", " "), *(_shown(value) for _, value in values))
    return table


def _breakdown(breakdown: BreakdownTable) -> Table:
    """A row a bucket."""
    title = f"\nby {breakdown.dimension}"
    table = Table(title=title, title_justify="left", box=None, header_style="italic")
    for place, name in enumerate(breakdown.header):
        table.add_column(name, justify="right" if place else "left")
    num_left_out = max(0, len(breakdown.rows) - _LONGEST_BREAKDOWN)
    if num_left_out:
        table.add_row(f"{num_left_out} more before")
    for row in breakdown.rows[num_left_out:]:
        table.add_row(*map(_shown, row))
    return table


def _table(rows: tuple[BaseModel, ...]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="italic")
    for name, value in rows[0]:
        numeric = isinstance(value, int | float)
        table.add_column(
            name.replace("_", " "),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=isinstance(value, datetime) or " " not in _shown(value),  # as ids are
        )
    for row in rows:
        table.add_row(*(_shown(value, name) for name, value in row))
    return table


def _several(values: Mapping[str, object] | tuple[object, ...]) -> str:
    """Named ones beside each other, others below each other."""
    if isinstance(values, tuple):
        return "\n".join(map(_shown, values)) or "none"
    return ", ".join(f"{key} {_shown(part)}" for key, part in values.items()) or "none"


def _shown(value: object, name: str = "") -> str:
    """Counts with their thousands apart, errors to four places, ids and the rest as they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value) if name.endswith("_id") else f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) >= _SMALL else f"{value:.3g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, dict | tuple):
        return _several(value)
    return "" if value is None else str(value)
