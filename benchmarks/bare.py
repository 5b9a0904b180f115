"""The least that could be done instead of ours, each a process: `python -m benchmarks.bare --help`.

`take-in` reads the rating files with polars, all at once, and inserts what it read into a new
DuckDB file. It checks nothing, digests nothing, keeps neither file nor line, looks for no repeated
rating and makes no index. A line `7:` of the one-file layouts becomes a row of nulls, and no rating
gets its movie: three columns are read and three inserted.

`sort` copies user, movie, rating and date of a warehouse's ratings into a table of the same file,
by user and movie, in the warehouse's own settings. It makes no list and no index.
"""

import json
from pathlib import Path

import duckdb
import polars as pl
import typer

from deeprec.config import WarehouseConfig

app = typer.Typer()
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


def _connect(file: Path) -> duckdb.DuckDBPyConnection:
    limit = WarehouseConfig().memory_limit
    assert limit is not None
    return duckdb.connect(file, config={"memory_limit": limit, "preserve_insertion_order": False})


if __name__ == "__main__":
    app()
