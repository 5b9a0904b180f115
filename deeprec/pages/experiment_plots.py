"""Pictures of systems side by side, as PNG; what is in them is measured elsewhere."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deeprec.experiments.comparison import Spread
from deeprec.models.registry import Epoch

_DOTS_PER_INCH = 150
_INCHES = (8.0, 3.6)


def width_plot(curves: Mapping[str, Sequence[Epoch]]) -> bytes:
    """Train and dev RMSE by epoch, one colour a system, as PNG: the poster's figure 3."""
    figure = _new_figure()
    axes = _new_axes(figure, "epoch", "RMSE, rating units", position=111)
    for place, (label, epochs) in enumerate(curves.items()):
        colour = f"C{place}"
        numbers = [epoch.epoch for epoch in epochs]
        train = [epoch.train_rmse for epoch in epochs]
        axes.plot(numbers, train, "--", color=colour, label=f"{label}, train")
        axes.plot(*_on_dev(epochs), ".-", color=colour, label=f"{label}, dev")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _png(figure)


def dropout_plot(curves: Mapping[float, Sequence[Epoch]], kept: Mapping[float, Spread]) -> bytes:
    """Dev RMSE by epoch for each rate, and of the epoch kept by rate: the poster's figure 4, PNG.

    Args:
        curves: of one seed, by dropout rate.
        kept: over seeds, by dropout rate; bars are one standard deviation.
    """
    figure = _new_figure()
    axes = _new_axes(figure, "epoch", "dev RMSE, rating units", position=121)
    for rate, epochs in curves.items():
        axes.plot(*_on_dev(epochs), ".-", label=f"dropout {rate:g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    axes = _new_axes(figure, "dropout after each encoder layer", "dev RMSE kept", position=122)
    deviations = [spread.deviation or 0.0 for spread in kept.values()]
    means = [spread.mean for spread in kept.values()]
    axes.errorbar(list(kept), means, deviations, fmt="o-", color="0.3", capsize=3)
    return _png(figure)


def _on_dev(epochs: Sequence[Epoch]) -> tuple[list[int], list[float]]:
    """The epochs that were measured on dev, and their errors there."""
    measured = [(epoch.epoch, epoch.dev_rmse) for epoch in epochs if epoch.dev_rmse is not None]
    return [number for number, _ in measured], [rmse for _, rmse in measured]


def _new_figure() -> Figure:
    # A Figure of its own, without pyplot: no state shared between threads, no display sought.
    return Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")


def _new_axes(figure: Figure, across: str, up: str, position: int) -> Axes:
    axes = figure.add_subplot(position)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _png(figure: Figure) -> bytes:
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()
