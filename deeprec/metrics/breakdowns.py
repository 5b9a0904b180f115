"""Where the error comes from: held-out pairs in buckets, by what was known of them and by when.

Buckets of a dimension hold every pair once, so they sum to the whole.

Shape legend: R held-out ratings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from deeprec.metrics.accuracy import GroupedErrors
from deeprec.ratings import UNDATED, Days, Floats, RatingScale, rating_text

# Least number of training ratings in each bucket but that of none.
_ACTIVITY = (1, 10, 20, 50, 100, 200, 500)
_POPULARITY = (1, 10, 50, 100, 500, 1_000, 10_000, 100_000)
_NUM_BINS = 16  # of a scale
_MOST_VALUES = 20  # more ratings than these on a scale are put into bins too


class Dimension(StrEnum):
    """What pairs are told apart by."""

    ACTIVITY = "activity"
    POPULARITY = "popularity"
    RATING = "rating"
    MONTH = "month"
    CALIBRATION = "calibration"

    @property
    def meaning(self) -> str:
        """What its buckets say, in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Dimension.ACTIVITY: "training ratings of the user",
    Dimension.POPULARITY: "training ratings of the movie",
    Dimension.RATING: "actual rating",
    Dimension.MONTH: "month of the rating",
    Dimension.CALIBRATION: "predicted rating",
}


class Group(BaseModel):
    """How one predictor does on the pairs of one bucket, in rating units, clipped to the scale."""

    model_config = ConfigDict(frozen=True)

    predictor: str
    dimension: Dimension
    bucket: str
    num_ratings: int
    rmse: float
    mae: float
    mean_actual: float
    mean_predicted: float


@dataclass(frozen=True)
class Buckets:
    """The bucket of each pair in one dimension, as a place in the buckets' names."""

    dimension: Dimension
    names: tuple[str, ...]
    place_R: npt.NDArray[np.int32]


def by_activity(num_ratings_R: npt.NDArray[np.integer]) -> Buckets:
    """Buckets by how many training ratings the user of each pair has."""
    return _by_count(Dimension.ACTIVITY, num_ratings_R, _ACTIVITY)


def by_popularity(num_ratings_R: npt.NDArray[np.integer]) -> Buckets:
    """Buckets by how many training ratings the movie of each pair has."""
    return _by_count(Dimension.POPULARITY, num_ratings_R, _POPULARITY)


def by_rating(actual_R: Floats, scale: RatingScale) -> Buckets:
    """A bucket for each rating there is; bins of the scale where there are too many."""
    values, place_R = np.unique(actual_R, return_inverse=True)
    if len(values) > _MOST_VALUES:
        return Buckets(Dimension.RATING, *_bins(actual_R, scale))
    names = tuple(map(rating_text, values.tolist()))
    return Buckets(Dimension.RATING, names, place_R.astype(np.int32))


def by_month(days_R: Days) -> Buckets | None:
    """A bucket for each month there is, and one for undated ratings; None where none is dated."""
    is_dated_R = days_R != UNDATED
    if not is_dated_R.any():
        return None
    month_R = days_R.astype("datetime64[D]").astype("datetime64[M]")
    month_R[~is_dated_R] = np.datetime64("NaT")  # which comes last in order
    months, place_R = np.unique(month_R, return_inverse=True)
    names = tuple("undated" if np.isnat(month) else str(month) for month in months)
    return Buckets(Dimension.MONTH, names, place_R.astype(np.int32))


def by_prediction(predicted_R: Floats, scale: RatingScale) -> Buckets:
    """Bins of the scale by what was predicted: calibrated is who is right on average in each."""
    return Buckets(Dimension.CALIBRATION, *_bins(predicted_R, scale))


def break_down(
    predictor: str, buckets: Buckets, actual_R: Floats, predicted_R: Floats
) -> Iterator[Group]:
    """One row a bucket that is not empty, in order.

    Raises:
        MetricError: a prediction is missing.
    """
    groups = GroupedErrors.of(actual_R, predicted_R, buckets.place_R, len(buckets.names))
    for name, errors in zip(buckets.names, groups, strict=True):
        if errors.count:
            yield Group(
                predictor=predictor,
                dimension=buckets.dimension,
                bucket=name,
                num_ratings=errors.count,
                rmse=errors.rmse,
                mae=errors.mae,
                mean_actual=errors.mean_actual,
                mean_predicted=errors.mean_predicted,
            )


def _by_count(
    dimension: Dimension, count_R: npt.NDArray[np.integer], least: Sequence[int]
) -> Buckets:
    """Buckets `0`, then from each of the numbers to below the next."""
    names = [f"{low:,}-{following - 1:,}" for low, following in pairwise(least)]
    place_R = np.searchsorted(least, count_R, side="right").astype(np.int32)
    return Buckets(dimension, ("0", *names, f"{least[-1]:,}+"), place_R)


def _bins(value_R: Floats, scale: RatingScale) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """Bins of equal width, closed below; the last holds the end of the scale too."""
    # As floats, which the ratings are: 0.9 stands in the bin that begins there.
    edges = np.linspace(scale.minimum, scale.maximum, _NUM_BINS + 1, dtype=np.float32)
    names = tuple(f"{low} to {high}" for low, high in pairwise(map(rating_text, edges.tolist())))
    place_R = np.searchsorted(edges[1:-1], value_R, side="right").astype(np.int32)
    return names, place_R


@dataclass(frozen=True)
class BreakdownTable:
    """One dimension as a person reads it: a row a bucket, the predictors side by side."""

    dimension: Dimension
    header: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]


def breakdown_tables(groups: Sequence[Group]) -> list[BreakdownTable]:
    """A table a dimension; calibration is of the first predictor, the model, alone."""
    tables = []
    for dimension in Dimension:
        of_dimension = [group for group in groups if group.dimension is dimension]
        if of_dimension:
            draw = _calibration if dimension is Dimension.CALIBRATION else _side_by_side
            tables.append(draw(dimension, of_dimension))
    return tables


def _side_by_side(dimension: Dimension, groups: Sequence[Group]) -> BreakdownTable:
    """What holds for each predictor, and then the RMSE of each."""
    rows: dict[str, tuple[str | int | float, ...]] = {}
    for group in groups:
        shared = (group.bucket, group.num_ratings, group.mean_actual)
        rows[group.bucket] = (*rows.get(group.bucket, shared), group.rmse)
    predictors = dict.fromkeys(f"RMSE {group.predictor}" for group in groups)
    header = (dimension.meaning, "ratings", "mean actual", *predictors)
    return BreakdownTable(dimension, header, tuple(rows.values()))


def _calibration(dimension: Dimension, groups: Sequence[Group]) -> BreakdownTable:
    predictor = groups[0].predictor
    rows = tuple(
        (group.bucket, group.num_ratings, group.mean_predicted, group.mean_actual, group.rmse)
        for group in groups
        if group.predictor == predictor
    )
    header = (dimension.meaning, "ratings", "mean predicted", "mean actual", f"RMSE {predictor}")
    return BreakdownTable(dimension, header, rows)
