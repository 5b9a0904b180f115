"""Rows that have been read, each with its file and line; how they were read is not known here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from deeprec.readers.chunks import Chunk, FileDigest
from deeprec.readers.layouts import Role
from deeprec.readers.rejections import Reason, printable

Rows = npt.NDArray[np.int64]  # row numbers in a chunk, 0-based

_PLACE = {"file_id": pl.Int32, "line_number": pl.Int64}
RATING_SCHEMA = pl.Schema(
    {
        "user_id": pl.Int64,
        "movie_id": pl.Int64,
        "rating": pl.Float32,
        "rated_at": pl.Datetime("us"),
        **_PLACE,
    }
)
MOVIE_SCHEMA = pl.Schema({"movie_id": pl.Int64, "title": pl.String, "year": pl.Int16, **_PLACE})
USER_SCHEMA = pl.Schema({"user_id": pl.Int64, **_PLACE})
REJECTED_SCHEMA = pl.Schema({**_PLACE, "text": pl.String, "reason": pl.String})


@dataclass(frozen=True)
class Batch:
    """What a chunk came to: rows to keep, rows refused, and how many rows each file had in it."""

    role: Role
    rows: pl.DataFrame
    rejected: pl.DataFrame
    num_read: Mapping[int, int]
    ended: Sequence[FileDigest]
    num_bytes: int


@dataclass
class Places:
    """Where the rows of a chunk stand in their files."""

    chunk: Chunk
    _first_rows: Rows = field(init=False)
    _file_ids: npt.NDArray[np.int32] = field(init=False)
    _first_lines: Rows = field(init=False)

    def __post_init__(self) -> None:
        spans = self.chunk.spans
        self._first_rows = np.array([span.first_row for span in spans], dtype=np.int64)
        self._first_lines = np.array([span.first_line for span in spans], dtype=np.int64)
        self._file_ids = np.array([span.file_id for span in spans], dtype=np.int32)
