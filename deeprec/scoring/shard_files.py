"""Shards as Parquet files and a ledger of them; knows neither models nor DuckDB.

    shard=00007/predictions-3f2a.parquet      written by one attempt at the shard
    shard=00007/recommendations-3f2a.parquet
    shard=00007/users-3f2a.parquet
    shard=00007/ledger.json                   last: names the files that count

Each attempt writes under names of its own, so what a killed, repeated or late one has left is in no
ledger and is never read.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from deeprec.places import Place

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
    """The shards of one run, in a place that all its workers reach."""

    place: Place

    def write(self, entry: ShardEntry, rows: ShardRows) -> None:
        """Put a shard's rows, then enter them in the place of any other attempt's."""
        attempt = uuid4().hex
        files = {}
        for what, table in _tables(rows).items():
            name = f"{what}-{attempt}.parquet"
            content = as_parquet(table)
            self.place.put(_in(entry.shard, name), content)
            digest = hashlib.sha256(content).hexdigest()
            files[what] = ShardFile(name=name, num_rows=table.num_rows, sha256=digest)
        told = entry.model_copy(update={"files": files}).model_dump_json(indent=2)
        self.place.put(_in(entry.shard, _LEDGER), told.encode())

    def entry(self, shard: int) -> ShardEntry | None:
        """The shard's entry in the ledger; None where there is none that can be read."""
        try:
            return ShardEntry.model_validate_json(self.place.get(_in(shard, _LEDGER)))
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
        self.place.remove(_in(shard, _LEDGER))

    def url(self, entry: ShardEntry, what: str) -> str:
        """Where one of a shard's files that count is."""
        return self.place.url(_in(entry.shard, entry.files[what].name))

    def sweep(self, entries: Iterable[ShardEntry]) -> None:
        """Remove the files that no entry names."""
        for entry in entries:
            named = {file.name for file in entry.files.values()} | {_LEDGER}
            for name in self.place.names(_in(entry.shard)):
                if name not in named:
                    self.place.remove(_in(entry.shard, name))

    def _read(self, entry: ShardEntry, what: str) -> pa.Table:
        told = entry.files.get(what)
        if told is None:
            raise UnsoundShardError(f"shard {entry.shard} has no {what}")
        url = self.url(entry, what)
        try:
            content = self.place.get(_in(entry.shard, told.name))
        except FileNotFoundError as error:
            raise UnsoundShardError(f"{url}: is gone") from error
        if hashlib.sha256(content).hexdigest() != told.sha256:
            raise UnsoundShardError(f"{url}: is not what was written")
        table = from_parquet(content)
        if table.num_rows != told.num_rows:
            raise UnsoundShardError(f"{url}: {table.num_rows} rows of {told.num_rows}")
        return table


def as_parquet(table: pa.Table) -> bytes:
    """A table as the content of one file."""
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, compression="zstd")
    return bytes(stream.getvalue().to_pybytes())


def from_parquet(content: bytes) -> pa.Table:
    """The table again."""
    return pq.read_table(pa.BufferReader(content))


def _in(shard: int, name: str = "") -> str:
    """The name of a shard's folder, or of a file in it."""
    return f"shard={shard:05}/{name}".rstrip("/")


def _tables(rows: ShardRows) -> dict[str, pa.Table]:
    return {what: getattr(rows, what) for what in ShardRows.__annotations__}
