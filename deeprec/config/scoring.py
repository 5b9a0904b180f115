"""What scoring is told."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from deeprec.config.section import Device, Section
from deeprec.places import checked_location

GROUP_ROWS = 2048  # the fewest: a group of lists is then packed while it is in the cache
Form = Literal["dense", "rows", "factored"]  # how predictions lie; `sql/scores` has a folder each


class ScoreConfig(Section):
    """From a bundle to the published tables."""

    storage: Literal["dense", "factored"] = Field(
        "dense",
        description="each prediction as a number, or as the product of two codes",
    )
    top_n: int = Field(10, ge=1, le=1000, description="recommendations a user")
    min_ratings: int = Field(
        0, ge=0, description="in training, of a movie that is recommended; all are predicted"
    )
    batch_size: int = Field(256, ge=1, description="users in one pass through the graph")
    shard_cells: int = Field(
        2**23, ge=1, description="predictions held in memory at once by one worker"
    )
    num_workers: int = Field(2, ge=1, description="shards scored at the same time")
    shards: Literal["duckdb", "parquet"] = Field(
        "duckdb",
        description="where workers leave a shard: in the run's DuckDB file, which takes one at a "
        "time, or in Parquet files that are gathered into it at the end",
    )
    shards_at: str = Field(
        "",
        description="where Parquet shards, and what workers need, are put: a folder that all "
        "workers see or s3://BUCKET/PREFIX; default: the home, which all workers must then see",
    )
    publish: Literal["table", "view"] = Field(
        "table",
        description="predictions in tables of the published file, or left in the shards' Parquet "
        "files, over which it is a view",
    )
    runner: Literal["threads", "dask", "ray"] = Field(
        "threads", description="what flows score shards on; commands have threads"
    )
    runner_address: str | None = Field(
        None, description="of a Dask or Ray cluster; default: one is started for the run"
    )
    device: Device = "auto"
    storage_version: str = Field(
        "v1.2.0",
        pattern=r"^(latest|v\d+\.\d+\.\d+)$",
        description="oldest DuckDB that can open the published file",
    )
    bundle: Path | None = Field(
        None, description="a bundle folder; default: the champion, else the newest trained"
    )
    keep_past: int = Field(
        2, ge=0, description="published files kept beside the present one, to roll back to"
    )

    incremental: bool = Field(
        True,
        description="score users whose vectors have changed, keep the published rows of others; "
        "false: everybody, into a new file, as also where a third of the published one is free",
    )

    @property
    def form(self) -> Form:
        """How predictions lie: in Parquet files as rows, which other engines read too."""
        return "rows" if self.publish == "view" else self.storage

    @property
    def group_rows(self) -> int | None:
        """Rows that a table of the published file packs together; None: as many as DuckDB likes."""
        return GROUP_ROWS if self.form == "dense" else None

    @field_validator("shards_at")
    @classmethod
    def _is_a_place(cls, shards_at: str) -> str:
        return checked_location(shards_at)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.shards_at and self.shards != "parquet":
            raise ValueError('shards_at needs shards = "parquet"')
        if self.runner != "threads" and self.shards != "parquet":
            raise ValueError(
                f'runner = "{self.runner}" needs shards = "parquet": only one process at a time '
                "can write a DuckDB file"
            )
        if self.runner == "threads" and self.runner_address:
            raise ValueError('runner_address needs runner = "dask" or "ray"')
        if self.publish == "view" and (self.shards != "parquet" or self.storage != "dense"):
            raise ValueError('publish = "view" needs shards = "parquet" and storage = "dense"')
        return self
