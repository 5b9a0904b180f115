"""Errors of predicted ratings: sums that merge, and the figures they give."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprec.errors import MetricError


@dataclass(frozen=True)
class Errors:
    """Sums over pairs of actual and predicted ratings; parts of a whole add up to the whole."""

    count: int = 0
    squared: float = 0.0
    absolute: float = 0.0

    @classmethod
    def of(
        cls, actual_R: npt.NDArray[np.floating], predicted_R: npt.NDArray[np.floating]
    ) -> "Errors":
        """The sums over R pairs, in double precision.

        Raises:
            MetricError: a prediction is missing or not finite, or the lengths differ.
        """
        if actual_R.shape != predicted_R.shape:
            raise MetricError(f"{actual_R.shape} ratings against {predicted_R.shape} predictions")
        missing = int(np.count_nonzero(~np.isfinite(predicted_R)))
        if missing:
            raise MetricError(f"{missing} of {predicted_R.size} predictions are missing")
        difference_R = predicted_R.astype(np.float64) - actual_R.astype(np.float64)
        return cls(
            int(difference_R.size),
            float(np.square(difference_R).sum()),
            float(np.abs(difference_R).sum()),
        )

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.count + other.count,
            self.squared + other.squared,
            self.absolute + other.absolute,
        )

    @property
    def rmse(self) -> float:
        """Root mean squared error, in rating units; an average of nothing raises MetricError."""
        return math.sqrt(self.squared / self._count())

    @property
    def mae(self) -> float:
        """Mean absolute error, in rating units; an average of nothing raises MetricError."""
        return self.absolute / self._count()

    def _count(self) -> int:
        if not self.count:
            raise MetricError("no pair of an actual and a predicted rating to average")
        return self.count
