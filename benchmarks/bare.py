"""The least that could be done instead of ours, each a process: `python -m benchmarks.bare --help`.

`take-in` reads the rating files with polars, all at once, and inserts what it read into a new
DuckDB file. It checks nothing, digests nothing, keeps neither file nor line, looks for no repeated
rating and makes no index. A line `7:` of the one-file layouts becomes a row of nulls, and no rating
gets its movie: three columns are read and three inserted.

`sort` copies user, movie, rating and date of a warehouse's ratings into a table of the same file,
by user and movie, in the warehouse's own settings. It makes no list and no index.

`insert` puts a published file's dense predictions into a table of a new one, a row a user and
movie, in their order and that file's storage version. A shard of them at a time is read back as
Arrow, which is not counted: they are to be had already.
"""

import json
import time
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import typer

from deeprec.config.scoring import ScoreConfig
from deeprec.config.warehouse import WarehouseConfig

app = typer.Typer()
_ROWS_AT_ONCE = 2**23  # as many as a shard; DuckDB takes much more at once no faster
_USERS = "select user_id from users order by user_id"
_OF_USERS = (
    "from predicted_ratings where user_id between $lowest and $highest order by user_id, movie_id"
)
_CREATE = "create table scores.predicted_ratings as select * from rows"
_INSERT = "insert into scores.predicted_ratings select * from rows"
_SCHEMA = pl.Schema({"user_id": pl.Int64(), "rating": pl.Float32(), "rated_at": pl.Date()})


@app.command()
def take_in(folder: Path, file: Path) -> None:
    """Every line of a folder's rating files into a new file."""
    paths = sorted([*folder.glob("combined_data_*.txt"), *folder.glob("training_set/mv_*.txt")])
    scan = pl.scan_csv(
        paths, has_header=False, schema=_SCHEMA, ignore_errors=True, missing_columns="insert"
    )
    rows = scan.collect()  # DuckDB finds it by its name
    with _connect(file) as connection:
        connection.execute("create table ratings as select * from rows")
    typer.echo(json.dumps({"num_rows": rows.height}))


@app.command()
def sort(file: Path) -> None:
    """A warehouse's ratings by user and movie, as another table of it."""
    with _connect(file) as connection:
        connection.execute(
            "create table sorted as select user_id, movie_id, rating, rated_at from ratings "
            "order by user_id, movie_id"
        )
        (num_rows,) = connection.execute("select count(*) from sorted").fetchall()[0]
    typer.echo(json.dumps({"num_rows": num_rows}))


@app.command()
def insert(published: Path, file: Path) -> None:
    """A published file's predictions into a new file; only what DuckDB writes is timed."""
    seconds, num_rows = 0.0, 0
    version = ScoreConfig().storage_version
    with _connect(published, read_only=True) as source, _connect(Path(":memory:")) as target:
        target.execute(f"attach '{file}' as scores (storage_version '{version}')")
        ids = [user_id for (user_id,) in source.sql(_USERS).fetchall()]
        (num_movies,) = source.sql("select count(*) from movies").fetchall()[0]
        users_at_once = max(1, _ROWS_AT_ONCE // num_movies)
        for first in range(0, len(ids), users_at_once):
            some = ids[first : first + users_at_once]
            rows = source.sql(_OF_USERS, params={"lowest": some[0], "highest": some[-1]})
            target.register("rows", _narrow(rows.to_arrow_table()))
            started = time.monotonic()
            target.execute(_INSERT if first else _CREATE)
            seconds += time.monotonic() - started
            num_rows += len(some) * num_movies
        started = time.monotonic()
        target.execute("checkpoint scores")
        seconds += time.monotonic() - started
    typer.echo(json.dumps({"num_rows": num_rows, "seconds": seconds}))


def _narrow(rows: pa.Table) -> pa.Table:
    """Decimals in four bytes, as scoring hands them over; DuckDB gives them in sixteen."""
    fields = [
        field.with_type(pa.decimal32(field.type.precision, field.type.scale))
        if pa.types.is_decimal(field.type)
        else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))


def _connect(file: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    limit = WarehouseConfig().memory_limit
    assert limit is not None
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": limit,
        "preserve_insertion_order": read_only,
    }
    return duckdb.connect(file, read_only=read_only, config=settings)


if __name__ == "__main__":
    app()
