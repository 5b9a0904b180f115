"""Errors of predicted ratings: sums that merge, and the figures they give.

Shape legend: R pairs of an actual and a predicted rating, G groups of pairs, K sums behind an
error.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from deeprec.errors import MetricError

Ratings = npt.NDArray[np.floating]
Sums = npt.NDArray[np.float64]
_PAIRS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Errors:
    """Sums over pairs of actual and predicted ratings; parts of a whole add up to the whole."""

    count: int = 0
    squared: float = 0.0
    absolute: float = 0.0
    actual: float = 0.0
    predicted: float = 0.0

    @classmethod
    def of(cls, actual_R: Ratings, predicted_R: Ratings) -> "Errors":
        """The sums over R pairs, in double precision.

        Raises:
            MetricError: a prediction is missing or not finite, or the lengths differ.
        """
        _require_complete(actual_R, predicted_R)
        whole = cls()
        for pairs in _chunks(actual_R.size):
            terms = _terms(actual_R[pairs], predicted_R[pairs])
            whole += cls(terms[0].size, *(float(term_R.sum()) for term_R in terms))
        return whole

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.count + other.count,
            self.squared + other.squared,
            self.absolute + other.absolute,
            self.actual + other.actual,
            self.predicted + other.predicted,
        )

    @property
    def rmse(self) -> float:
        """Root mean squared error, in rating units; an average of nothing raises MetricError."""
        return math.sqrt(self.squared / self._count())

    @property
    def mae(self) -> float:
        """Mean absolute error, in rating units; an average of nothing raises MetricError."""
        return self.absolute / self._count()

    @property
    def mean_actual(self) -> float:
        """Mean of the actual ratings; an average of nothing raises MetricError."""
        return self.actual / self._count()

    @property
    def mean_predicted(self) -> float:
        """Mean of the predicted ratings; an average of nothing raises MetricError."""
        return self.predicted / self._count()

    def _count(self) -> int:
        if not self.count:
            raise MetricError("no pair of an actual and a predicted rating to average")
        return self.count


@dataclass(frozen=True)
class GroupedErrors:
    """The sums of `Errors` for each of G groups of pairs, which it gives one by one."""

    count_G: npt.NDArray[np.int64]
    squared_G: Sums
    absolute_G: Sums
    actual_G: Sums
    predicted_G: Sums

    @classmethod
    def of(
        cls,
        actual_R: Ratings,
        predicted_R: Ratings,
        group_R: npt.NDArray[np.integer],
        num_groups: int,
    ) -> "GroupedErrors":
        """The sums over the pairs of each group, in double precision.

        Raises:
            MetricError: a prediction is missing or not finite, or the lengths differ.
        """
        _require_complete(actual_R, predicted_R)
        sums_KG = np.zeros((4, num_groups))  # K: the sums behind the count
        for pairs in _chunks(actual_R.size):
            terms = _terms(actual_R[pairs], predicted_R[pairs])
            sums_KG += [np.bincount(group_R[pairs], term_R, num_groups) for term_R in terms]
        return cls(np.bincount(group_R, minlength=num_groups), *sums_KG)

    def __iter__(self) -> Iterator[Errors]:
        columns = (getattr(self, field.name).tolist() for field in fields(self))
        return (Errors(*sums) for sums in zip(*columns, strict=True))


def _require_complete(actual_R: Ratings, predicted_R: Ratings) -> None:
    if actual_R.shape != predicted_R.shape:
        raise MetricError(f"{actual_R.shape} ratings against {predicted_R.shape} predictions")
    missing = int(np.count_nonzero(~np.isfinite(predicted_R)))
    if missing:
        raise MetricError(f"{missing} of {predicted_R.size} predictions are missing")


def _chunks(num_pairs: int) -> Iterator[slice]:
    """All pairs in order, few enough at once for double precision to cost little memory."""
    for start in range(0, num_pairs, _PAIRS_AT_ONCE):
        yield slice(start, min(start + _PAIRS_AT_ONCE, num_pairs))


def _terms(actual_R: Ratings, predicted_R: Ratings) -> tuple[Sums, Sums, Sums, Sums]:
    """What each pair adds to the sums behind the count."""
    actual64_R, predicted64_R = actual_R.astype(np.float64), predicted_R.astype(np.float64)
    difference_R = predicted64_R - actual64_R
    return np.square(difference_R), np.abs(difference_R), actual64_R, predicted64_R
