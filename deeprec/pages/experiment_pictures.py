"""The pictures of an experiment's page, each where there is something to draw, with its words."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deeprec.evaluation.evaluate import BIAS, MODEL
from deeprec.experiments.comparison import SystemFigures
from deeprec.metrics.breakdowns import Dimension, Group
from deeprec.models.registry import Epoch
from deeprec.pages.experiment_plots import dropout_plot, width_plot
from deeprec.pages.plots import breakdown_plot, calibration_plot

_BY_BUCKET = (
    "RMSE on test of the best system and of the bias floor, over bars of how many test ratings "
    "there are; the first seed of the system that is best on dev."
)
_CALIBRATION = (
    "Mean actual against mean predicted rating in each bin of predictions; who is right on average "
    "lies on the diagonal. The first seed of the system that is best on dev."
)


@dataclass(frozen=True)
class Picture:
    """A picture as the page holds it, within itself."""

    title: str
    caption: str
    png: bytes

    @property
    def address(self) -> str:
        """A data URL."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


def width_picture(
    width_of: Mapping[str, int], curves: Mapping[str, Sequence[Epoch]]
) -> list[Picture]:
    """The poster's figure 3, of the widths that have been run."""
    shown = {f"{width}": curves[name] for name, width in width_of.items() if name in curves}
    if not shown:
        return []
    caption = "Error by epoch on train and dev, by width of the one hidden layer; the first seed."
    return [Picture("The poster's figure 3: one hidden layer", caption, width_plot(shown))]


def dropout_picture(
    rate_of: Mapping[str, float],
    curves: Mapping[str, Sequence[Epoch]],
    compared: Sequence[SystemFigures],
) -> list[Picture]:
    """The poster's figure 4, of the rates that have been run."""
    shown = {rate: curves[name] for name, rate in rate_of.items() if name in curves}
    dev = {row.system: row.dev for row in compared}
    kept = {rate: spread for name, rate in rate_of.items() if (spread := dev[name])}
    if len(kept) < 2:  # noqa: PLR2004 - one rate compares nothing
        return []
    caption = (
        "Left: error on dev by epoch for each rate, the first seed. Right: error of the epoch that "
        "was kept, mean and standard deviation over seeds."
    )
    return [Picture("The poster's figure 4: dropout", caption, dropout_plot(shown, kept))]


def breakdown_pictures(groups: Sequence[Group]) -> list[Picture]:
    """Where the best system is good: by activity, by popularity, and whether it is calibrated."""
    if not groups:
        return []
    floors = [group for group in groups if group.predictor in (MODEL, BIAS)]
    pictures = [
        Picture(f"Error by {dimension.meaning}", _BY_BUCKET, breakdown_plot(floors, dimension))
        for dimension in (Dimension.ACTIVITY, Dimension.POPULARITY)
    ]
    return [*pictures, Picture("Calibration", _CALIBRATION, calibration_plot(floors))]
