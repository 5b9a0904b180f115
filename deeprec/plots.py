"""Pictures of a training run, as PNG; what is in them is measured elsewhere."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deeprec.registry import Epoch

_INCHES = (7.0, 3.6)
_DOTS_PER_INCH = 110


def learning_curve(epochs: Sequence[Epoch], best_epoch: int) -> bytes:
    """RMSE on train and dev by epoch, with the epoch that was kept marked, as PNG."""
    # A Figure of its own, without pyplot: no state shared between threads, no display sought.
    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([e.epoch for e in epochs], [e.train_rmse for e in epochs], ".-", label="train")
    measured = [(e.epoch, e.dev_rmse) for e in epochs if e.dev_rmse is not None]
    if measured:
        axes.plot(*zip(*measured, strict=True), ".-", label="dev")
    axes.axvline(best_epoch, color="0.6", linestyle=":", label=f"kept: epoch {best_epoch}")
    axes.set_xlabel("epoch")
    axes.set_ylabel("RMSE, rating units")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()
