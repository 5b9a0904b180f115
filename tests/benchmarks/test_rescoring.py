"""The benchmark of scoring again as a person runs it, at the smallest size that has every movie."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_scoring_again_is_timed_both_ways_and_gives_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.rescoring", "--ratings", "2e4"]
    done = subprocess.run(
        [*command, "--home", str(tmp_path / "home"), "--changed", "0.1"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert 0 == done.returncode, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[-2:]]
    assert ["factored", "dense"] == [row[0] for row in rows]
    for _, num_users, num_scored, full, incremental, _, num_differing in rows:
        assert 0 < int(num_scored) < int(num_users)
        assert min(float(full), float(incremental)) > 0
        assert "0" == num_differing
