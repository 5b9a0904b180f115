"""Days written as `2005-09-06`, a whole column at a time; any other way to write one is none.

Shape legend: R rows, W words of two characters.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

_WORDS = pl.Array(pl.UInt16(), 5)  # `20`, `05`, `-0`, `9-`, `06`
_NO_WORDS = pl.Series([[0] * _WORDS.size], dtype=_WORDS)
_MONTHS = 12  # of a year
_UNKNOWN = -1_000_000  # whatever is added to it, it is no month from the year 0 on


def _by_word(values: Mapping[str, int]) -> npt.NDArray[np.int32]:
    """What each word stands for; every other word is unknown."""
    table = np.full(2**16, _UNKNOWN, dtype=np.int32)
    for word, value in values.items():
        table[int.from_bytes(word.encode(), "little")] = value
    return table


_CENTURIES = _by_word({f"{number:02}": 100 * _MONTHS * number for number in range(100)})
_YEARS = _by_word({f"{number:02}": _MONTHS * number for number in range(100)})
_TENS = _by_word({"-0": -1, "-1": 9})  # so that January is 0
_ONES = _by_word({f"{number}-": number for number in range(10)})
_DAYS = _by_word({f"{number:02}": number - 1 for number in range(100)})
_STARTS = np.arange("0000-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]")
_FIRST_DAYS = _STARTS[:-1].astype(np.int32)  # of each month, since 1970
_LENGTHS = np.diff(_STARTS).astype(np.uint32)
_LENGTHS[:_MONTHS] = 0  # there is no year 0


def plain_days(texts: pl.Series) -> pl.Series:
    """The days as dates, null for what is no day of the years 1 to 9999 in exactly that form."""
    words = texts.cast(pl.Binary).bin.reinterpret(dtype=_WORDS, endianness="little")
    words_WR = words.fill_null(_NO_WORDS).to_numpy().T
    century_R, year_R, tens_R, ones_R, day_R = map(
        _look_up, (_CENTURIES, _YEARS, _TENS, _ONES, _DAYS), words_WR
    )
    month_of_year_R = tens_R + ones_R
    month_R = century_R + year_R + month_of_year_R
    known = pl.DataFrame(
        {
            "day": _look_up(_FIRST_DAYS, month_R) + day_R,
            "is_month": month_of_year_R.view(np.uint32) < _MONTHS,
            "is_day": day_R.view(np.uint32) < _look_up(_LENGTHS, month_R),
        }
    )
    day = pl.when("is_month", "is_day").then(pl.col("day").cast(pl.Date))
    return known.select(day.alias(texts.name)).to_series()


def _look_up(table: npt.NDArray[Any], places_R: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The entry at each place, the nearest one where there is none: which needs no check."""
    return table.take(places_R, mode="clip")
