"""The calendar as a table of months: which day since 1970 a date is, whole columns at a time."""

from typing import Any

import numpy as np
import numpy.typing as npt

_MONTHS = 12  # of a year
_STARTS = np.arange("0000-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]")
_FIRST_DAYS = _STARTS[:-1].astype(np.int32)  # of each month, since 1970
_LENGTHS = np.diff(_STARTS).astype(np.uint32)
_LENGTHS[:_MONTHS] = 0  # there is no year 0

Numbers = npt.NDArray[np.integer[Any]]  # without a sign


def days_since_1970(
    year: Numbers, month: Numbers, day: Numbers
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The days of the years 1 to 9999, and whether there are such; else it is any day.

    Args:
        year: 0 to 9999.
        month: of the year, from 1; any number.
        day: of the month, from 1; any number.
    """
    month, day = month - 1, day - 1  # 0 becomes a very large one
    place = (year * _MONTHS + month).astype(np.intp)
    is_day = (month < _MONTHS) & (day < _LENGTHS.take(place, mode="clip"))
    return _FIRST_DAYS.take(place, mode="clip") + day.astype(np.int32), is_day
