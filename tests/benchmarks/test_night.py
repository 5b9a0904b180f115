"""The night's benchmark as a person runs it, at the smallest size that has every movie."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.machine import this_machine
from benchmarks.night import NightReport, StageCost, draw_costs
from benchmarks.queries import time_queries

ROOT = Path(__file__).parents[2]
STAGES = ["sample", "ingest", "materialize", "train", "score"]


@pytest.mark.long
def test_a_night_tells_what_each_stage_took(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.night", "--ratings", "2e4"]
    done = subprocess.run(
        [*command, "--home", str(tmp_path / "home"), "--json", str(tmp_path / "report.json")],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert 0 == done.returncode, done.stderr
    report = NightReport.model_validate_json((tmp_path / "report.json").read_text())
    assert STAGES == [cost.stage for cost in report.costs]
    rows = {cost.stage: cost.num_rows for cost in report.costs}
    assert 20_000 == rows["sample"] == rows["ingest"] == rows["materialize"]
    assert rows["train"] * 17_770 == rows["score"]
    for cost in report.costs:
        assert min(cost.seconds, cost.cpu_seconds, cost.peak_bytes, cost.disk_bytes) > 0
    assert "| 20,000 | score |" in done.stdout
    published = tmp_path / "home" / "2e4" / "home" / "predictions.duckdb"
    asked = {
        name: (num_rows, len(waits)) for name, num_rows, waits in time_queries(published, 3, 0)
    }
    assert {
        "a user's every movie": (17_770, 3),
        "one pair": (1, 3),
        "a movie for every user": (rows["train"], 3),
        "a user's recommendations": (10, 3),
    } == asked


def test_a_slope_is_that_of_the_logarithms(tmp_path: Path) -> None:
    costs = tuple(
        StageCost(
            num_ratings=10**power,
            stage="ingest",
            seconds=3 * 10.0 ** (2 * power),
            cpu_seconds=1,
            peak_bytes=1,
            disk_bytes=1,
            num_rows=1,
        )
        for power in (2, 3, 4)
    )
    report = NightReport(machine=this_machine(), storage="dense", costs=costs)
    assert pytest.approx(2) == report.slope("ingest")
    assert "slopes: ingest 2.00" in str(report)
    draw_costs(report, tmp_path / "costs.svg")
    assert "<!-- ingest, slope 2.00 -->" in (tmp_path / "costs.svg").read_text()
