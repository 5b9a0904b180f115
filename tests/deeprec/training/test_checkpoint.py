import logging
import os
import pickle
from pathlib import Path

import pytest
import torch

from deeprec.training import checkpoint

CPU = torch.device("cpu")


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.pt"
    for epoch in (1, 2):
        weights = torch.full((2, 3), float(epoch))
        checkpoint.save(path, "abc", {"weights": weights, "epoch": epoch})
    state = checkpoint.load(path, "abc", CPU)
    assert state is not None
    assert 2 == state["epoch"]
    assert torch.equal(torch.full((2, 3), 2.0), state["weights"])
    assert [path] == list(path.parent.iterdir())


def test_a_state_is_on_disk_before_it_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "run.pt", []
    checkpoint.save(path, "abc", {"epoch": 1})

    def look(file: int) -> None:
        synced.append(os.fstat(file))
        state = checkpoint.load(path, "abc", CPU)
        assert state == {"epoch": 1}

    monkeypatch.setattr(os, "fsync", look)
    checkpoint.save(path, "abc", {"epoch": 2})
    saved = path.stat()
    assert [(saved.st_ino, saved.st_size)] == [(each.st_ino, each.st_size) for each in synced]


def test_a_missing_file_is_no_state(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "none.pt", "abc", CPU) is None


def test_another_runs_state_is_ignored_and_said_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.pt"
    checkpoint.save(path, "abc", {"epoch": 1})
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load(path, "abd", CPU) is None
    assert f"{path}: ignored, saved by a run of other data or settings" in caplog.text


class _Command:
    """Unpickles to a call; a loader that obeyed would be a way into the machine."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must not be printed",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"PK\x03\x04 nor a zip file",
        pickle.dumps(["of another shape"], protocol=2),
        pickle.dumps(_Command(), protocol=2),
    ],
    ids=["empty", "text", "broken zip", "list", "code"],
)
def test_a_file_that_is_no_checkpoint_is_ignored_and_said_to_be(
    tmp_path: Path,
    content: bytes,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load(path, "abc", CPU) is None
    assert "not a readable checkpoint" in caplog.text
    assert not capsys.readouterr().out


def test_a_file_cut_short_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    checkpoint.save(path, "abc", {"weights": torch.zeros(100, 100)})
    for length in (1, 100, path.stat().st_size // 2, path.stat().st_size - 1):
        cut = tmp_path / "cut.pt"
        cut.write_bytes(path.read_bytes()[:length])
        assert checkpoint.load(cut, "abc", CPU) is None
