"""The benchmark of the dense write as a person runs it, at the smallest size with every movie."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_dense_write_is_set_beside_an_insert_of_the_same_rows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.dense_write", "--ratings", "2e4", "--home", "home"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert 0 == done.returncode, done.stderr
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    (row,) = [cells for cells in lines if len(cells) == 6 and cells[0][0].isdigit()]
    num_rows, scored, bare, ratio, num_bytes, peak = (float(cell.replace(",", "")) for cell in row)
    assert num_rows % 17_770 == 0
    assert min(scored, bare, ratio, peak) > 0
    assert 0.3 < num_bytes < 12
    reads = lines[-5:]
    assert "every movie's mean" == reads[-1][0]
    assert min(float(wait) for _, *waits in reads for wait in waits) > 0
