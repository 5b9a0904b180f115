"""Cells of an experiment as the warehouse keeps them: one system, one protocol, one seed.

What a cell means and how it comes about is told elsewhere; here it is entered and read.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.warehouse.database import Database


class Figures(BaseModel):
    """What was measured of a cell's model; errors in rating units, None where there is none."""

    model_config = ConfigDict(frozen=True)

    machine: str
    bundle_id: str | None = None
    num_epochs: int | None = None
    best_epoch: int | None = None
    num_test_ratings: int | None = None
    dev_rmse: float | None = None
    dev_rmse_bias: float | None = None
    test_rmse: float | None = None
    test_mae: float | None = None
    test_rmse_bias: float | None = None
    oracle_test_rmse: float | None = None
    seconds: float = 0.0


class Cell(Figures):
    """One system trained and measured under one protocol and seed, or why it could not be.

    `config_digest` leaves the seeds out: cells that share it differ by chance alone.
    """

    experiment: str
    system: str
    protocol: str
    data: str
    data_digest: str
    split_id: str
    seed: int
    config_digest: str
    fingerprint: str
    overrides: str
    status: Literal["done", "failed"]
    message: str = ""
    finished_at: datetime


def experiments_home(home: Home) -> Home:
    """The home of cells, inside the one given.

    Cells have a warehouse and bundles of their own, so that an experiment never becomes the model
    that is scored nightly. It holds one data set.
    """
    return Home(home.path / "experiments")


def fingerprint_of(experiment: str, protocol: str, config: Config, data_digest: str) -> str:
    """Equal for two cells that stand in one place and would come out the same."""
    place = experiment, protocol, config.name
    return _digest(*place, config.decisive, data_digest, version("deeprec"))


def config_digest_of(config: Config) -> str:
    """Equal for two configurations that train the same way; of one without its cell's seed."""
    return _digest(config.decisive)


def find_status(warehouse: Database, fingerprint: str) -> str | None:
    """How the cell of exactly these inputs ended, if it has."""
    found = warehouse.rows("experiments/status", fingerprint=fingerprint)
    return str(found[0][0]) if found else None


def request_again(warehouse: Database, fingerprint: str) -> None:
    """Have the configuration of a cell that has ended count as the one asked for last."""
    now = datetime.now(UTC).replace(tzinfo=None)
    warehouse.run("experiments/request_again", fingerprint=fingerprint, requested_at=now)


def record_cell(warehouse: Database, cell: Cell) -> None:
    """Enter a cell that has ended; one that another run has entered meanwhile stays."""
    warehouse.run("experiments/record", **cell.model_dump())


def read_cells(warehouse: Database, experiment: str) -> tuple[Cell, ...]:
    """An experiment's cells: of the data, and of each system the configuration, asked for last."""
    rows: Sequence[dict[str, Any]] = warehouse.table(
        "experiments/cells", experiment=experiment
    ).to_pylist()
    return tuple(Cell.model_validate(row) for row in rows)


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
