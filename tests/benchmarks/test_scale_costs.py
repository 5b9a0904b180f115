"""The arithmetic of docs/scale.md: in proportion, and quoted as it is printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scale_costs import Prices, Stage, breaking_points, stages

ROOT = Path(__file__).parents[2]
SCALE = (ROOT / "docs" / "scale.md").read_text()


def printed() -> str:
    command = [sys.executable, "-m", "benchmarks.scale_costs"]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_the_page_quotes_every_row_that_is_printed_and_no_other() -> None:
    rows = [line for line in printed().splitlines() if re.match(r"\| .*\d", line)]
    assert len(rows) > 30
    quoted = [line for line in SCALE.splitlines() if re.match(r"\| .*\d", line)]
    assert rows == quoted


def test_ten_times_the_users_cost_ten_times_as_much_but_for_the_model() -> None:
    for one, ten in zip(stages(1e6, 50), stages(1e7, 50), strict=True):
        assert 10 * one.core_s == pytest.approx(ten.core_s)
        assert 10 * one.operations == pytest.approx(ten.operations)
        factor = 1 if one.name.startswith("train") else 10
        assert factor * one.num_bytes == pytest.approx(ten.num_bytes)


def test_money_is_computing_storage_and_requests() -> None:
    stage = Stage(name="score", core_s=7200, num_bytes=2**23 * 3, operations=0, copies=2)
    computing = Prices(core_hour=0.5, gb_month=0, million_requests=0)
    storage = Prices(core_hour=0, gb_month=30, million_requests=0)
    requests = Prices(core_hour=0, gb_month=0, million_requests=1e6)
    assert 1 == pytest.approx(stage.dollars(computing))
    assert 2 * 3 * 2**23 / 1e9 == pytest.approx(stage.dollars(storage))
    assert 3 == pytest.approx(stage.dollars(requests))


def test_what_breaks_first_comes_first() -> None:
    lines = [line for line in breaking_points(80) if line.startswith("|")][2:]
    movies = [int(line.split("|")[2].replace(",", "")) for line in lines]
    assert sorted(movies) == movies
    assert 2**31 // 1024 == movies[0]  # two layers of 128 floats a movie
    assert 80_000_000_000 // 4096 in movies  # weights, gradients and two moments
