"""An epoch beside its bounds, and either precision, at the smallest size that has every movie."""

from pathlib import Path

import pytest
import torch

from benchmarks.epoch import Work, run_epochs
from benchmarks.night import run_night
from benchmarks.precision import compare_precisions

NUM_RATINGS = 20_000


def test_the_work_of_an_epoch_by_hand() -> None:
    """Two users of three columns, two ratings each; layers of 5 and 7: one step, one re-fed."""
    plain, refed = (Work.of(2, 3, 4, (5, 7), refed) for refed in (0, 1))
    num_weights = 2 * (3 * 5 + 5 * 7)
    rated = 5 * 4 * 5
    assert 4 * (rated + 6 * num_weights) == plain.num_bytes
    assert 2 * (rated + 3 * 2 * 35 * 2) == plain.num_operations
    assert 4 * (rated + 2 * 6 * num_weights + 24 * 2 * 3) == refed.num_bytes
    assert 2 * (rated + 2 * 3 * 2 * 35 * 2 + 6 * 15 * 2) == refed.num_operations


@pytest.mark.long
def test_epochs_and_precisions_are_compared(tmp_path: Path) -> None:
    list(run_night(tmp_path / "night", NUM_RATINGS, "factored"))
    found = list(run_epochs(tmp_path / "night" / "home", torch.device("cpu"), 64))
    assert [(precision, refed) for refed in (0, 1) for precision in ("float32", "bfloat16")] == [
        (figures.precision, figures.refeed_steps) for figures in found
    ]
    for figures in found:
        numbers = figures.model_dump(exclude={"hidden_layers", "refeed_steps", "precision"})
        assert min(numbers.values()) > 0
    settings = ["--set=train.num_epochs=2", "--set=train.batch_size=64"]
    sample = tmp_path / "night" / "sample"
    wide, narrow = compare_precisions(sample, tmp_path / "both", settings, [0, 1])
    assert ("float32", "bfloat16") == (wide.precision, narrow.precision)
    assert len(wide.dev_rmse) == len(narrow.dev_rmse) == 2
    assert wide.dev_rmse == pytest.approx(narrow.dev_rmse, abs=0.02)
