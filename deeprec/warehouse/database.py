"""The only module that speaks DuckDB: opens files, runs the statements under `sql/`, moves Arrow.

What the statements mean belongs to the stages that name them.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import HeldError, WarehouseError
from deeprec.places import open_store
from deeprec.shipped import sql_root

_RETRY_S = 0.2
_ROWS_AT_ONCE = 4_000_000
# A full disk, too little memory; both can also end a transaction or the whole database.
_REFUSED = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
    duckdb.FatalException,
)


@cache
def statement(name: str) -> str:
    """The text of one statement; its name is its path under `sql/` without the ending."""
    return (sql_root() / f"{name}.sql").read_text(encoding="utf-8")


@cache
def parameters_of(name: str) -> frozenset[str]:
    """The names of a statement's parameters."""
    code = re.sub(r"--.*", "", statement(name))
    return frozenset(re.findall(r"\$(\w+)", code))


class Database:
    """One open DuckDB file, spoken to in named statements."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def run(self, name: str, /, **parameters: object) -> None:
        """Execute a statement for its effect."""
        with _translated():
            self._connection.execute(statement(name), parameters or None)

    def rows(self, name: str, /, **parameters: object) -> list[tuple[Any, ...]]:
        """Every row of a small result."""
        with _translated():
            return self._connection.execute(statement(name), parameters or None).fetchall()

    def row(self, name: str, /, **parameters: object) -> tuple[Any, ...]:
        """The row of a result that has exactly one."""
        (row,) = self.rows(name, **parameters)
        return row

    def some(
        self,
        name: str,
        at_most: int,
        /,
        batch: pa.Table | None = None,  # noqa: ARG002 - DuckDB finds it by its name
        **parameters: object,
    ) -> list[dict[str, Any]]:
        """The first rows of a result that may be large, by column; it may read `batch`."""
        with _translated():
            query = self._connection.sql(statement(name), params=parameters or None).limit(at_most)
            return [dict(zip(query.columns, row, strict=True)) for row in query.fetchall()]

    def table(self, name: str, /, **parameters: object) -> pa.Table:
        """A whole result as Arrow."""
        with _translated():
            query = self._connection.sql(statement(name), params=parameters or None)
            return query.to_arrow_table()

    def run_with(
        self,
        name: str,
        batch: pa.Table | pa.RecordBatch,  # noqa: ARG002 - DuckDB finds it by its name
        /,
        **parameters: object,
    ) -> None:
        """Execute a statement that reads the Arrow table `batch` under that name.

        The name is looked up in this function. A table that is registered instead would be held
        in memory until the transaction ends, and with it all that one reads in.
        """
        with _translated():
            self._connection.execute(statement(name), parameters or None)

    def table_with(
        self,
        name: str,
        batch: pa.Table,  # noqa: ARG002 - DuckDB finds it by its name
        /,
        **parameters: object,
    ) -> pa.Table:
        """A whole result, as Arrow, of a statement that reads `batch` as `run_with` has it."""
        with _translated():
            query = self._connection.sql(statement(name), params=parameters or None)
            return query.to_arrow_table()

    def create_view(self, view: str, name: str, /, **parameters: object) -> None:
        """Keep a statement's result under a name, to be computed when it is read.

        In SQL such a statement takes no parameters.
        """
        with _translated():
            query = self._connection.sql(statement(name), params=parameters or None)
            query.create_view(view, replace=True)

    @contextmanager
    def beside(self) -> Iterator["Database"]:
        """The same file on a connection of its own, which sees what was committed before."""
        with self._another_connection() as connection:
            yield Database(connection)

    @contextmanager
    def reader(self, name: str, /, **parameters: object) -> Iterator[pa.RecordBatchReader]:
        """A large result as Arrow, some rows at a time, of what was committed before.

        It has a connection of its own: the next statement on the same one would end it.
        """
        with _translated(), self._another_connection() as connection:
            query = connection.sql(statement(name), params=parameters or None)
            yield query.to_arrow_reader(_ROWS_AT_ONCE)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's statements, or none of them."""
        self._connection.execute("begin")
        try:
            yield
        except BaseException:
            with suppress(duckdb.Error):  # a fatal error has ended the transaction already
                self._connection.execute("rollback")
            raise
        with _translated():
            self._connection.execute("commit")

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file."""
        with _translated():
            self._connection.execute("checkpoint")

    def reach_store(self) -> None:
        """Have statements read s3:// URLs, without an extension that comes from the network.

        Raises:
            ConfigError: the extra `s3` is not installed.
        """
        self._connection.register_filesystem(open_store())

    @contextmanager
    def _another_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._connection.cursor() as connection:
            connection.execute("use warehouse")
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    """What the machine refuses is the user's to mend; what a statement gets wrong is ours."""
    try:
        yield
    except _REFUSED as error:
        raise WarehouseError(
            f"DuckDB could not go on, nothing of this step was kept: {error}"
        ) from error
    except duckdb.Error as error:
        if type(error) is not duckdb.Error:
            raise
        # From the file system of Python's that reads the store; its last line names the reason,
        # under which DuckDB may show where in the statement it was needed.
        reason = str(error).partition("\n\nLINE ")[0].strip().rpartition("\n")[2]
        raise WarehouseError(
            f"DuckDB could not read the store that holds predicted_ratings: {reason}"
        ) from error
    except RuntimeError as error:
        if "interrupt" in str(error).lower():
            raise KeyboardInterrupt from error
        raise


