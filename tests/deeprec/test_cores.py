"""What a container may use of a machine."""

from pathlib import Path

import pytest

from deeprec.cores import num_cores


@pytest.mark.parametrize(
    ("told", "expected"),
    [("200000 100000\n", 2), ("150000 100000\n", 1), ("50000 100000\n", 1), ("max 100000\n", 8)],
)
def test_a_share_of_the_processor_counts_as_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    quota = tmp_path / "cpu.max"
    quota.write_text(told)
    assert expected == num_cores(quota)
    assert 8 == num_cores(tmp_path / "absent")
