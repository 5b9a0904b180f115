"""One line of a ratings file, read exactly: what it says, or why it cannot be used."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deeprec.ratings import RatingScale
from deeprec.readers.fields import clean, integer, iso_moment, number, unix_moment
from deeprec.readers.layouts import Column, DateKind, RatingsLayout
from deeprec.readers.rejections import Reason

_HEADER = re.compile(r"\s*(?P<movie_id>[0-9]{1,18})\s*:\s*")
_LIKE_HEADER = re.compile(r"[0-9:]")  # a lone `8` may be a header that lost its colon
_TOO_LARGE = float(2**128 - 2**103)  # half a step beyond what float32 holds, where it rounds up


@dataclass(frozen=True)
class Rating:
    """What a line says; `movie_id` is None where a header names the movie."""

    user_id: int
    movie_id: int | None
    rating: float
    moment: int | None  # microseconds since 1970


@dataclass(frozen=True)
class Header:
    """A line `N:`; without a number it is broken, and the lines after it are of no known movie."""

    movie_id: int | None


def judge(
    line: bytes, layout: RatingsLayout, scale: RatingScale | None
) -> Rating | Header | Reason | None:
    """What one line is: a rating, a header, refused for a reason, or None for a blank one."""
    if not line.strip():  # of bytes: control characters that text counts as space are no blanks
        return None
    text = line.decode("utf-8", errors="backslashreplace")
    if layout.has_movie_headers and layout.separator not in text and _LIKE_HEADER.search(text):
        return read_header(text)
    fields = split(text, layout.separator)
    if len(fields) != len(layout.columns):
        return blame(line, Reason.WRONG_COLUMN_COUNT)
    named = {column: field for column, field in zip(layout.columns, fields, strict=True) if column}
    said = judge_fields(named, layout.dates, scale)
    return blame(line, said) if isinstance(said, Reason) else said


def read_header(text: str) -> Header:
    """The header that a line is, whole or broken."""
    found = _HEADER.fullmatch(text)
    return Header(int(found["movie_id"]) if found else None)


def blame(line: bytes, reason: Reason) -> Reason:
    """The reason, or the undecodable bytes that are behind it."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return Reason.UNDECODABLE
    return reason


def split(text: str, separator: str) -> list[str]:
    """The fields of a line; one in quotes may hold separators."""
    fields = text.split(separator)
    if len(separator) == 1 and any(field.count('"') % 2 for field in fields):
        try:
            return next(csv.reader([text], delimiter=separator))
        except csv.Error:  # a quote that never ends, past the reader's limit
            return []
    return fields


def judge_fields(
    fields: Mapping[Column, str], dates: DateKind | None, scale: RatingScale | None
) -> Rating | Reason:
    """The rating that the needed fields of a row say, or why they say none."""
    needed = {column: clean(field) for column, field in fields.items()}
    day = needed.pop("rated_at", "")
    if not all(needed.values()):
        return Reason.MISSING_VALUE
    user_id, rating = integer(needed["user_id"]), number(needed["rating"])
    movie_id = integer(needed["movie_id"]) if "movie_id" in needed else None
    if user_id is None or rating is None or ("movie_id" in needed and movie_id is None):
        return Reason.NOT_A_NUMBER
    if abs(rating) >= _TOO_LARGE or (scale and not scale.admits(np.array([rating]))[0]):
        return Reason.OFF_SCALE
    if dates is None:
        return Rating(user_id, movie_id, rating, None)
    moment = unix_moment(day) if dates is DateKind.UNIX else iso_moment(day)
    return Reason.UNKNOWN_DATE if moment is None else Rating(user_id, movie_id, rating, moment)
