"""A home's warehouse: opened with its schema in place, or only read; one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.shipped import sql_root
from deeprec.warehouse.database import Database, open_database

SCHEMA_VERSION = 6
_KNOWN_VERSIONS = range(3, SCHEMA_VERSION + 1)  # each has but more tables than the one before


@contextmanager
def open_warehouse(home: Home, config: WarehouseConfig | None = None) -> Iterator[Database]:
    """The home's warehouse with its schema in place; one process at a time.

    Raises:
        WarehouseError: held by another process, or written by another version of deeprec.
    """
    config = config or WarehouseConfig()
    with (
        home.lock("warehouse", config.lock_timeout_s),
        open_database(home.warehouse, config) as warehouse,
    ):
        _ensure_schema(warehouse, home.warehouse)
        yield warehouse


@contextmanager
def read_warehouse(home: Home, config: WarehouseConfig | None = None) -> Iterator[Database]:
    """The home's warehouse, in which nothing can be changed; one process at a time.

    Accounts that may only read take no lock of ours: DuckDB's own keeps them and writers apart.
    Others bring a file of an older layout up to date first.

    Raises:
        WarehouseError: absent, held by another process, or not written by this deeprec.
    """
    config = config or WarehouseConfig()
    require_warehouse(home)
    can_write = os.access(home.path, os.W_OK)
    with home.lock("warehouse", config.lock_timeout_s) if can_write else nullcontext():
        if can_write and _is_behind(home, config):
            with open_database(home.warehouse, config) as warehouse:
                _ensure_schema(warehouse, home.warehouse)
        with open_database(home.warehouse, config, read_only=True) as warehouse:
            _require_layout(warehouse, home.warehouse)
            yield warehouse


def require_warehouse(home: Home) -> None:
    """Refuse a home that nothing was taken into, before a folder is made for it.

    Raises:
        WarehouseError: it has no warehouse.
    """
    if not home.warehouse.exists():
        raise WarehouseError(f"{home.path}: has no warehouse; run `deeprec ingest SOURCE` first")


def _ensure_schema(warehouse: Database, path: Path) -> None:
    """Create what is missing; refuse a file of other tables, or of a layout that is not known."""
    num_tables, is_ours = warehouse.row("warehouse/contents")
    if num_tables and not is_ours:
        raise _foreign(path)
    if is_ours:
        (version,) = warehouse.row("warehouse/version")
        if version == SCHEMA_VERSION:
            return
        if version is not None:
            _check_version(version, path)
    with warehouse.transaction():
        for file in sorted((sql_root() / "schema").glob("*.sql")):
            warehouse.run(f"schema/{file.stem}")
        warehouse.run("warehouse/record_version", version=SCHEMA_VERSION)


def _is_behind(home: Home, config: WarehouseConfig) -> bool:
    """Whether the file is of an older layout, which can be brought up to date."""
    with open_database(home.warehouse, config, read_only=True) as warehouse:
        return _version(warehouse, home.warehouse) < SCHEMA_VERSION


def _require_layout(warehouse: Database, path: Path) -> None:
    """Refuse a file that an older deeprec has laid out."""
    version = _version(warehouse, path)
    if version < SCHEMA_VERSION:
        raise WarehouseError(
            f"{path}: laid out by schema version {version}, this deeprec reads {SCHEMA_VERSION}; "
            "an account that may write to the home brings it up to date with any command"
        )


def _version(warehouse: Database, path: Path) -> int:
    """The layout of a file of ours."""
    _, is_ours = warehouse.row("warehouse/contents")
    if not is_ours:
        raise _foreign(path)
    version: int
    (version,) = warehouse.row("warehouse/version")
    _check_version(version, path)
    return version


def _foreign(path: Path) -> WarehouseError:
    return WarehouseError(
        f"{path}: a DuckDB file, but not one that deeprec has written; name another home, "
        "or move the file away and run `deeprec ingest SOURCE`"
    )


def _check_version(version: int, path: Path) -> None:
    """Refuse a file of a layout that the schema's statements do not bring up to date."""
    if version not in _KNOWN_VERSIONS:
        raise WarehouseError(
            f"{path}: laid out by schema version {version}, this deeprec writes {SCHEMA_VERSION}; "
            f"use the deeprec that wrote it, or ingest into a new home"
        )
