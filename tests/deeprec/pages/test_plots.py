"""Pictures: a PNG of moderate size with a line for each series that was measured."""

import math
import struct
from datetime import date

import pytest

from deeprec.metrics.breakdowns import Dimension, Group
from deeprec.models.registry import Epoch
from deeprec.pages.plots import breakdown_plot, calibration_plot, learning_curve, live_plot
from deeprec.warehouse.live import LiveMetric


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


def live(num_ratings: int, rmse: float, run_id: str = "first") -> LiveMetric:
    return LiveMetric(
        measured_on=date(2005, 3, 1),
        run_id=run_id,
        bundle_id="tiny",
        segment="all",
        bucket="all",
        num_ratings=num_ratings,
        rmse=rmse,
        mae=rmse,
        mean_error=0.0,
    )


def test_runs_that_were_measured_on_one_day_count_together() -> None:
    both = live_plot([live(1, 3.0), live(3, 1.0, "second")])
    assert live_plot([live(4, math.sqrt(3.0))]) == both


def group(predictor: str, dimension: Dimension, bucket: str, mean_predicted: float) -> Group:
    return Group(
        predictor=predictor,
        dimension=dimension,
        bucket=bucket,
        num_ratings=10,
        rmse=mean_predicted / 4,
        mae=0.5,
        mean_actual=3.1,
        mean_predicted=mean_predicted,
    )


CALIBRATION = [
    group("model", Dimension.CALIBRATION, "2 to 2.25", 2.2),
    group("model", Dimension.CALIBRATION, "4 to 4.25", 4.1),
    group("global mean", Dimension.CALIBRATION, "3.5 to 3.75", 3.6),
]
MONTHS = [
    group(predictor, Dimension.MONTH, f"{year}-{month:02}", mean)
    for predictor, mean in {"model": 3.5, "bias": 3.6}.items()
    for year in (2004, 2005)
    for month in range(1, 13)
]


def test_calibration_is_a_square_of_its_own_groups() -> None:
    png = calibration_plot(CALIBRATION)
    assert size(png) == (484, 484)
    assert len(png) < 60_000
    assert png == calibration_plot([*MONTHS, *CALIBRATION])
    assert png != calibration_plot(CALIBRATION[:2])


def test_a_breakdown_has_a_line_for_each_predictor() -> None:
    png = breakdown_plot(MONTHS, Dimension.MONTH)
    assert size(png) == (770, 396)
    assert len(png) < 80_000
    assert png == breakdown_plot([*CALIBRATION, *MONTHS], Dimension.MONTH)
    assert png != breakdown_plot(MONTHS[:24], Dimension.MONTH)


def test_a_breakdown_of_one_bucket_is_a_picture_too() -> None:
    assert size(breakdown_plot(MONTHS[:1], Dimension.MONTH)) == (770, 396)


def test_predictors_are_not_compared_by_bins_that_hold_other_ratings_for_each() -> None:
    with pytest.raises(AssertionError):
        breakdown_plot(CALIBRATION, Dimension.CALIBRATION)
