"""What is said of optimizers."""

import pytest

from deeprec.config.loading import load_config


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [("sgd", False), ("adam", False), ("adamw", False), ("lbfgs", True), ("rprop", True)],
)
def test_some_optimizers_take_everything_at_once(optimizer: str, expected: bool) -> None:
    train = load_config(None, [f"train.optimizer={optimizer}"]).train
    assert expected == train.takes_everything
