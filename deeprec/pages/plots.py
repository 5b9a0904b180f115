"""Pictures of training and evaluation, as PNG; what is in them is measured elsewhere."""

import io
from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deeprec.metrics.accuracy import Errors
from deeprec.metrics.breakdowns import Dimension, Group
from deeprec.models.registry import Epoch
from deeprec.warehouse.drift import Drift
from deeprec.warehouse.live import LiveMetric

_INCHES = (7.0, 3.6)
_SQUARE_INCHES = (4.4, 4.4)
_DOTS_PER_INCH = 110
_MOST_TICKS = 12  # named; more would run into each other
_LONGEST_TICK = 4  # letters; longer names are slanted
_LARGEST_MARKER = 200.0  # points squared, for a bin that holds every rating


def learning_curve(epochs: Sequence[Epoch], best_epoch: int) -> bytes:
    """RMSE on train and dev by epoch, with the epoch that was kept marked, as PNG."""
    axes = _new_axes(_INCHES)
    axes.plot([e.epoch for e in epochs], [e.train_rmse for e in epochs], ".-", label="train")
    measured = [(e.epoch, e.dev_rmse) for e in epochs if e.dev_rmse is not None]
    if measured:
        axes.plot(*zip(*measured, strict=True), ".-", label="dev")
    axes.axvline(best_epoch, color="0.6", linestyle=":", label=f"kept: epoch {best_epoch}")
    axes.set_xlabel("epoch")
    axes.set_ylabel("RMSE, rating units")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return _png(axes)


def calibration_plot(groups: Sequence[Group]) -> bytes:
    """Mean actual against mean predicted rating in each bin of predictions, as PNG.

    A predictor that is right on average lies on the diagonal; the area of a point is the share
    of ratings in its bin. Groups of other dimensions are passed over.
    """
    axes = _new_axes(_SQUARE_INCHES)
    by_predictor = _by_predictor(groups, Dimension.CALIBRATION)
    for predictor, bins in by_predictor.items():
        predicted = [group.mean_predicted for group in bins]
        actual = [group.mean_actual for group in bins]
        num_ratings = sum(group.num_ratings for group in bins)
        areas = [_LARGEST_MARKER * group.num_ratings / num_ratings for group in bins]
        (line,) = axes.plot(predicted, actual, ".-", linewidth=1.0, label=predictor)
        axes.scatter(predicted, actual, areas, color=line.get_color())
    ends = [group.mean_predicted for bins in by_predictor.values() for group in (bins[0], bins[-1])]
    diagonal = (min(ends), max(ends))
    axes.plot(diagonal, diagonal, color="0.6", linestyle=":", label="right on average")
    axes.set_xlabel("mean predicted rating")
    axes.set_ylabel("mean actual rating")
    axes.legend(frameon=False)
    return _png(axes)


def breakdown_plot(groups: Sequence[Group], dimension: Dimension) -> bytes:
    """RMSE of each predictor in each bucket of a dimension, over bars of how many ratings, as PNG.

    Groups of other dimensions are passed over. Calibration, whose buckets hold other ratings for
    each predictor, has a plot of its own.
    """
    assert dimension is not Dimension.CALIBRATION
    axes = _new_axes(_INCHES)
    by_predictor = _by_predictor(groups, dimension)
    counts = {group.bucket: group.num_ratings for group in next(iter(by_predictor.values()))}
    places = {bucket: place for place, bucket in enumerate(counts)}
    _bars_behind(axes).bar(list(places.values()), list(counts.values()), color="0.9")
    for predictor, parts in by_predictor.items():
        where = [places[part.bucket] for part in parts]
        axes.plot(where, [part.rmse for part in parts], ".-", label=predictor)
    step = -(-len(places) // _MOST_TICKS)
    axes.set_xticks(range(0, len(places), step), list(places)[::step])
    if max(map(len, places)) > _LONGEST_TICK:
        axes.tick_params("x", rotation=30)
    axes.set_xlabel(dimension.meaning)
    axes.set_ylabel("RMSE, rating units")
    axes.legend(frameon=False)
    return _png(axes)


def live_plot(days: Sequence[LiveMetric]) -> bytes:
    """RMSE of what was published over the ratings that came after it, by day, as PNG.

    Bars show how many ratings a day there were; those of a day on which several runs were
    published count together.
    """
    axes = _new_axes(_INCHES)
    errors: dict[date, Errors] = defaultdict(Errors)
    for each in days:
        if each.segment == "all":
            squared = each.num_ratings * each.rmse**2
            errors[each.measured_on] += Errors(count=each.num_ratings, squared=squared)
    names = sorted(errors)
    places = range(len(names))
    _bars_behind(axes).bar(places, [errors[day].count for day in names], color="0.9")
    axes.plot(places, [errors[day].rmse for day in names], "o-", label="published")
    step = -(-len(names) // _MOST_TICKS)
    axes.set_xticks(places[::step], [str(day) for day in names[::step]])
    axes.tick_params("x", rotation=30)
    axes.set_ylabel("live RMSE, rating units")
    axes.legend(frameon=False)
    return _png(axes)


def drift_plot(drift: Sequence[Drift], warn_psi: float, block_psi: float) -> bytes:
    """Population stability index of each published run against the one before it, as PNG."""
    axes = _new_axes(_INCHES)
    for quantity in dict.fromkeys(each.quantity for each in drift):
        values = [each.psi for each in drift if each.quantity == quantity]
        axes.plot(range(1, 1 + len(values)), values, ".-", label=quantity)
    axes.axhline(warn_psi, color="0.6", linestyle=":", label=f"warn: {warn_psi:g}")
    axes.axhline(block_psi, color="C3", linestyle=":", label=f"block: {block_psi:g}")
    axes.set_xlabel("published run")
    axes.set_ylabel("stability index")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return _png(axes)


def _bars_behind(axes: Axes) -> Axes:
    """Axes of their own for grey bars of how many ratings there are, behind the lines."""
    bars = axes.twinx()
    bars.set_ylabel("ratings", color="0.6")
    bars.yaxis.set_major_formatter("{x:,.0f}")
    bars.tick_params(colors="0.6")
    bars.spines[["top", "left", "right"]].set_visible(False)
    axes.set_zorder(bars.get_zorder() + 1)  # lines over bars
    axes.patch.set_visible(False)
    return bars


def _by_predictor(groups: Sequence[Group], dimension: Dimension) -> dict[str, list[Group]]:
    """The groups of one dimension, of each predictor in turn."""
    by_predictor: dict[str, list[Group]] = {}
    for group in groups:
        if group.dimension is dimension:
            by_predictor.setdefault(group.predictor, []).append(group)
    return by_predictor


def _new_axes(inches: tuple[float, float]) -> Axes:
    # A Figure of its own, without pyplot: no state shared between threads, no display sought.
    axes = Figure(figsize=inches, dpi=_DOTS_PER_INCH, layout="constrained").add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _png(axes: Axes) -> bytes:
    png = io.BytesIO()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()
