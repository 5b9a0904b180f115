"""Lines of the Netflix Prize, `1488844,3,2005-09-06`, a whole chunk at a time.

From the end of a line everything in it stands at a known place, but for where the user's number
begins. Eight characters are one word of the machine, and what is done to a word is done to all its
digits at once (SIMD within a register; H. S. Warren, Hacker's Delight, chapter 2).

Shape legend: R rows, B rows of a block.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprec.readers.calendar import days_since_1970

_Words = npt.NDArray[np.integer[Any]]  # 64 bits without a sign

_REST = len(",3,2005-09-06")  # what follows the user's number
_WORD = 8  # characters
_REACH = _REST + _WORD  # how far before a line's end it is read
_BLOCK = 2**14  # rows whose words stay in a core's own cache
_HIGH_BITS = 0x8080808080808080  # of each byte
_TO_HIGH_BITS = 0x7676767676767676  # added to a byte, carries what is more than 9 into its high bit
_MICROSECONDS_A_DAY = 86_400_000_000


def _word(text: str) -> np.uint64:
    """Eight characters as they are read; the first takes the lowest byte."""
    return np.uint64(int.from_bytes(text.encode(), "little"))


_MIDDLE = _word("\0\0\0,0,00")  # the user's last three digits, the rating, the century
_DATE = _word("00-00-00")
_USER = _word("00000000")


@dataclass(frozen=True)
class PrizeLines:
    """What the lines say, where they are plain; else any numbers."""

    user_id_R: npt.NDArray[np.int64]
    rating_R: npt.NDArray[np.uint8]
    moment_R: npt.NDArray[np.int64]  # microseconds since 1970
    is_plain_R: npt.NDArray[np.bool_]


def read_prize_lines(data: bytes, ends_R: npt.NDArray[np.int64]) -> PrizeLines:
    """The lines of some text; plain is one of exactly this form, with a user of 1 to 8 digits.

    Args:
        data: the text, each line with its end.
        ends_R: where the lines end.
    """
    num_rows = len(ends_R)
    read = PrizeLines(
        user_id_R=np.empty(num_rows, dtype=np.int64),
        rating_R=np.empty(num_rows, dtype=np.uint8),
        moment_R=np.empty(num_rows, dtype=np.int64),
        is_plain_R=np.empty(num_rows, dtype=bool),
    )
    lengths_R = np.diff(ends_R, prepend=-1) - 1
    num_first = int(np.searchsorted(ends_R, _REACH))
    padded = bytes(_REACH) + data[:_REACH]
    _read_rows(read, slice(num_first), _words(padded), ends_R[:num_first] + _REACH, lengths_R)
    for first in range(num_first, num_rows, _BLOCK):
        _read_rows(read, slice(first, first + _BLOCK), _words(data), ends_R, lengths_R)
    return read


def _words(data: bytes) -> _Words:
    """The eight characters from each on."""
    first = np.frombuffer(data, dtype="<u8", count=1)
    return np.lib.stride_tricks.as_strided(first, (len(data) - _WORD + 1,), (1,), writeable=False)


def _read_rows(
    read: PrizeLines,
    rows: slice,
    words: _Words,
    ends_R: npt.NDArray[np.int64],
    lengths_R: npt.NDArray[np.int64],
) -> None:
    """Read some rows; `words` holds what is before the ends of these."""
    ends_B = ends_R[rows]
    user_id_B, is_user_B = _users(words[ends_B - _REACH], lengths_R[rows] - _REST)
    rating_B, day_B, is_rest_B = _rest(words[ends_B - 2 * _WORD], words[ends_B - _WORD])
    read.user_id_R[rows] = user_id_B
    read.rating_R[rows] = rating_B
    np.multiply(day_B, _MICROSECONDS_A_DAY, out=read.moment_R[rows], dtype=np.int64)
    np.logical_and(is_user_B, is_rest_B, out=read.is_plain_R[rows])


def _users(
    word_B: _Words, num_digits_B: npt.NDArray[np.int64]
) -> tuple[_Words, npt.NDArray[np.bool_]]:
    """The numbers that the last digits of each word say, and whether they are 1 to 8 digits."""
    num_others_B = (_WORD - num_digits_B).view(np.uint64)
    shift_B = np.minimum(num_others_B, _WORD - 1) * 8
    word_B = ((word_B ^ _USER) >> shift_B) << shift_B
    is_user_B = (num_others_B < _WORD) & (_not_digits(word_B) == 0)
    word_B = (word_B * 10 + (word_B >> 8)) & 0x00FF00FF00FF00FF
    word_B = (word_B * 100 + (word_B >> 16)) & 0x0000FFFF0000FFFF
    return (word_B * 10_000 + (word_B >> 32)) & 0xFFFFFFFF, is_user_B


def _rest(
    middle_B: _Words, date_B: _Words
) -> tuple[_Words, npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Rating and day since 1970 from the words `844,3,20` and `05-09-06`, and whether they are."""
    middle_B = (middle_B ^ _MIDDLE) & 0xFFFFFFFFFF000000
    date_B = date_B ^ _DATE
    wrong_B = _not_digits(middle_B) | _not_digits(date_B)
    wrong_B |= (middle_B & 0x0000FF00FF000000) | (date_B & 0x0000FF0000FF0000)
    tens_and_ones_B = date_B * 10 + (date_B >> 8)
    century_B = ((middle_B >> 48) * 10 + (middle_B >> 56)) & 0xFF
    year_B = century_B * 100 + (tens_and_ones_B & 0xFF)
    month_B, day_B = (tens_and_ones_B >> 24) & 0xFF, (tens_and_ones_B >> 48) & 0xFF
    day_since_1970_B, is_day_B = days_since_1970(year_B, month_B, day_B)
    return (middle_B >> 32) & 0xFF, day_since_1970_B, is_day_B & (wrong_B == 0)


def _not_digits(word_B: _Words) -> _Words:
    """Zero where each byte is at most 9, as digits are less those of zero."""
    return ((word_B + _TO_HIGH_BITS) | word_B) & _HIGH_BITS