@contextmanager
def open_database(
    path: Path,
    config: WarehouseConfig | None = None,
    *,
    read_only: bool = False,
    storage_version: str | None = None,
    block_bytes: int | None = None,
    group_rows: int | None = None,
) -> Iterator[Database]:
    """A DuckDB file, created when absent; waits while another process holds it.

    Args:
        path: the file.
        config: threads, memory and how long to wait.
        read_only: many processes may read at once, none while one writes.
        storage_version: the oldest DuckDB release that can open what is written.
        block_bytes: what a new file is divided into; 256 KiB unless told.
        group_rows: rows of a table that a new file packs together; 122,880 unless told.

    Raises:
        WarehouseError: absent and `read_only`, not a DuckDB file, or held for too long.
        ConfigError: `predicted_ratings` is a view over a store, and the extra `s3` is missing.
    """
    config = config or WarehouseConfig()
    if read_only and not path.exists():
        raise WarehouseError(f"{path}: no such file; an earlier step of the pipeline makes it")
    options = ["read_only" if read_only else "read_write"]
    if storage_version:
        options.append(f"storage_version {_quoted(storage_version)}")
    if block_bytes:
        options.append(f"block_size {block_bytes}")
    if group_rows:
        options.append(f"row_group_size {group_rows}")
    connection = _connect(config)
    try:
        _attach(connection, path, config, options)
        database = Database(connection)
        if database.row("warehouse/reads_store") == (True,):
            database.reach_store()
        yield database
    finally:
        connection.close()


@contextmanager
def open_memory(config: WarehouseConfig) -> Iterator[Database]:
    """A database without a file, for statements that read batches alone."""
    with _connect(config) as connection:
        yield Database(connection)


def _connect(config: WarehouseConfig) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,  # from the network, at first use, slow to fail
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    if config.threads:
        settings["threads"] = config.threads
    if config.memory_limit:
        settings["memory_limit"] = config.memory_limit
    connection = duckdb.connect(config=settings)
    connection.execute("set enable_progress_bar = false")
    connection.execute("set global timezone = 'UTC'")  # of `current_timestamp`, as all our moments
    return connection


def _attach(
    connection: duckdb.DuckDBPyConnection, path: Path, config: WarehouseConfig, options: list[str]
) -> None:
    """Make `path` the connection's database, retrying while another process holds it."""
    attach = f"attach {_quoted(str(path))} as warehouse ({', '.join(options)})"
    deadline = time.monotonic() + config.lock_timeout_s
    while True:
        try:
            connection.execute(attach)
            break
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise WarehouseError(f"{path}: cannot be opened: {error}") from error
            if time.monotonic() >= deadline:
                raise HeldError(
                    f"{path}: held by another process for {config.lock_timeout_s:.0f} s; "
                    f"close it there, then run this again ({_holder(error)})"
                ) from error
            time.sleep(_RETRY_S)
        except duckdb.Error as error:
            raise WarehouseError(f"{path}: not a DuckDB file this can read: {error}") from error
    connection.execute("use warehouse")
    spill = path.parent / f".{path.name}.tmp"  # DuckDB's own choice is the current folder
    connection.execute(f"set temp_directory = {_quoted(str(spill))}")


def _holder(error: duckdb.IOException) -> str:
    """DuckDB's words about who holds a file, without its advice, which does not help here."""
    return str(error).partition(". ")[0].partition("\n")[0]


def _quoted(text: str) -> str:
    """A SQL string literal; ATTACH takes no parameters."""
    return "'" + text.replace("'", "''") + "'"
