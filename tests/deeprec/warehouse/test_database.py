import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.warehouse.database import open_database
from deeprec.warehouse.opening import open_warehouse

IMPATIENT = WarehouseConfig(lock_timeout_s=0.5)
HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""
ROW = {"relation": "user_vectors", "data_digest": "x", "built_at": "2026-01-01"}


def test_a_transaction_is_all_or_nothing(home: Home) -> None:
    with open_warehouse(home) as warehouse:

        def fail() -> None:
            with warehouse.transaction():
                warehouse.run("materializations/record", **ROW)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert [] == warehouse.rows("materializations/made_of", relation="user_vectors")
        with warehouse.transaction():
            warehouse.run("materializations/record", **ROW)
    with open_warehouse(home) as warehouse:
        assert [("x",)] == warehouse.rows("materializations/made_of", relation="user_vectors")


def test_an_absent_file_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with (
        pytest.raises(WarehouseError, match="no such file"),
        open_database(tmp_path / "absent.duckdb", read_only=True),
    ):
        pass
    assert [] == list(tmp_path.iterdir())


def test_a_file_that_is_not_duckdbs_is_named(home: Home) -> None:
    home.path.mkdir()
    home.warehouse.write_bytes(b"these are not the bytes you are looking for" * 999)
    with pytest.raises(WarehouseError, match=r"warehouse\.duckdb"), open_warehouse(home):
        pass


def test_another_process_that_holds_the_file_is_waited_for_then_named(home: Home) -> None:
    with open_warehouse(home):
        pass
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        with (
            pytest.raises(WarehouseError, match=rf"held by another process.*{holder.pid}"),
            open_warehouse(home, IMPATIENT),
        ):
            pass
        holder.kill()
    with open_warehouse(home, IMPATIENT) as warehouse:
        assert [] == warehouse.rows("materializations/made_of", relation="user_vectors")


def test_a_folder_in_the_files_place_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    home = Home(tmp_path / "blocks")
    home.warehouse.mkdir(parents=True)
    with pytest.raises(WarehouseError, match="cannot be opened"), open_warehouse(home):
        pass


def test_tables_are_packed_in_groups_of_as_many_rows_as_told(tmp_path: Path) -> None:
    file, numbers = tmp_path / "file.duckdb", range(5000)
    with open_database(file, group_rows=2048) as database:
        database.run("scores/create_users")
    batch = dict.fromkeys(("user_id", "num_ratings", "vector_digest"), numbers)
    with open_database(file, group_rows=2048) as database:
        known = {"is_known": [True for _ in numbers]}
        database.run_with("scores/insert_users", pa.table(batch | known))
    with duckdb.connect(str(file), read_only=True) as connection:
        groups = connection.execute(
            "select sum(count)::integer from pragma_storage_info('users') "
            "where column_name = 'user_id' and segment_type = 'BIGINT' group by row_group_id"
        ).fetchall()
    assert [(904,), (2048,), (2048,)] == sorted(groups)
