"""What a report looks like on a terminal of a hundred columns."""

import io

import pytest
from pydantic import BaseModel
from rich.console import Console

from deeprec.commands.terminal import ProgressLines, print_report, show_progress, text_console
from deeprec.evaluation.evaluate import BIAS, MODEL, EvaluateReport
from deeprec.metrics.breakdowns import Dimension, Group
from deeprec.models.registry import Evaluation
from deeprec.splits import Part


def printed(report: BaseModel) -> list[str]:
    """The lines without what is at their ends."""
    console = text_console(file=io.StringIO(), width=100)
    print_report(console, report)
    assert isinstance(console.file, io.StringIO)
    return [line.strip() for line in console.file.getvalue().splitlines()]


def squeezed(report: BaseModel) -> list[str]:
    """The lines with one blank between words."""
    return [" ".join(line.split()) for line in printed(report)]


def cells(lines: list[str]) -> list[list[str]]:
    return [line.split() for line in lines]


def evaluation(predictor: str, rmse: float) -> Evaluation:
    return Evaluation(
        predictor=predictor,
        num_ratings=1_200,
        num_cold=0,
        rmse=rmse,
        mae=0.7,
        unclipped_rmse=rmse,
        unclipped_mae=0.7,
        minus_bias=rmse - 0.9,
        minus_bias_low=rmse - 0.91,
        minus_bias_high=rmse - 0.89,
    )


def group(predictor: str, bucket: str, rmse: float, dimension: Dimension) -> Group:
    return Group(
        predictor=predictor,
        dimension=dimension,
        bucket=bucket,
        num_ratings=1_200,
        rmse=rmse,
        mae=0.7,
        mean_actual=3.5,
        mean_predicted=3.25,
    )


def report(*groups: Group) -> EvaluateReport:
    figures = (evaluation(MODEL, 0.85), evaluation(BIAS, 0.9))
    return EvaluateReport(bundle_id="poster", part=Part.TEST, figures=figures, groups=groups)


def test_figures_too_wide_for_a_table_stand_side_by_side() -> None:
    lines = cells(printed(report()))
    assert ["predictor", "model", "bias"] in lines
    assert ["num", "ratings", "1,200", "1,200"] in lines
    assert ["rmse", "0.8500", "0.9000"] in lines
    assert ["minus", "bias", "low", "-0.0600", "-0.0100"] in lines


def test_the_verdict_is_among_the_fields() -> None:
    text = " ".join(printed(report()))
    assert "verdict      The model beats its bias floor by 0.0500 RMSE" in text


def test_a_breakdown_has_a_row_a_bucket_and_a_column_a_predictor() -> None:
    lines = printed(
        report(
            group(MODEL, "1-9", 0.95, Dimension.ACTIVITY),
            group(MODEL, "4 to 4.25", 0.8, Dimension.CALIBRATION),
            group(BIAS, "1-9", 0.97, Dimension.ACTIVITY),
            group(BIAS, "3 to 3.25", 0.81, Dimension.CALIBRATION),
        )
    )
    assert ["1-9", "1,200", "3.5000", "0.9500", "0.9700"] in cells(lines)
    assert ["4", "to", "4.25", "1,200", "3.2500", "3.5000", "0.8000"] in cells(lines)
    assert "by activity" in lines
    assert "by calibration" in lines
    assert not any(line.startswith("3 to 3.25") for line in lines)


def test_of_many_months_the_last_are_shown() -> None:
    months = [f"{year}-{month:02}" for year in (2004, 2005) for month in range(1, 13)]
    lines = printed(report(*(group(MODEL, month, 0.9, Dimension.MONTH) for month in months)))
    assert "4 more before" in lines
    assert months[4:] == [line.split()[0] for line in lines if line.startswith("200")]


class Source(BaseModel):
    source: str
    kept: int = 1
    read: int = 1
    replaced: int = 0
    rejected: int = 0
    files: int = 1
    unchanged: int = 0
    reasons: dict[str, int] = {}


class Sources(BaseModel):
    sources: tuple[Source, ...]


@pytest.mark.parametrize(
    "names", [["/a/long/path/to/ratings.csv", "b"], ["alone"], list("abcdefghij")]
)
def test_other_wide_rows_are_shown_a_line_a_field(names: list[str]) -> None:
    lines = cells(printed(Sources(sources=tuple(Source(source=name) for name in names))))
    assert [["source", name] for name in names] == [
        line for line in lines if line[:1] == ["source"]
    ]
    assert len(names) == lines.count(["reasons", "none"])


class Row(BaseModel):
    title: str
    reason: str


class Rows(BaseModel):
    note: str
    rows: tuple[Row, ...]


@pytest.mark.parametrize("text", ["a [/x]", "[director's cut]", "deeprec[s3]", ":bomb:"])
def test_text_of_others_is_shown_as_it_is(text: str) -> None:
    rows = Rows(note=text, rows=(Row(title=text, reason=text),))
    assert ["rows", f"note {text}", "title reason", f"{text} {text}"] == squeezed(rows)
    assert f"source {text} b" in squeezed(
        Sources(sources=(Source(source=text), Source(source="b")))
    )
    assert f"{text} 1,200 3.5000 0.9000" in squeezed(
        report(group(MODEL, text, 0.9, Dimension.RATING))
    )


def test_no_rows_are_not_shown_at_all() -> None:
    assert ["sources"] == printed(Sources(sources=()))


class Clock:
    """A clock that stands still between the times that it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def written(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_progress_in_a_log_is_a_line_at_the_start_every_half_minute_and_at_the_end() -> None:
    console, clock = text_console(file=io.StringIO(), width=20), Clock()
    tell = ProgressLines(console, clock)
    for second in range(50):
        clock.now = float(second)
        tell("train", second * 100, 4_900, "epochs", "dev RMSE [0.9]")
    assert [
        "train: 0 of 4,900 epochs, dev RMSE [0.9]",
        "train: 3,000 of 4,900 epochs, dev RMSE [0.9]",
        "train: 4,900 of 4,900 epochs, dev RMSE [0.9]",
    ] == written(console)


def test_each_part_of_the_work_has_lines_of_its_own() -> None:
    console = text_console(file=io.StringIO())
    tell = ProgressLines(console, Clock())
    tell("read", 1_000, None, "bytes")
    tell("sort", 1, 2, "parts")
    assert ["read: 1.0 kB", "sort: 1 of 2 parts"] == written(console)


def test_what_is_no_terminal_gets_lines_that_do_not_move() -> None:
    console = text_console(file=io.StringIO())
    with show_progress(console) as tell:
        tell("read", 1, 3, "files")
        tell("read", 3, 3, "files")
    assert ["read: 1 of 3 files", "read: 3 of 3 files"] == written(console)


def test_a_terminal_gets_a_bar() -> None:
    console = text_console(file=io.StringIO(), force_terminal=True, width=80)
    with show_progress(console) as tell:
        tell("read [/x]", 3, 3, "files", "whole [sic]")
    (last,) = [line for line in written(console) if "read [/x]" in line][-1:]
    assert "━━━" in last
    assert "3 of 3 files" in last
    assert "whole [sic]" in last
