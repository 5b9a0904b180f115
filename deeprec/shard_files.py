"""Shards as Parquet files and a ledger of them; knows neither models nor DuckDB.

    shard=00007/predictions-3f2a.parquet      written by one attempt at the shard
    shard=00007/recommendations-3f2a.parquet
    shard=00007/users-3f2a.parquet
    shard=00007/ledger.json                   last, by rename: names the files that count

Each attempt writes under names of its own, so what a killed, repeated or late one has left is in no
ledger and is never read.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

_LEDGER = "ledger.json"


class UnsoundShardError(Exception):
    """A shard's files are not those that its ledger speaks of; to be scored again."""


@dataclass(frozen=True)
class ShardRows:
    """A shard's rows: of predictions in the storage's own form, of recommendations, of users."""

    predictions: pa.Table
    recommendations: pa.Table
    users: pa.Table


class ShardFile(BaseModel):
    """One Parquet file that counts."""

    model_config = ConfigDict(frozen=True)

    name: str
    num_rows: int
    sha256: str


class ShardEntry(BaseModel):
    """A shard's entry in the ledger; numbers mean what they do in `scoring_shards`."""

    model_config = ConfigDict(frozen=True)

    shard: int
    num_users: int
    num_predictions: int
    num_rows: int
    checksum: int
    files: dict[str, ShardFile] = {}


@dataclass(frozen=True)
class ShardFiles:
    """The shards of one run, in a folder that all its workers see."""

    folder: Path

    def create(self) -> None:
        """Make the folder; once it is gone, late workers can write nothing."""
        self.folder.mkdir(parents=True)

    def clear(self) -> None:
        """Remove every shard."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, entry: ShardEntry, rows: ShardRows) -> None:
        """Have a shard's rows on disk, then enter them in the place of any other attempt's."""
        attempt = uuid4().hex
        files = {}
        for what, table in _tables(rows).items():
            name = f"{what}-{attempt}.parquet"
            content = _as_parquet(table)
            self._put(entry.shard, name, content)
            digest = hashlib.sha256(content).hexdigest()
            files[what] = ShardFile(name=name, num_rows=table.num_rows, sha256=digest)
        told = entry.model_copy(update={"files": files}).model_dump_json(indent=2)
        self._put(entry.shard, _LEDGER, told.encode())

    def entry(self, shard: int) -> ShardEntry | None:
        """The shard's entry in the ledger; None where there is none that can be read."""
        try:
            return ShardEntry.model_validate_json((self._of(shard) / _LEDGER).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def read(self, entry: ShardEntry) -> ShardRows:
        """The rows that an entry speaks of.

        Raises:
            UnsoundShardError: a file is gone, or is not the one that was written.
        """
        return ShardRows(**{what: self._read(entry, what) for what in ShardRows.__annotations__})

    def forget(self, shard: int) -> None:
        """Have a shard count as not scored."""
        (self._of(shard) / _LEDGER).unlink(missing_ok=True)

    def path(self, entry: ShardEntry, what: str) -> Path:
        """Where one of a shard's files that count is."""
        return self._of(entry.shard) / entry.files[what].name

    def sweep(self, entries: Iterable[ShardEntry]) -> None:
        """Remove the files that no entry names."""
        for entry in entries:
            named = {file.name for file in entry.files.values()} | {_LEDGER}
            for file in self._of(entry.shard).iterdir():
                if file.name not in named:
                    file.unlink(missing_ok=True)

    def _of(self, shard: int) -> Path:
        return self.folder / f"shard={shard:05}"

    def _put(self, shard: int, name: str, content: bytes | pa.Buffer) -> None:
        """A file that is there whole or not at all, whoever writes beside it."""
        self._of(shard).mkdir(exist_ok=True)
        partial = self._of(shard) / f".{name}.{uuid4().hex}"
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._of(shard) / name)

    def _read(self, entry: ShardEntry, what: str) -> pa.Table:
        told = entry.files.get(what)
        if told is None:
            raise UnsoundShardError(f"shard {entry.shard} has no {what}")
        file = self._of(entry.shard) / told.name
        try:
            content = file.read_bytes()
        except FileNotFoundError as error:
            raise UnsoundShardError(f"{file}: is gone") from error
        if hashlib.sha256(content).hexdigest() != told.sha256:
            raise UnsoundShardError(f"{file}: is not what was written")
        table = pq.read_table(pa.BufferReader(content))
        if table.num_rows != told.num_rows:
            raise UnsoundShardError(f"{file}: {table.num_rows} rows of {told.num_rows}")
        return table


def _tables(rows: ShardRows) -> dict[str, pa.Table]:
    return {what: getattr(rows, what) for what in ShardRows.__annotations__}


def _as_parquet(table: pa.Table) -> pa.Buffer:
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()
