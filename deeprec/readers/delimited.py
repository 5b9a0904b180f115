"""Ratings from delimited text: a typed parse of whole chunks, and an exact look at doubtful lines.

The fast parse decides nothing that it is not sure of: a row of which any needed field is missing,
off the scale or of another type, or that has not the right number of fields, is read again as text.

Shape legend: R rows of a chunk, D doubtful rows.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from deeprec.ratings import RatingScale
from deeprec.readers.batches import RATING_SCHEMA, Batch, Places, Rows
from deeprec.readers.chunks import BYTE_ORDER_MARK, Chunk, read_chunks
from deeprec.readers.fields import LAST_SECOND
from deeprec.readers.layouts import DateKind, RatingsLayout, Role
from deeprec.readers.lines import Header, Rating, blame, judge
from deeprec.readers.rejections import Reason

_ONE_BYTE = b"\x1f"  # stands for a separator of two bytes in what the parser is given
_MICROSECONDS = 1_000_000
_FIRST_YEAR = 1000  # the parser takes `+205-01-02` too; the exact reading does not


def read_ratings(
    files: Mapping[int, Path], layout: RatingsLayout, scale: RatingScale | None, chunk_bytes: int
) -> Iterator[Batch]:
    """The ratings of some files of one layout, chunk by chunk.

    Args:
        files: by file id.
        layout: of all of them.
        scale: ratings that are not on it are refused; None admits every finite number.
        chunk_bytes: text parsed at once.

    Raises:
        SourceError: a file cannot be read, or changes while it is.
    """
    movie_id = None
    for chunk in read_chunks(files, chunk_bytes):
        reader = _ChunkReader(chunk, layout, scale, movie_id)
        yield reader.batch()
        movie_id = reader.last_movie_id


class _ChunkReader:
    """One chunk on its way from bytes to a batch."""

    def __init__(
        self,
        chunk: Chunk,
        layout: RatingsLayout,
        scale: RatingScale | None,
        movie_id: int | None,
    ) -> None:
        self._chunk = chunk
        self._layout = layout
        self._scale = scale
        self._places = Places(chunk)
        self.last_movie_id = movie_id

    def batch(self) -> Batch:
        """The chunk's ratings, what was refused, and the files that ended in it."""
        chunk = self._chunk
        rejected = self._places.rejected({})
        rows = pl.DataFrame(schema=RATING_SCHEMA)
        if chunk.num_rows:
            rows, rejected = self._read()
        return Batch(Role.RATINGS, rows, rejected, chunk.ended, chunk.num_bytes)

    def _read(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        frame = _parse(self._chunk, self._layout)
        is_sure_R = _is_sure(frame, self._layout, self._scale)
        is_sure_R &= _has_all_fields(self._chunk, self._layout)
        if self._layout.names_line:
            is_sure_R[self._places.names_rows()] = False
        if self._chunk.data.startswith(BYTE_ORDER_MARK):  # which the parser passes over
            is_sure_R[0] = False
        doubtful_D = np.flatnonzero(~is_sure_R)
        lines = dict(zip(doubtful_D.tolist(), self._places.lines(doubtful_D), strict=True))
        verdicts = {row: judge(line, self._layout, self._scale) for row, line in lines.items()}
        if self._layout.names_line:
            verdicts.update(dict.fromkeys(self._places.names_rows().tolist()))
        headers = {row: said for row, said in verdicts.items() if isinstance(said, Header)}
        found = {row: said for row, said in verdicts.items() if isinstance(said, Rating)}
        refused = {
            row: (lines[row], said) for row, said in verdicts.items() if isinstance(said, Reason)
        }
        refused |= {
            row: (lines[row], blame(lines[row], Reason.NOT_A_NUMBER))
            for row, said in headers.items()
            if said.movie_id is None
        }
        rows_R, columns = _columns(frame, is_sure_R, found, self._layout)
        if self._layout.has_movie_headers:
            movie_id_R, is_headed_R = self._headed(rows_R, headers)
            columns["movie_id"] = movie_id_R
            astray = rows_R[~is_headed_R]
            before = zip(astray.tolist(), self._places.lines(astray), strict=True)
            refused |= {row: (line, Reason.BEFORE_HEADER) for row, line in before}
            rows_R = rows_R[is_headed_R]
            columns = {name: values[is_headed_R] for name, values in columns.items()}
        columns["file_id"], columns["line_number"] = self._places.of(rows_R)
        kept = pl.DataFrame(columns).with_columns(
            pl.col("rated_at") if self._layout.dates else pl.lit(None).alias("rated_at")
        )
        kept = kept.select(pl.col(name).cast(dtype) for name, dtype in RATING_SCHEMA.items())
        return kept, self._places.rejected(refused)

    def _headed(
        self, rows_R: Rows, headers: Mapping[int, Header]
    ) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """The movie that the header before each row names, and whether there is one.

        No header counts beyond the end of its file; one counts on into the file's next chunk.
        """
        marks = [
            (span.first_row, self.last_movie_id if span.first_line > 1 else None)
            for span in self._chunk.spans
        ]
        marks += [(row, header.movie_id) for row, header in headers.items()]
        marks.sort(key=lambda mark: mark[0])  # stable: a file's start comes before its header
        mark_rows = np.array([row for row, _ in marks], dtype=np.int64)
        movie_ids = np.array([movie_id or 0 for _, movie_id in marks], dtype=np.int64)
        is_known = np.array([movie_id is not None for _, movie_id in marks], dtype=bool)
        self.last_movie_id = marks[-1][1]
        place_R = np.searchsorted(mark_rows, rows_R, side="right") - 1
        return movie_ids[place_R], is_known[place_R]


def _parse(chunk: Chunk, layout: RatingsLayout) -> pl.DataFrame:
    """One row a line, null where a field is not of its column's type."""
    schema = _schema(layout)
    needed = [column for column in layout.columns if column]
    lazy = pl.scan_csv(
        _parsed_text(chunk, layout),
        has_header=False,
        schema=schema,
        separator=_parsed_separator(layout),
        quote_char=None,
        ignore_errors=True,
        truncate_ragged_lines=True,
        missing_columns="insert",
        extra_columns="ignore",
        encoding="utf8-lossy",
    )
    frame = lazy.select(needed).collect()
    assert frame.height == chunk.num_rows, (frame.height, chunk.num_rows)
    return frame


def _parsed_separator(layout: RatingsLayout) -> str:
    return layout.separator if len(layout.separator) == 1 else _ONE_BYTE.decode()


def _parsed_text(chunk: Chunk, layout: RatingsLayout) -> bytes:
    """The chunk with a separator of one byte, which is all that the parser takes."""
    if len(layout.separator) == 1:
        return chunk.data
    return chunk.data.replace(_ONE_BYTE, b"?").replace(layout.separator.encode(), _ONE_BYTE)


def _has_all_fields(chunk: Chunk, layout: RatingsLayout) -> npt.NDArray[np.bool_]:
    """Which lines have as many fields as they should; the parser itself fills up and cuts off.

    A line has not where a quote is opened in one field and closed in another, or never.
    """
    data = np.frombuffer(_parsed_text(chunk, layout), dtype=np.uint8)
    marks = np.flatnonzero((data == ord(_parsed_separator(layout))) | (data == ord("\n")))
    ends = np.flatnonzero(data[marks] == ord("\n"))
    has_all_R = np.asarray(np.diff(ends, prepend=-1) == len(layout.columns))
    if len(layout.separator) == 1 and b'"' in chunk.data:
        quotes = np.flatnonzero(data == ord('"'))
        is_open = np.diff(np.searchsorted(quotes, marks), prepend=0) % 2 == 1
        has_all_R[np.searchsorted(ends, np.flatnonzero(is_open))] = False
    return has_all_R


def _schema(layout: RatingsLayout) -> pl.Schema:
    """A type for each column."""
    types: dict[str, pl.DataType] = {}
    for place, column in enumerate(layout.columns):
        match column:
            case "user_id" | "movie_id":
                types[column] = pl.Int64()
            case "rating":
                types[column] = pl.Float32()
            case "rated_at":
                is_count = layout.dates is DateKind.UNIX
                types[column] = pl.Int64() if is_count else pl.String()
            case None:
                types[f"unused_{place}"] = pl.String()
    return pl.Schema(types)


def _is_sure(
    frame: pl.DataFrame, layout: RatingsLayout, scale: RatingScale | None
) -> npt.NDArray[np.bool_]:
    """Which rows need no second look."""
    needed = [column for column in layout.columns if column and column != "rated_at"]
    sure = [pl.col(column).is_not_null() for column in needed]
    sure.append(pl.col("rating").is_finite())
    if layout.dates:
        sure.append(_moment(layout.dates).is_not_null())
    is_sure_R = frame.select(pl.all_horizontal(sure).fill_null(value=False)).to_series().to_numpy()
    if scale:
        is_sure_R = is_sure_R & scale.admits(frame["rating"].fill_null(np.nan).to_numpy())
    return np.array(is_sure_R)


def _moment(dates: DateKind) -> pl.Expr:
    """Microseconds since 1970, or null for what is not plainly a date; that is read as text.

    The parser's own date type would also take `01/02/2005`, its order of day and month depending
    on the rows before it.
    """
    column = pl.col("rated_at")
    if dates is DateKind.UNIX:
        return pl.when(column.is_between(0, LAST_SECOND)).then(column) * _MICROSECONDS
    if dates is DateKind.DAY:
        plain = pl.when(column.str.len_bytes() == len("2005-09-06")).then(column)
        found = plain.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    else:
        plain = pl.when(column.str.len_bytes() == len("2005-09-06 12:00:00")).then(column)
        found = plain.str.replace("T", " ", literal=True).str.to_datetime(
            "%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"
        )
    return pl.when(found.dt.year() >= _FIRST_YEAR).then(found).to_physical()


def _columns(
    frame: pl.DataFrame,
    is_sure_R: npt.NDArray[np.bool_],
    found: Mapping[int, Rating],
    layout: RatingsLayout,
) -> tuple[Rows, dict[str, npt.NDArray[np.generic]]]:
    """Sure rows from the frame and found ones from their lines, in the order of the file."""
    names = [str(column) for column in layout.columns if column and column != "rated_at"]
    if layout.dates:
        frame = frame.with_columns(rated_at=_moment(layout.dates).cast(pl.Int64))
        names.append("rated_at")
    sure = frame.select(names).filter(is_sure_R)
    rows_R: Rows = np.flatnonzero(is_sure_R)
    columns: dict[str, npt.NDArray[np.generic]] = {name: sure[name].to_numpy() for name in names}
    if found:
        rows_F = np.fromiter(found, dtype=np.int64, count=len(found))
        attribute = {"rated_at": "moment"}
        for name in names:
            values_F = [getattr(said, attribute.get(name, name)) for said in found.values()]
            columns[name] = np.concatenate(
                [columns[name], np.array(values_F, dtype=columns[name].dtype)]
            )
        order = np.argsort(rows_R := np.concatenate([rows_R, rows_F]))
        rows_R = rows_R[order]
        columns = {name: values[order] for name, values in columns.items()}
    return rows_R, columns
