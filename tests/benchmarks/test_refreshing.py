"""Both ways give the same vectors, and the table says so."""

from pathlib import Path

import pytest

from benchmarks.refreshing import materialize, num_differing, prepare


@pytest.mark.long
@pytest.mark.parametrize("moving", [False, True])
def test_touched_users_are_set_beside_everybody(tmp_path: Path, moving: bool) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert 5 == prepare(home, 20_000, 0.05, moving=moving)
    assert 96 <= materialize(home / "anew")[0] <= 100
    assert 5 == materialize(home / "touched")[0]
    assert 0 == num_differing(home)
