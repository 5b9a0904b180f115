"""Ratings from Parquet tables: whole columns cast where that is sure, other rows read one by one.

Shape legend: R rows of a batch.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deeprec.errors import SourceError
from deeprec.ratings import RatingScale
from deeprec.readers.batches import RATING_SCHEMA, REJECTED_SCHEMA, Batch
from deeprec.readers.chunks import digest_file
from deeprec.readers.days import plain_days
from deeprec.readers.fields import LAST_SECOND
from deeprec.readers.layouts import Column, DateKind, ParquetLayout, Role
from deeprec.readers.lines import Rating, judge_fields
from deeprec.readers.moments import plain_moments
from deeprec.readers.rejections import Reason, printable

_ROWS_AT_ONCE = 2**20
_MICROSECONDS = 1_000_000
_MOMENT = pl.Datetime("us")
_HELD = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal128,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_duration,
    pa.types.is_binary,
    pa.types.is_null,
)
_OF_VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
_COUNTS_A_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_LAST_EXACT = 2**53  # whole number before which a float misses none
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31


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
            num_missing = file.metadata.num_rows
            for rows in file.iter_batches(_ROWS_AT_ONCE, columns=list(names)):
                columns = [_plain(column) for column in rows.columns]
                plain = pa.RecordBatch.from_arrays(columns, rows.schema.names)
                yield pl.DataFrame(pl.from_arrow(plain)).rename(names)
                num_missing -= rows.num_rows
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as Parquet: {error}") from error
    if num_missing:
        raise SourceError(
            f"{path}: cannot be read as Parquet: holds {abs(num_missing):,} rows "
            f"{'fewer' if num_missing > 0 else 'more'} than it says"
        )


def _plain(column: pa.Array) -> pa.Array:
    """The column in a type that polars holds whatever its values are.

    Moments are UTC as they are stored, whether or not their zone is known here; what is no number,
    text or moment becomes the name of its type.
    """
    if of_view := _OF_VIEWS.get(column.type):
        column = column.cast(of_view)
    dtype = column.type
    if pa.types.is_dictionary(dtype):
        return _plain(column.dictionary_decode())
    if pa.types.is_timestamp(dtype):
        return column.view(pa.timestamp(dtype.unit))
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        return _decoded(column)
    if any(is_held(dtype) for is_held in _HELD):
        return column
    if pa.types.is_decimal(dtype):
        return column.cast(pa.string())
    return pc.if_else(column.is_valid(), str(dtype), pa.scalar(None, pa.string()))


def _decoded(column: pa.Array) -> pa.Array:
    """Text, its bad bytes spelt out; the file calls it UTF-8, which nobody has checked."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        texts = (
            text and text.decode(errors="backslashreplace")
            for text in column.cast(pa.large_binary()).to_pylist()
        )
        return pa.array(texts, pa.large_string())
    return column


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
    doubtful = table.filter(~is_sure_R).with_columns(_readable(table)).rows(named=True)
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
    if dtype.is_float():
        whole = _whole_numbers(pl.col(column), dtype)
        return pl.when(whole.is_between(-_LAST_EXACT, _LAST_EXACT)).then(whole)
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
        seconds = _whole_numbers(column, dtype)
        known = pl.when(seconds.is_between(0, LAST_SECOND)).then(seconds)
        return (known * _MICROSECONDS).cast(_MOMENT)
    if dates is DateKind.DAY:
        day = _whole_numbers(column, dtype).cast(pl.String).str.to_date("%Y%m%d", strict=False)
        return _near(day, pl.Date()).cast(_MOMENT)
    if isinstance(dtype, pl.Date | pl.Datetime):
        return _near(column, dtype).cast(_MOMENT)
    if dtype == pl.String:
        texts = table["rated_at"]
        return pl.coalesce(plain_days(texts).cast(_MOMENT), plain_moments(texts))
    return pl.lit(None, _MOMENT)


def _whole_numbers(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Numbers, or texts of them, that are whole; null for others."""
    whole = column.cast(pl.Int64, strict=False)
    return pl.when(column == whole).then(whole) if dtype.is_float() else whole


def _near(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Moments of the years 1 to 9999, else null: a cast of others wraps around, or panics."""
    counts_a_day = _COUNTS_A_DAY[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1
    day = column.to_physical() // counts_a_day
    return pl.when(day.is_between(_FIRST_DAY, _LAST_DAY)).then(column)


def _readable(table: pl.DataFrame) -> list[pl.Expr]:
    """Columns of moments and times as text, of which Python cannot hold every one."""
    texts = []
    for name, dtype in table.schema.items():
        if dtype.is_temporal():
            column = pl.col(name)
            count = column.to_physical().cast(pl.String) + f" {dtype}"
            is_day = isinstance(dtype, pl.Date | pl.Datetime)
            texts.append(
                pl.coalesce(_near(column, dtype).cast(pl.String), count) if is_day else count
            )
    return texts


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
