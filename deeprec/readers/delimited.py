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

from deeprec.ahead import in_turn
from deeprec.ratings import RatingScale
from deeprec.readers.batches import RATING_SCHEMA, Batch, Places, Rows, count_runs
from deeprec.readers.chunks import BYTE_ORDER_MARK, Chunk, read_chunks
from deeprec.readers.days import plain_days
from deeprec.readers.fields import LAST_SECOND
from deeprec.readers.layouts import DateKind, RatingsLayout, Role
from deeprec.readers.lines import Header, Rating, blame, judge
from deeprec.readers.moments import plain_moments
from deeprec.readers.prize_lines import read_prize_lines
from deeprec.readers.rejections import Reason

_ONE_BYTE = b"\x1f"  # stands for a separator of two bytes in what the parser is given
_CHUNKS_AT_ONCE = 2  # where one keeps a single core busy, another fills the rest
_FEW_LINES, _FEW = 100, 0.01  # of a chunk, as a number and a fraction: read again one by one
_MICROSECONDS = 1_000_000
_MOMENT = RATING_SCHEMA["rated_at"]


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

    def read(chunk: Chunk) -> _ReadChunk:
        return _ReadChunk(chunk, layout, scale)

    movie_id = None
    for chunk in in_turn(read, read_chunks(files, chunk_bytes), _CHUNKS_AT_ONCE):
        batch, movie_id = chunk.batch(movie_id)
        yield batch


