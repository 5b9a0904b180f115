"""The benchmark of the published file's growth as a person runs it, at the smallest size."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_night_after_another_has_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.file_growth", "--ratings", "2e4"]
    done = subprocess.run(
        [*command, "--home", str(tmp_path / "home"), "--nights", "2", "--changed", "0.1"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert 0 == done.returncode, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[-3:]]
    assert ["0", "1", "2"] == [row[0] for row in rows]
    num_users = {int(row[1]) for row in rows}
    assert 1 == len(num_users)
    assert [*num_users, 10, 10] == [int(row[2]) for row in rows]
    assert all(float(row[3]) > 0 and float(row[4]) > 0 for row in rows)
