"""A home's warehouse: made, brought up to date, or refused."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import duckdb
import pytest

from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import SCHEMA_VERSION, open_warehouse, read_warehouse

IMPATIENT = WarehouseConfig(lock_timeout_s=0.5)
ROW = {"relation": "user_vectors", "data_digest": "x", "built_at": "2026-01-01"}


def test_a_new_home_gets_a_warehouse_with_nothing_in_it(home: Home) -> None:
    with open_warehouse(home) as warehouse:
        assert (0, 0, 0, 0) == warehouse.row("vectors/counts")
    assert home.warehouse.is_file()


def test_two_writers_of_one_home_take_turns(home: Home) -> None:
    with (
        open_warehouse(home),
        pytest.raises(WarehouseError, match="held by another deeprec process"),
        open_warehouse(home, IMPATIENT),
    ):
        pass


def test_a_warehouse_of_another_schema_is_refused(home: Home) -> None:
    with open_warehouse(home) as warehouse:
        warehouse.run("warehouse/record_version", version=99)
    with pytest.raises(WarehouseError, match="schema version 99"), open_warehouse(home):
        pass


def test_a_warehouse_of_the_layout_before_is_brought_up_to_date(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(home) as warehouse:
        warehouse.run("materializations/record", **ROW)
    with duckdb.connect(home.warehouse) as connection:
        connection.execute("drop table experiment_requests")
        connection.execute("drop table evaluation_lists")
        connection.execute("drop table scale_changes")
        connection.execute("update warehouse_info set schema_version = 3")
    with monkeypatch.context() as reader:
        reader.setattr("deeprec.warehouse.opening.os.access", lambda *_: False)
        with pytest.raises(WarehouseError, match="may write to the home"), read_warehouse(home):
            pass
    with read_warehouse(home) as warehouse:
        assert [("x",)] == warehouse.rows("materializations/made_of", relation="user_vectors")
        assert [] == warehouse.rows("models/evaluation_lists", bundle_id="any")
    with open_warehouse(home) as warehouse:
        assert [("x",)] == warehouse.rows("materializations/made_of", relation="user_vectors")
        assert [] == warehouse.rows("experiments/cells", experiment="any")
        assert (SCHEMA_VERSION,) == warehouse.row("warehouse/version")


@pytest.mark.parametrize("opened", [open_warehouse, read_warehouse])
def test_another_programs_duckdb_file_is_refused_and_left_alone(
    home: Home, opened: Callable[[Home], AbstractContextManager[Database]]
) -> None:
    home.path.mkdir(exist_ok=True)
    with duckdb.connect(home.warehouse) as connection:
        connection.execute("create table sales (amount integer)")
    with pytest.raises(WarehouseError, match="not one that deeprec has written"), opened(home):
        pass
    with duckdb.connect(home.warehouse) as connection:
        assert [("sales",)] == connection.execute("show tables").fetchall()
