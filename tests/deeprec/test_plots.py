"""The learning curve: a PNG with a line for each series that was measured."""

import struct

from deeprec.plots import learning_curve
from deeprec.registry import Epoch


def epoch(number: int, train_rmse: float, dev_rmse: float | None) -> Epoch:
    return Epoch(
        member="model",
        epoch=number,
        train_rmse=train_rmse,
        dev_rmse=dev_rmse,
        test_rmse=None,
        learning_rate=0.005,
        seconds=1.0,
    )


def size(png: bytes) -> tuple[int, int]:
    """Width and height as its header states them."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_a_curve_is_a_png_of_moderate_size() -> None:
    png = learning_curve([epoch(1, 1.1, 1.0), epoch(2, 0.9, 0.95), epoch(3, 0.8, 0.97)], 2)
    assert size(png) == (770, 396)
    assert len(png) < 60_000


def test_a_run_without_dev_ratings_and_a_run_of_one_epoch_have_curves_too() -> None:
    without_dev = learning_curve([epoch(1, 1.1, None)], 1)
    with_dev = learning_curve([epoch(1, 1.1, 1.2)], 1)
    assert size(without_dev) == size(with_dev)
    assert without_dev != with_dev


def test_the_same_epochs_give_the_same_bytes() -> None:
    epochs = [epoch(1, 1.1, 1.0), epoch(2, 0.9, 0.95)]
    assert learning_curve(epochs, 2) == learning_curve(epochs, 2)
