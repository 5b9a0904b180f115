"""Plain tables with named columns, CSV or Parquet: which column is which, and Parquet's rows."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from deeprec.config import ColumnsConfig
from deeprec.errors import SourceError
from deeprec.ratings import RatingScale
from deeprec.readers import movielens
from deeprec.readers.batches import RATING_SCHEMA, REJECTED_SCHEMA, Batch
from deeprec.readers.chunks import digest_file, first_lines
from deeprec.readers.fields import clean, integer, iso_moment, number
from deeprec.readers.layouts import Column, DateKind, ParquetLayout, RatingsLayout, Role
from deeprec.readers.rejections import LONGEST_TEXT, Reason

FORMAT = "table"
_ROWS_AT_ONCE = 2**20
_NAMES: dict[Column, tuple[str, ...]] = {
    "user_id": ("user_id", "userid", "user", "customer_id", "customerid", "uid"),
    "movie_id": ("movie_id", "movieid", "movie", "item_id", "itemid", "item"),
    "rating": ("rating", "ratings", "score", "stars"),
    "rated_at": ("rated_at", "rated_on", "date", "timestamp", "time", "datetime"),
}


def csv_layout(path: Path, columns: ColumnsConfig) -> RatingsLayout:
    """How a CSV with a line of names is laid out.

    Raises:
        SourceError: it has no such line, or a needed column is not in it.
    """
    lines = first_lines(path).decode("utf-8", errors="replace").splitlines() or [""]
    separator = max(",\t;|", key=lines[0].count)
    names = [clean(name) for name in lines[0].split(separator)]
    if tuple(names) == movielens.CSV_NAMES:
        return movielens.RATINGS_CSV
    places = {name: column for column, name in _match(path, names, columns).items()}
    known = tuple(places.get(name) for name in names)
    dates = None
    if "rated_at" in known:
        place = known.index("rated_at")
        dates = _kind_of_dates(
            [row[place] for row in csv.reader(lines[1:-1], delimiter=separator) if len(row) > place]
        )
    return RatingsLayout(FORMAT, known, separator, None, dates, names_line=True)


def parquet_layout(path: Path, columns: ColumnsConfig) -> ParquetLayout:
    """How a Parquet table is laid out.

    Raises:
        SourceError: it is not Parquet, or a needed column is not in it.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: not a Parquet file: {error}") from error
    names = _match(path, schema.names, columns)
    dates = None
    if "rated_at" in names:
        is_count = pa.types.is_integer(schema.field(names["rated_at"]).type)
        dates = DateKind.UNIX if is_count else DateKind.TIMESTAMP
    return ParquetLayout(FORMAT, tuple(names.items()), None, dates)


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
        try:
            with pq.ParquetFile(path) as file:
                names = [name for _, name in layout.names]
                for rows in file.iter_batches(_ROWS_AT_ONCE, columns=names):
                    yield _read_rows(rows, layout, scale, file_id, first_line)
                    first_line += rows.num_rows
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{path}: cannot be read as Parquet: {error}") from error
        if digest_file(path, file_id) != before:
            raise SourceError(
                f"{path}: changed while it was read; run this again once it is complete"
            )
        empty = pl.DataFrame(schema=RATING_SCHEMA)
        rejected = pl.DataFrame(schema=REJECTED_SCHEMA)
        yield Batch(Role.RATINGS, empty, rejected, [before], before.size_bytes)


def _match(path: Path, names: Sequence[str], columns: ColumnsConfig) -> dict[Column, str]:
    """The table's name of each column that it has."""
    given: dict[Column, str | None] = {
        "user_id": columns.user_id,
        "movie_id": columns.movie_id,
        "rating": columns.rating,
        "rated_at": columns.rated_at,
    }
    lowered = {name.lower(): name for name in reversed(names)}
    found: dict[Column, str] = {}
    for column, usual in _NAMES.items():
        wanted = given[column]
        candidates = (
            [wanted] if wanted in names else [lowered[name] for name in usual if name in lowered]
        )
        if wanted and wanted not in names:
            candidates = []
        if candidates and candidates[0] is not None:
            found[column] = candidates[0]
        elif wanted or column != "rated_at":
            raise SourceError(
                f"{path}: no column {wanted or column} among {', '.join(names) or 'none'}; expected "
                f"a line of names; say which column it is with ingest.columns.{column}"
            )
    return found


