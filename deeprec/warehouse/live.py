"""The honest test: ratings that came after their predictions were published, held against them.

`materialize` queues each rating of a user and movie that had none before. Here the queue is held
against what is still published, which was predicted without it, before anything new takes its
place. Each user and movie is measured once, by the rating that stands then; one that has gone
meanwhile is not.
"""

import logging
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.warehouse.database import Database, open_database

_LOG = logging.getLogger(__name__)


class LiveReport(BaseModel):
    """How far published predictions were off the ratings of a day that came after them.

    `num_predicted` of `num_ratings` were of users and movies that were published; `rmse` is over
    those, in rating units, None where there are none.
    """

    model_config = ConfigDict(frozen=True)

    measured_on: date
    num_ratings: int
    num_predicted: int
    rmse: float | None


class LiveMetric(BaseModel):
    """The error of a published run over the ratings of a day, in one segment's bucket."""

    model_config = ConfigDict(frozen=True)

    measured_on: date
    run_id: str
    bundle_id: str
    segment: str
    bucket: str
    num_ratings: int
    rmse: float
    mae: float
    mean_error: float


def measure_arrivals(
    home: Home, warehouse: Database, day: date, config: WarehouseConfig
) -> LiveReport:
    """Hold every rating that waits against what is published, and empty the queue.

    In a transaction of the warehouse. Where nothing is published, nothing was predicted.

    Raises:
        WarehouseError: the published file cannot be read; the queue is left as it is.
    """
    arrived = warehouse.table("live/arrived")
    if arrived.num_rows and home.predictions.exists():
        with open_database(home.predictions, config, read_only=True) as published:
            run_id, bundle_id, *_ = published.row("scores/published_run")
            (form,) = published.row("scores/storage")
            measured = published.table_with(f"scores/{form}/of_pairs", arrived)
        run: dict[str, Any] = {"run_id": run_id, "bundle_id": bundle_id}
        warehouse.run_with("live/insert", measured, measured_on=day, **run)
    warehouse.run("live/clear_arrived")
    return read_day(warehouse, day)


def settle_arrivals(home: Home, warehouse: Database, day: date, config: WarehouseConfig) -> None:
    """As `measure_arrivals`, when what is published is about to go.

    What cannot be measured by now never can be: it is given up, with a word in the log.
    """
    try:
        measure_arrivals(home, warehouse, day, config)
    except WarehouseError as error:
        _LOG.warning("ratings that came since cannot be held against what was published: %s", error)
        warehouse.run("live/clear_arrived")


def read_day(warehouse: Database, day: date) -> LiveReport:
    """What was measured on a day."""
    num_ratings, num_predicted, rmse = warehouse.row("live/on_day", measured_on=day)
    return LiveReport(
        measured_on=day, num_ratings=num_ratings, num_predicted=num_predicted, rmse=rmse
    )


def read_metrics(warehouse: Database) -> tuple[LiveMetric, ...]:
    """Every day, published run, segment and bucket."""
    rows = warehouse.table("live/metrics").to_pylist()
    return tuple(LiveMetric.model_validate(row) for row in rows)