class _ReadChunk:
    """One chunk on its way from bytes to a batch; all that it takes, but the movie before it."""

    def __init__(self, chunk: Chunk, layout: RatingsLayout, scale: RatingScale | None) -> None:
        self._chunk = chunk
        self._layout = layout
        self._scale = scale
        self._places = Places(chunk)
        self._headers: dict[int, Header] = {}
        self._refused: dict[int, tuple[bytes, Reason]] = {}
        self._rows_R = np.empty(0, dtype=np.int64)
        self._kept = pl.DataFrame(schema=RATING_SCHEMA)
        if chunk.num_rows:
            self._read()

    def _read(self) -> None:
        """Parse the chunk, and look at its doubtful lines."""
        layout = self._layout
        frame, is_sure_R = self._prize_lines() or self._fields()
        lines = self._lines(~is_sure_R)
        verdicts = {row: judge(line, layout, self._scale) for row, line in lines.items()}
        if layout.names_line:
            verdicts.update(dict.fromkeys(self._places.names_rows().tolist()))
        self._headers = {row: said for row, said in verdicts.items() if isinstance(said, Header)}
        found = {row: said for row, said in verdicts.items() if isinstance(said, Rating)}
        self._refused = {
            row: (lines[row], said) for row, said in verdicts.items() if isinstance(said, Reason)
        }
        self._refused |= {
            row: (lines[row], blame(lines[row], Reason.NOT_A_NUMBER))
            for row, said in self._headers.items()
            if said.movie_id is None
        }
        self._rows_R, self._kept = _with_found(frame, is_sure_R, found)

    def batch(self, movie_id: int | None) -> tuple[Batch, int | None]:
        """The chunk's ratings, what was refused, and the files that ended in it.

        Args:
            movie_id: the one that the chunk before ended with.

        Returns:
            the batch, and the movie that this chunk ends with.
        """
        rows_R, kept, refused = self._rows_R, self._kept, self._refused
        if self._layout.has_movie_headers and self._chunk.num_rows:
            movie_id_R, is_headed_R, movie_id = self._headed(movie_id)
            kept = kept.with_columns(movie_id=movie_id_R)
            if not is_headed_R.all():
                astray = rows_R[~is_headed_R]
                before = zip(astray.tolist(), self._places.lines(astray), strict=True)
                refused = refused | {row: (line, Reason.BEFORE_HEADER) for row, line in before}
                rows_R, kept = rows_R[is_headed_R], kept.filter(is_headed_R)
        file_id_R, line_number_R = self._places.of(rows_R)
        kept = kept.with_columns(file_id=file_id_R, line_number=line_number_R)
        if not self._layout.dates:
            kept = kept.with_columns(rated_at=pl.lit(None, _MOMENT))
        rows, rejected = kept.select(list(RATING_SCHEMA)), self._places.rejected(refused)
        chunk = self._chunk
        return Batch(Role.RATINGS, rows, rejected, chunk.ended, chunk.num_bytes), movie_id

    def _prize_lines(self) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]] | None:
        """What lines of the Netflix Prize's own form say, and which these are; None: others."""
        if not self._layout.has_prize_lines:
            return None
        read = read_prize_lines(self._chunk.data, self._chunk.ends_R)
        is_sure_R = read.is_plain_R
        if self._scale:
            is_sure_R &= self._scale.admits(np.arange(256.0)).take(read.rating_R)
        num_doubtful = len(is_sure_R) - np.count_nonzero(is_sure_R)
        if num_doubtful > max(_FEW_LINES, _FEW * len(is_sure_R)):
            return None
        columns = {"user_id": read.user_id_R, "rating": read.rating_R, "rated_at": read.moment_R}
        return pl.DataFrame(columns).cast({"rating": pl.Float32(), "rated_at": _MOMENT}), is_sure_R

    def _fields(self) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
        """The fields that the parser finds in each line, and which lines need no second look."""
        frame = _parse(self._chunk, self._layout)
        is_sure_R = self._is_sure(frame)
        if not self._adds_up(frame, is_sure_R, self._lines(~is_sure_R)):
            is_sure_R &= _has_all_fields(self._chunk, self._layout)
        return frame, is_sure_R

    def _is_sure(self, frame: pl.DataFrame) -> npt.NDArray[np.bool_]:
        """Which rows need no second look, if they have the right number of fields."""
        sure = frame.select(pl.all_horizontal(pl.all().is_not_null(), pl.col("rating").is_finite()))
        is_sure_R = np.array(sure.to_series().to_numpy())
        if self._scale:
            is_sure_R &= self._scale.admits(frame["rating"].fill_null(np.nan).to_numpy())
        if self._layout.names_line:
            is_sure_R[self._places.names_rows()] = False
        if self._chunk.data.startswith(BYTE_ORDER_MARK):  # which the parser passes over
            is_sure_R[0] = False
        return is_sure_R

    def _lines(self, is_doubtful_R: npt.NDArray[np.bool_]) -> dict[int, bytes]:
        """The text of the doubtful rows."""
        doubtful_D = np.flatnonzero(is_doubtful_R)
        return dict(zip(doubtful_D.tolist(), self._places.lines(doubtful_D), strict=True))

    def _adds_up(
        self, frame: pl.DataFrame, is_sure_R: npt.NDArray[np.bool_], lines: Mapping[int, bytes]
    ) -> bool:
        """Whether one count tells that all sure lines have the right number of fields.

        None has fewer where the parser has found the last one of each; then none has more if they
        have no more separators together. Quotes may hold separators: they need a look.
        """
        data, separator = self._chunk.data, self._layout.separator.encode()
        has_quotes = len(separator) == 1 and b'"' in data
        if has_quotes or self._layout.columns[-1] not in frame.columns:
            return False
        num_doubtful = sum(line.count(separator) for line in lines.values())
        num_needed = (len(self._layout.columns) - 1) * np.count_nonzero(is_sure_R)
        return data.count(separator) - num_doubtful == num_needed

    def _headed(self, movie_id: int | None) -> tuple[Rows, npt.NDArray[np.bool_], int | None]:
        """The movie that the header before each row names, whether there is one, and the last one.

        No header counts beyond the end of its file; one counts on into the file's next chunk.
        """
        marks = [
            (span.first_row, movie_id if span.first_line > 1 else None)
            for span in self._chunk.spans
        ]
        marks += [(row, header.movie_id) for row, header in self._headers.items()]
        marks.sort(key=lambda mark: mark[0])  # stable: a file's start comes before its header
        mark_rows = np.array([row for row, _ in marks], dtype=np.int64)
        movie_ids = np.array([movie_id or 0 for _, movie_id in marks], dtype=np.int64)
        is_known = np.array([movie_id is not None for _, movie_id in marks], dtype=bool)
        counts = count_runs(mark_rows, self._rows_R)
        return np.repeat(movie_ids, counts), np.repeat(is_known, counts), marks[-1][1]