def _kind_of_dates(values: Sequence[str]) -> DateKind:
    """How the first rows write their dates."""
    seen = [clean(value) for value in values if clean(value)]
    if seen and all(integer(value) is not None for value in seen):
        return DateKind.UNIX
    is_day = all(len(value) <= len("2005-09-06") for value in seen)
    return DateKind.DAY if is_day else DateKind.TIMESTAMP


def _read_rows(
    rows: pa.RecordBatch,
    layout: ParquetLayout,
    scale: RatingScale | None,
    file_id: int,
    first_line: int,
) -> Batch:
    table = pl.DataFrame(rows).rename({name: column for column, name in layout.names})
    lines = pl.int_range(first_line, first_line + table.height, dtype=pl.Int64, eager=True)
    exprs = {
        "user_id": _whole("user_id", table),
        "movie_id": _whole("movie_id", table),
        "rating": pl.col("rating").cast(pl.Float32, strict=False),
        "rated_at": _moment(table, layout.dates),
    }
    typed = table.select(**exprs).with_columns(
        file_id=pl.lit(file_id, pl.Int32), line_number=lines
    )
    is_good_R = np.array(
        typed.select(
            pl.all_horizontal(
                pl.col("user_id", "movie_id").is_not_null(),
                pl.col("rating").is_finite().fill_null(value=False),
                pl.col("rated_at").is_not_null() if layout.dates else pl.lit(value=True),
            )
        )
        .to_series()
        .to_numpy()
    )
    if scale:
        is_good_R &= scale.admits(typed["rating"].fill_null(np.nan).to_numpy())
    bad = np.flatnonzero(~is_good_R)
    reasons = [_reason(table.row(row, named=True), layout, scale) for row in bad.tolist()]
    rejected = pl.DataFrame(
        {
            "file_id": [file_id] * len(bad),
            "line_number": lines.gather(bad),
            "text": [str(table.row(row, named=True))[:LONGEST_TEXT] for row in bad.tolist()],
            "reason": reasons,
        },
        schema=REJECTED_SCHEMA,
    )
    return Batch(Role.RATINGS, typed.filter(is_good_R).cast(dict(RATING_SCHEMA)), rejected, [], 0)


def _whole(column: str, table: pl.DataFrame) -> pl.Expr:
    """Whole numbers; 1.5 is none."""
    values = pl.col(column)
    if table[column].dtype.is_float():
        values = pl.when(values == values.floor()).then(values)
    return values.cast(pl.Int64, strict=False)


def _moment(table: pl.DataFrame, dates: DateKind | None) -> pl.Expr:
    if dates is None:
        return pl.lit(None, pl.Datetime("us"))
    column = pl.col("rated_at")
    if dates is DateKind.UNIX:
        return (column.cast(pl.Int64) * 1_000_000).cast(pl.Datetime("us"))
    if table["rated_at"].dtype == pl.String:
        return column.map_elements(iso_moment, return_dtype=pl.Int64).cast(pl.Datetime("us"))
    return column.cast(pl.Datetime("us"), strict=False)


def _reason(
    row: Mapping[str, object], layout: ParquetLayout, scale: RatingScale | None
) -> str:
    """Why a row of the table was refused."""
    needed = [row[name] for name in ("user_id", "movie_id", "rating")]
    if any(value is None for value in needed):
        return Reason.MISSING_VALUE.value
    rating = number(str(row["rating"]))
    if rating is None or any(integer(str(value)) is None for value in needed[:2]):
        return Reason.NOT_A_NUMBER.value
    if scale and not scale.admits(np.array([rating]))[0]:
        return Reason.OFF_SCALE.value
    return (Reason.UNKNOWN_DATE if layout.dates else Reason.NOT_A_NUMBER).value
