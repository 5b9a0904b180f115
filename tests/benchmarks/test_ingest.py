"""The benchmark of taking ratings in as a person runs it, at the smallest size."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ingest import IngestCosts

ROOT = Path(__file__).parents[2]
LAYOUTS = ("netflix-combined", "netflix-folder")


@pytest.mark.long
def test_each_step_is_told_beside_the_least_that_could_be_done(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.ingest", "--ratings", "2e4"]
    done = subprocess.run(
        [*command, "--home", str(tmp_path / "home"), "--json", str(tmp_path / "report.json")],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert 0 == done.returncode, done.stderr
    report = IngestCosts.model_validate_json((tmp_path / "report.json").read_text())
    steps = [(step.layout, step.name, step.bare is not None) for step in report.steps]
    assert steps == [
        (layout, name, name in {"ingest", "vectors"})
        for layout in LAYOUTS
        for name in ("ingest", "vectors", "split", "materialize")
    ]
    assert 1 == done.stdout.count("| netflix-folder | vectors |")
