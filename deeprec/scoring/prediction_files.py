"""Predicted ratings in a file of the user's choice; knows formats, not where they come from."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from deeprec.errors import ConfigError

SCHEMA = pa.schema(
    [("user_id", pa.int64()), ("movie_id", pa.int64()), ("predicted_rating", pa.float64())]
)
_ENDINGS = (".csv", ".parquet", ".json")


class PredictionWriter(Protocol):
    """A file that takes predictions a table at a time."""

    def write_table(self, table: pa.Table, /) -> None:
        """Append rows of `SCHEMA`."""

    def close(self) -> None:
        """Have all rows in the file."""


class _JsonWriter:
    """One array of objects, a row a line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._before = "[\n"

    def write_table(self, table: pa.Table, /) -> None:
        """See `PredictionWriter`."""
        for row in table.to_pylist():
            self._file.write(self._before + json.dumps(row))
            self._before = ",\n"

    def close(self) -> None:
        """See `PredictionWriter`."""
        self._file.write(("[" if self._before == "[\n" else "\n") + "]\n")
        self._file.close()


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before anything is computed for it.

    Raises:
        ConfigError: its name says no format that is known, or its folder is not there.
    """
    if path.suffix not in _ENDINGS:
        raise ConfigError(f"--output {path}: expected a name that ends in {', '.join(_ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--output {path}: the folder {path.absolute().parent} does not exist")


@contextmanager
def new_prediction_file(path: Path) -> Iterator[PredictionWriter]:
    """A file to fill, in the format of its ending; it appears whole, or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        writer = _open(unfinished, path.suffix)
        try:
            yield writer
        finally:
            writer.close()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _open(path: Path, ending: str) -> PredictionWriter:
    if ending == ".json":
        return _JsonWriter(path)
    opened: PredictionWriter
    opened = pc.CSVWriter(path, SCHEMA) if ending == ".csv" else pq.ParquetWriter(path, SCHEMA)
    return opened
