"""Moments written as `2005-09-06 12:30:59`, a whole column at a time; any other way is none.

A `T` may stand for the blank, and a fraction and a zone may follow, which must be that of UTC.
"""

from datetime import datetime

import polars as pl

_PLAIN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|\+00(:?00)?)?$"
)
_FRACTION = r"\.([0-9]{1,6})"  # what is finer than a microsecond is cut off
_SECOND = len("2005-09-06 12:30:59")
_FIRST = datetime(1000, 1, 1)  # noqa: DTZ001 - `+205-01-02` is a date to the parser only


def plain_moments(texts: pl.Series) -> pl.Series:
    """The moments of the years 1000 to 9999, null for what is not written in just that way.

    Seconds and fraction are read apart: the parser is slower where a format has both.
    """
    column = pl.col(texts.name)
    plain = pl.when(column.str.contains(_PLAIN)).then(column)
    second = plain.str.head(_SECOND).str.replace("T", " ", literal=True)
    found = second.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    fraction = plain.str.extract(_FRACTION).str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    moment = pl.when(found >= _FIRST).then(found + pl.duration(microseconds=fraction))
    return texts.to_frame().select(moment.alias(texts.name)).to_series()
