"""Ratings from Parquet tables: whole columns cast where that is sure, other rows read one by one.

Shape legend: R rows of a batch.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from deeprec.errors import SourceError
from deeprec.ratings import RatingScale
from deeprec.readers.batches import RATING_SCHEMA, REJECTED_SCHEMA, Batch
from deeprec.readers.chunks import digest_file
from deeprec.readers.fields import LAST_SECOND
from deeprec.readers.layouts import Column, DateKind, ParquetLayout, Role
from deeprec.readers.lines import Rating, judge_fields
from deeprec.readers.rejections import Reason, printable

_ROWS_AT_ONCE = 2**20
_MICROSECONDS = 1_000_000
_MOMENT = pl.Datetime("us")


def read_parquet(
    files: Mapping[int, Path], layout: ParquetLayout, scale: RatingScale | None
) -> Iterator[Batch]:
    """The ratings of Parquet tables, about a million rows at a time; a row's number is its line.

    Raises:
        SourceError: a file cannot be read, or changes while it is.
    """
    for file_id, path in files.items():
        before = digest_file(path, file_id)
        first_line = 1
        for table in _tables(path, layout):
            yield _read_rows(table, layout, scale, file_id, first_line)
            first_line += table.height
        if digest_file(path, file_id) != before:
            raise SourceError(
                f"{path}: changed while it was read; run this again once it is complete"
            )
        nothing = (pl.DataFrame(schema=RATING_SCHEMA), pl.DataFrame(schema=REJECTED_SCHEMA))
        yield Batch(Role.RATINGS, *nothing, [before], before.size_bytes)


def _tables(path: Path, layout: ParquetLayout) -> Iterator[pl.DataFrame]:
    """The needed columns under our names, a piece of the table at a time."""
    names = {name: column for column, name in layout.names}
    try:
        with pq.ParquetFile(path) as file:
            for rows in file.iter_batches(_ROWS_AT_ONCE, columns=list(names)):
                yield pl.DataFrame(pl.from_arrow(rows)).rename(names)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read as Parquet: {error}") from error


def _read_rows(
    table: pl.DataFrame,
    layout: ParquetLayout,
    scale: RatingScale | None,
    file_id: int,
    first_line: int,
) -> Batch:
    lines = pl.int_range(first_line, first_line + table.height, dtype=pl.Int64, eager=True)
    typed = table.select(
        user_id=_whole(table["user_id"].dtype, "user_id"),
        movie_id=_whole(table["movie_id"].dtype, "movie_id"),
        rating=_rating(table["rating"].dtype),
        rated_at=_moment(table, layout.dates),
        file_id=pl.lit(file_id, pl.Int32),
        line_number=lines,
    )
    is_sure_R = _is_sure(typed, layout.dates, scale)
    found: list[tuple[int | float | None, ...]] = []
    refused: list[tuple[int, int, str, str]] = []
    doubtful = table.filter(~is_sure_R).rows(named=True)
    for line, row in zip(lines.filter(~is_sure_R), doubtful, strict=True):
        fields: dict[Column, str] = {
            column: "" if row[column] is None else str(row[column]) for column, _ in layout.names
        }
        match judge_fields(fields, layout.dates, scale):
            case Rating(user_id, movie_id, rating, moment):
                found.append((user_id, movie_id, rating, moment, file_id, line))
            case Reason() as reason:
                text = printable(",".join(fields.values()).encode(errors="backslashreplace"))
                refused.append((file_id, line, text, reason.value))
    loose = {**RATING_SCHEMA, "rated_at": pl.Int64()}
    recovered = pl.DataFrame(found, schema=loose, orient="row").cast({"rated_at": _MOMENT})
    return Batch(
        Role.RATINGS,
        pl.concat([typed.filter(is_sure_R), recovered]),
        pl.DataFrame(refused, schema=REJECTED_SCHEMA, orient="row"),
        ended=[],
        num_bytes=0,
    )


def _whole(dtype: pl.DataType, column: str) -> pl.Expr:
    if dtype.is_integer() or dtype == pl.String:
        return pl.col(column).cast(pl.Int64, strict=False)
    return pl.lit(None, pl.Int64)


def _rating(dtype: pl.DataType) -> pl.Expr:
    if dtype.is_numeric() or dtype == pl.String:
        return pl.col("rating").cast(pl.Float32, strict=False)
    return pl.lit(None, pl.Float32)


def _moment(table: pl.DataFrame, dates: DateKind | None) -> pl.Expr:
    """`rated_at`, or null for what is neither a count of seconds nor of a date's type."""
    if dates is None:
        return pl.lit(None, _MOMENT)
    column, dtype = pl.col("rated_at"), table["rated_at"].dtype
    if dates is DateKind.UNIX:
        seconds = column.cast(pl.Int64, strict=False)
        known = pl.when(seconds.is_between(0, LAST_SECOND)).then(seconds)
        return (known * _MICROSECONDS).cast(_MOMENT)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(_MOMENT)
    if dtype.is_temporal() and dtype not in {pl.Time, pl.Duration}:
        return column.cast(_MOMENT, strict=False)
    if dtype == pl.String:
        return column.str.to_date("%Y-%m-%d", strict=False).cast(_MOMENT)
    return pl.lit(None, _MOMENT)


def _is_sure(
    typed: pl.DataFrame, dates: DateKind | None, scale: RatingScale | None
) -> npt.NDArray[np.bool_]:
    """Which rows need no second look."""
    needed = ["user_id", "movie_id", *(["rated_at"] if dates else [])]
    finite = pl.col("rating").is_finite().fill_null(value=False)
    sure = typed.select(pl.all_horizontal(finite, pl.col(needed).is_not_null()))
    is_sure_R = sure.to_series().to_numpy()
    if scale is None:
        return np.array(is_sure_R)
    return np.array(is_sure_R & scale.admits(typed["rating"].fill_null(np.nan).to_numpy()))
