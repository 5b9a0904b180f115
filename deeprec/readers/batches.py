"""Rows that have been read, each with its file and line; how they were read is not known here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from deeprec.readers.chunks import Chunk, FileDigest
from deeprec.readers.layouts import Role
from deeprec.readers.rejections import Reason, printable

Rows = npt.NDArray[np.int64]  # row numbers in a chunk, 0-based

RATING_SCHEMA = pl.Schema(
    {
        "user_id": pl.Int64(),
        "movie_id": pl.Int64(),
        "rating": pl.Float32(),
        "rated_at": pl.Datetime("us"),
        "file_id": pl.Int32(),
        "line_number": pl.Int64(),
    }
)
MOVIE_SCHEMA = pl.Schema(
    {
        "movie_id": pl.Int64(),
        "title": pl.String(),
        "year": pl.Int16(),
        "file_id": pl.Int32(),
        "line_number": pl.Int64(),
    }
)
USER_SCHEMA = pl.Schema({"user_id": pl.Int64(), "file_id": pl.Int32(), "line_number": pl.Int64()})
REJECTED_SCHEMA = pl.Schema(
    {
        "file_id": pl.Int32(),
        "line_number": pl.Int64(),
        "text": pl.String(),
        "reason": pl.String(),
    }
)


@dataclass(frozen=True)
class Batch:
    """What a chunk came to: rows to keep, rows refused, and which files ended in it."""

    role: Role
    rows: pl.DataFrame
    rejected: pl.DataFrame
    ended: Sequence[FileDigest]
    num_bytes: int


class Places:
    """Where the rows of a chunk stand in their files, and what their lines say."""

    def __init__(self, chunk: Chunk) -> None:
        self._data = chunk.data
        self._ends = chunk.ends_R
        self._first_rows = np.array([span.first_row for span in chunk.spans], dtype=np.int64)
        self._first_lines = np.array([span.first_line for span in chunk.spans], dtype=np.int64)
        self._file_ids = np.array([span.file_id for span in chunk.spans], dtype=np.int32)

    def of(self, rows: Rows) -> tuple[npt.NDArray[np.int32], Rows]:
        """The file and the line (1-based) of each row; rows ascend."""
        counts = count_runs(self._first_rows, rows)
        offsets = np.repeat(self._first_lines - self._first_rows, counts)
        return np.repeat(self._file_ids, counts), rows + offsets

    def names_rows(self) -> Rows:
        """The rows that are the first line of a file."""
        return np.asarray(self._first_rows[self._first_lines == 1])

    def lines(self, rows: Rows) -> list[bytes]:
        """The text of some rows, without line ends."""
        if not len(rows):
            return []
        ends = self._ends
        starts = np.where(rows > 0, ends[rows - 1] + 1, 0)
        return [
            self._data[start:end].rstrip(b"\r")
            for start, end in zip(starts.tolist(), ends[rows].tolist(), strict=True)
        ]

    def rejected(self, refused: Mapping[int, tuple[bytes, Reason]]) -> pl.DataFrame:
        """The refused rows with file, line, text and reason."""
        refused = dict(sorted(refused.items()))
        rows = np.fromiter(refused, dtype=np.int64, count=len(refused))
        file_ids, line_numbers = self.of(rows)
        return pl.DataFrame(
            {
                "file_id": file_ids,
                "line_number": line_numbers,
                "text": [printable(line) for line, _ in refused.values()],
                "reason": [reason.value for _, reason in refused.values()],
            },
            schema=REJECTED_SCHEMA,
        )


def count_runs(first_rows: Rows, rows: Rows) -> Rows:
    """How many of the ascending rows belong to each run, of which the first begins at row 0."""
    return np.diff(np.searchsorted(rows, first_rows), append=len(rows))
