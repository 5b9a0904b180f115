"""Plain tables with named columns, CSV or Parquet: which column is which; reads no rating."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deeprec.config.ingestion import ColumnsConfig
from deeprec.errors import SourceError
from deeprec.readers import movielens
from deeprec.readers.chunks import first_lines
from deeprec.readers.fields import clean, integer, iso_moment
from deeprec.readers.layouts import Column, DateKind, ParquetLayout, RatingsLayout
from deeprec.readers.lines import split
from deeprec.readers.rejections import printable

FORMAT = "table"
_FEW_ROWS = 2**10
_LONGEST_NAMES = 2**15  # bytes; of more, the end is not among the file's first lines
_NO_TEXT = {
    b"\xff\xfe": "is UTF-16",
    b"\xfe\xff": "is UTF-16",
    b"\x1f\x8b": "is packed by gzip and not called so",
    b"PK\3\4": "is a zip archive",
    b"PAR1": "is Parquet and not called so",
}  # by what files begin with
_NAMES: dict[Column, tuple[str, ...]] = {
    "user_id": ("user_id", "userid", "user", "customer_id", "customerid", "uid"),
    "movie_id": ("movie_id", "movieid", "movie", "item_id", "itemid", "item"),
    "rating": ("rating", "ratings", "score", "stars"),
    "rated_at": ("rated_at", "rated_on", "date", "timestamp", "time", "datetime"),
}


def csv_layout(path: Path, columns: ColumnsConfig, *, is_plain: bool = False) -> RatingsLayout:
    """How a CSV with a line of names is laid out.

    Args:
        path: of the file.
        columns: their names, where they are not the usual ones.
        is_plain: whether it is no MovieLens file, even where its names are those of one.

    Raises:
        SourceError: it has no such line, or a needed column is not in it.
    """
    head = first_lines(path)
    for mark, what in _NO_TEXT.items():
        if head.startswith(mark):
            raise SourceError(f"{path}: {what}; expected a text in UTF-8, plain or as .gz")
    if len(head) > _LONGEST_NAMES and b"\n" not in head:
        raise SourceError(
            f"{path}:1: a line of more than {_LONGEST_NAMES:,} bytes; expected column names"
        )
    lines = head.decode("utf-8", errors="replace").split("\n")
    if "\r" in lines[0].rstrip("\r"):
        raise SourceError(
            f"{path}:1: a carriage return within the line of names; expected lines that end in a "
            "line feed, as an old Mac's do not"
        )
    separator = max(",\t;|", key=lines[0].count)
    names = [clean(name) for name in split(lines[0], separator)]
    is_given = is_plain or columns != ColumnsConfig()
    if tuple(names) == movielens.CSV_NAMES and not is_given:
        return replace(movielens.RATINGS_CSV, separator=separator)
    places = {names.index(name): column for column, name in _match(path, names, columns).items()}
    known = tuple(places.get(place) for place in range(len(names)))
    dates = None
    if "rated_at" in known:
        rows = (split(line, separator) for line in lines[1:])
        place = known.index("rated_at")
        dates = _kind_of_dates(row[place] for row in rows if len(row) == len(names))
    return RatingsLayout(FORMAT, known, separator, None, dates, names_line=True)


def parquet_layout(path: Path, columns: ColumnsConfig) -> ParquetLayout:
    """How a Parquet table is laid out.

    Raises:
        SourceError: it is not Parquet, or a needed column is not in it.
    """
    try:
        schema = pq.read_schema(path)
        names = _match(path, schema.names, columns)
        dates = (
            _parquet_dates(path, schema.field(names["rated_at"])) if "rated_at" in names else None
        )
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: not a Parquet file: {error}") from error
    return ParquetLayout(FORMAT, tuple(names.items()), None, dates)


def _parquet_dates(path: Path, column: pa.Field) -> DateKind:
    """How the first row with a date holds it: a whole number is a day or a count, as in a CSV."""
    dtype = column.type
    if pa.types.is_temporal(dtype.value_type if pa.types.is_dictionary(dtype) else dtype):
        return DateKind.TIMESTAMP
    with pq.ParquetFile(path) as file:
        for rows in file.iter_batches(_FEW_ROWS, columns=[column.name]):
            dates = pc.drop_null(rows.column(0))
            if pa.types.is_floating(dates.type):
                dates = dates.filter(pc.is_finite(dates))
            if len(dates):
                number = integer(str(dates[0].as_py()))
                return DateKind.TIMESTAMP if number is None else _kind_of_dates([str(number)])
    return DateKind.TIMESTAMP


def _match(path: Path, names: Sequence[str], columns: ColumnsConfig) -> dict[Column, str]:
    """The table's name of each column that it has."""
    given = columns.model_dump()
    lowered = {name.lower(): name for name in reversed(names)}
    found: dict[Column, str] = {}
    for column, usual in _NAMES.items():
        wanted = given[column]
        named = [lowered[name] for name in usual if name in lowered]
        if wanted:
            named = [name for name in names if name == wanted]
        if named:
            found[column] = named[0]
        elif wanted or column != "rated_at":
            raise SourceError(
                f"{path}: no column {wanted or column} among {_shown(names) or 'none'}; "
                "expected a first line of column names; "
                f"say which column it is with ingest.columns.{column}"
            )
    for name in found.values():
        if names.count(name) > 1:
            raise SourceError(
                f"{path}: has {names.count(name)} columns {name}; expected one of each name"
            )
    if len({*found.values()}) < len(found):
        raise SourceError(
            f"{path}: {', '.join(f'{column} is {name}' for column, name in found.items())}; "
            "expected a column of its own for each; say which it is with ingest.columns"
        )
    return found


def _shown(names: Sequence[str]) -> str:
    """The names as a message can hold them: a first line need not be one of names."""
    return printable(", ".join(names).encode(errors="backslashreplace"))


def _kind_of_dates(values: Iterable[str]) -> DateKind:
    """How the first row with a date writes it; `20050906` is a day, not a second of 1970."""
    for value in map(clean, values):
        if iso_moment(value) is not None:
            is_day = len(value) <= len("2005-09-06")
            return DateKind.DAY if is_day else DateKind.TIMESTAMP
        if integer(value) is not None:
            return DateKind.UNIX
    return DateKind.DAY
