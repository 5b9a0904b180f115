"""What tests of scoring on clusters share: what a published file says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

TABLES = ("predicted_ratings", "recommendations", "movies", "users")
SHARDS = "(select * exclude (scored_at) from scoring_shards)"


@pytest.fixture
def contents() -> Callable[[Path], list[list[tuple[Any, ...]]]]:
    """Reads the rows of a file's tables, those of shards last."""

    def read(path: Path) -> list[list[tuple[Any, ...]]]:
        with duckdb.connect(str(path), read_only=True) as file:
            return [
                file.execute(f"select * from {table} order by all").fetchall()
                for table in (*TABLES, SHARDS)
            ]

    return read