def _parse(chunk: Chunk, layout: RatingsLayout) -> pl.DataFrame:
    """One row a line, null where a field is not plainly of its column's type."""
    text = _parsed_text(chunk, layout)
    if len(layout.separator) == 1 and b'"' in text:
        text = _without_quotes(text, layout.separator.encode())
    lazy = pl.scan_csv(
        text,
        has_header=False,
        schema=_schema(layout),
        separator=_parsed_separator(layout),
        quote_char=None,
        ignore_errors=True,
        truncate_ragged_lines=True,
        missing_columns="insert",
        extra_columns="ignore",
        encoding="utf8-lossy",
    )
    needed = [column for column in layout.columns if column and column != "rated_at"]
    frame = lazy.select(*needed, *(["rated_at"] if layout.dates else [])).collect().rechunk()
    assert frame.height == chunk.num_rows, (frame.height, chunk.num_rows)
    if layout.dates:
        frame = frame.with_columns(_moments(frame["rated_at"], layout.dates))
    return frame


def _parsed_separator(layout: RatingsLayout) -> str:
    return layout.separator if len(layout.separator) == 1 else _ONE_BYTE.decode()


def _parsed_text(chunk: Chunk, layout: RatingsLayout) -> bytes:
    """The chunk with a separator of one byte, which is all that the parser takes."""
    if len(layout.separator) == 1:
        return chunk.data
    return chunk.data.replace(_ONE_BYTE, b"?").replace(layout.separator.encode(), _ONE_BYTE)


def _without_quotes(text: bytes, separator: bytes) -> bytes:
    """The text without a quote at either end of each field; a field may have lost one of a pair.

    The rows stay. Where a field had an even number of quotes and none is left, it lost a pair.
    """
    for end in (separator, b"\r\n", b"\n"):
        text = text.replace(b'"' + end, end)
    for start in (separator, b"\n"):
        text = text.replace(start + b'"', start)
    return text.removeprefix(b'"')


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


def _moments(written: pl.Series, dates: DateKind) -> pl.Series:
    """The moments, null for what is not plainly one; that is read as text.

    The parser's own date type would also take `01/02/2005`, its order of day and month depending
    on the rows before it.
    """
    if dates is DateKind.DAY:
        return plain_days(written).cast(_MOMENT)
    if dates is DateKind.TIMESTAMP:
        return plain_moments(written)
    column = pl.col(written.name)
    known = pl.when(column.is_between(0, LAST_SECOND)).then(column)
    return written.to_frame().select((known * _MICROSECONDS).cast(_MOMENT)).to_series()


def _with_found(
    frame: pl.DataFrame, is_sure_R: npt.NDArray[np.bool_], found: Mapping[int, Rating]
) -> tuple[Rows, pl.DataFrame]:
    """The sure rows, and among them those that were found in lines, with what these say."""
    attribute = {"rated_at": "moment"}
    if found:
        is_sure_R[[*found]] = True
        for name, kind in frame.schema.items():
            exact = [getattr(said, attribute.get(name, name)) for said in found.values()]
            column = frame[name].scatter([*found], pl.Series(exact).cast(kind))
            frame = frame.with_columns(column)
    return np.flatnonzero(is_sure_R), frame.filter(is_sure_R)
