"""Days written as `2005-09-06`, a whole column at a time; any other way to write one is none.

A digit takes a byte, and a word of the machine four of them: what is done to a word is done to all
its digits at once (SIMD within a register; H. S. Warren, Hacker's Delight, chapter 2).

Shape legend: R rows, B rows of a block.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from deeprec.readers.calendar import days_since_1970

_Words = npt.NDArray[np.integer[Any]]  # 32 bits without a sign

_LENGTH = len("2005-09-06")
_BLOCK = 2**13  # rows whose words stay in a core's own cache
_HIGH_BITS = 0x80808080  # of each byte
_TO_HIGH_BITS = 0x76767676  # added to a byte, carries what is more than 9 into its high bit


def _word(text: str) -> int:
    """Four characters as Arrow's views hold them; the first takes the lowest byte."""
    return int.from_bytes(text.encode(), "little")


def plain_days(texts: pl.Series) -> pl.Series:
    """The days as dates, null for what is no day of the years 1 to 9999 in exactly that form."""
    words_R4 = _words(texts)
    day_R = np.empty(len(texts), dtype=np.int32)
    is_day_R = np.empty(len(texts), dtype=bool)
    for first in range(0, len(texts), _BLOCK):
        block = slice(first, first + _BLOCK)
        day_R[block], is_day_R[block] = _days(*words_R4[block].T.copy())
    if texts.null_count():
        is_day_R &= texts.is_not_null().to_numpy()
    known = pl.DataFrame({"day": day_R, "is_day": is_day_R})
    day = pl.when("is_day").then(pl.col("day").cast(pl.Date))
    return known.select(day.alias(texts.name)).to_series()


def _words(texts: pl.Series) -> _Words:
    """The view of each text: its length, then, where that is 12 or less, its bytes and zeros.

    A longer one has other things there; a missing one anything.
    """
    views = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())
    words = np.frombuffer(views.buffers()[1] or b"", dtype="<u4")
    return words.reshape(-1, 4)[views.offset : views.offset + len(texts)]


def _days(
    length_B: _Words, year_B: _Words, month_B: _Words, day_B: _Words
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Days since 1970, and whether the words `2005`, `-09-` and `06` say one; else it is any day.

    Only digits have, less those of zero, bytes up to 9.
    """
    year_B ^= _word("0000")
    month_B ^= _word("-00-")
    day_B ^= _word("00")
    wrong_B = (year_B + _TO_HIGH_BITS) | year_B
    wrong_B |= (month_B + _TO_HIGH_BITS) | month_B
    wrong_B |= (day_B + _TO_HIGH_BITS) | day_B
    wrong_B &= _HIGH_BITS
    wrong_B |= month_B & 0xFF0000FF
    wrong_B |= day_B & 0xFFFF0000
    wrong_B |= length_B ^ _LENGTH
    century_and_year_B = (year_B * 10 + (year_B >> 8)) & 0x00FF00FF
    year_B = (century_and_year_B * 100 + (century_and_year_B >> 16)) & 0xFFFF
    month_B >>= 8
    month_B = (month_B * 10 + (month_B >> 8)) & 0xFF
    day_B = (day_B * 10 + (day_B >> 8)) & 0xFF
    day_since_1970_B, is_day_B = days_since_1970(year_B, month_B, day_B)
    return day_since_1970_B, is_day_B & (wrong_B == 0)
