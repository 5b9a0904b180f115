"""Runs an experiment: every system of a set under one protocol and several seeds, cell by cell.

A cell is trained, exported and measured like any other model, and entered in the warehouse as it
ends, so a run that was stopped goes on with the cells that are missing.
"""

import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config, with_bundle
from deeprec.errors import (
    DeeprecError,
    ExportError,
    MetricError,
    SplitError,
    TrainingError,
    WarehouseError,
)
from deeprec.evaluation.evaluate import BIAS, MODEL, EvaluateReport, evaluate_held_out
from deeprec.experiments.cells import (
    Cell,
    Figures,
    config_digest_of,
    experiments_home,
    find_status,
    fingerprint_of,
    read_cells,
    record_cell,
    request_again,
)
from deeprec.experiments.comparison import SystemFigures, compare
from deeprec.experiments.sets import ExperimentConfig, ExperimentSet, load_set, name_data, with_seed
from deeprec.home import Home
from deeprec.ingestion.ingest import IngestReport, ingest
from deeprec.progress import Progress, silent
from deeprec.readers.detection import find_files
from deeprec.training.train import TrainReport, train
from deeprec.vectors.materialize import materialize
from deeprec.vectors.partition import pin
from deeprec.warehouse.opening import open_warehouse

# What a cell's inputs decide; it would fail the same way again. What the machine refuses - a lock,
# a disk, a missing GPU - stops the experiment instead.
_DECIDED = (TrainingError, SplitError, ExportError, MetricError)


class ExperimentReport(BaseModel):
    """What a run did, and the figures of every system of the set under its protocol."""

    model_config = ConfigDict(frozen=True)

    experiment: str
    protocol: str
    data: str
    data_digest: str
    num_run: int
    num_failed: int
    skipped: tuple[str, ...]
    systems: tuple[SystemFigures, ...]


def run_experiment(
    home: Home, told: ExperimentConfig, progress: Progress = silent
) -> ExperimentReport:
    """Train and measure every cell that has not ended yet, and compare the systems.

    A cell that its own inputs make impossible - training that diverges, a split without dev
    ratings, or with too few - is entered with its error, and the others go on.

    Args:
        home: of the project; cells live in `experiments_home`.
        told: which systems, data, protocol and seeds.
        progress: told of the cells, and by the stages of theirs.

    Raises:
        ConfigError: no such set, protocol or system, or a key that is wrong.
        WarehouseError: the home of cells holds other data.
        SourceError: as of `ingest`.
    """
    cells_home = experiments_home(home)
    chosen = load_set(told.experiment, told.overrides, told.protocol)
    systems = chosen.select(told.only)
    _refuse_other_data(cells_home, told.sources, systems[0])
    data = ingest(cells_home, told.sources, systems[0], progress)
    runner = _Runner(cells_home, chosen, data, "\n".join(told.overrides), progress)
    cells = [(config, seed) for config in systems for seed in told.seeds]
    for place, (config, seed) in enumerate(cells):
        progress("experiment", place, len(cells), "cells", f"{config.name}, seed {seed}")
        runner.run_cell(config, seed)
    progress("experiment", len(cells), len(cells), "cells", "")
    return runner.report()


def _refuse_other_data(home: Home, sources: Sequence[str], config: Config) -> None:
    """Let ids of two data sets never meet."""
    told = {str(file.path) for source in sources for file in find_files(source, config.ingest)}
    with open_warehouse(home, config.warehouse) as warehouse:
        others = {str(row[0]) for row in warehouse.rows("ratings/source_files")} - told
    if others:
        raise WarehouseError(
            f"{home.path}: holds {len(others)} files that are not among the data of this run, such "
            f"as {min(others)}; give every experiment on other data a --home of its own"
        )


class _Runner:
    """One run of an experiment: what its cells share, and what became of them."""

    def __init__(
        self,
        home: Home,
        chosen: ExperimentSet,
        data: IngestReport,
        overrides: str,
        progress: Progress,
    ) -> None:
        self._home = home
        self._set = chosen
        self._data = data
        self._data_name = name_data(data.num_ratings, data.num_users)
        self._overrides = overrides
        self._progress = progress
        self._ended: list[Cell] = []
        self._skipped: list[str] = []

    def run_cell(self, system: Config, seed: int) -> None:
        """Train, measure and enter a cell, unless that has been done."""
        system = system.model_copy(update={"split": pin(system.split)})
        config = with_seed(system, seed)
        fingerprint = fingerprint_of(
            self._set.name, self._set.protocol, config, self._data.data_digest
        )
        with open_warehouse(self._home, config.warehouse) as warehouse:
            status = find_status(warehouse, fingerprint)
            if status:
                request_again(warehouse, fingerprint)
        if status:
            self._skipped.append(f"{config.name}, seed {seed}: {status} before")
            return
        figures, error = self._measure(config)
        cell = Cell(
            experiment=self._set.name,
            system=config.name,
            protocol=self._set.protocol,
            data=self._data_name,
            data_digest=self._data.data_digest,
            split_id=config.split.split_id,
            seed=seed,
            config_digest=config_digest_of(system),
            fingerprint=fingerprint,
            overrides=self._overrides,
            status="failed" if error else "done",
            message=str(error or ""),
            finished_at=datetime.now(UTC).replace(tzinfo=None),
            **figures.model_dump(),
        )
        with open_warehouse(self._home, config.warehouse) as warehouse:
            record_cell(warehouse, cell)
        self._ended.append(cell)

    def _measure(self, config: Config) -> tuple[Figures, DeeprecError | None]:
        """The figures of a cell, or why there are none."""
        started = time.monotonic()
        try:
            materialize(self._home, config, self._progress)
            trained = train(self._home, config, self._progress)
            told = config.evaluate.model_copy(update={"part": "test"})
            measured = with_bundle(config.model_copy(update={"evaluate": told}), trained.bundle)
            tested = evaluate_held_out(self._home, measured, self._progress)
        except _DECIDED as error:
            seconds = time.monotonic() - started
            return Figures(machine=_machine(config.train.device), seconds=seconds), error
        return _figures(trained, tested, time.monotonic() - started), None

    def report(self) -> ExperimentReport:
        """What this run did, and how the systems stand under its protocol."""
        with open_warehouse(self._home, self._set.systems[0].warehouse) as warehouse:
            cells = read_cells(warehouse, self._set.name)
        of_protocol = [cell for cell in cells if cell.protocol == self._set.protocol]
        return ExperimentReport(
            experiment=self._set.name,
            protocol=self._set.protocol,
            data=self._data_name,
            data_digest=self._data.data_digest,
            num_run=len(self._ended),
            num_failed=sum(cell.status == "failed" for cell in self._ended),
            skipped=tuple(self._skipped),
            systems=compare(self._set.systems, of_protocol),
        )


def _figures(trained: TrainReport, tested: EvaluateReport, elapsed_s: float) -> Figures:
    """What two stages have reported of a cell."""
    (*others, member) = trained.members
    watched = [epoch.test_rmse for epoch in trained.epochs if epoch.test_rmse is not None]
    test = tested.figure(MODEL) if tested.figures else None
    return Figures(
        machine=_machine(trained.device),
        bundle_id=trained.bundle_id,
        num_epochs=sum(told.num_epochs for told in trained.members),
        best_epoch=None if others else member.best_epoch,
        num_test_ratings=test.num_ratings if test else None,
        dev_rmse=trained.dev.figure(MODEL).rmse if trained.dev else None,
        dev_rmse_bias=trained.dev.figure(BIAS).rmse if trained.dev else None,
        test_rmse=test.rmse if test else None,
        test_mae=test.mae if test else None,
        test_rmse_bias=tested.figure(BIAS).rmse if test else None,
        # A blend has no epochs of its own, so no best one either.
        oracle_test_rmse=min(watched, default=None) if not others else None,
        # A training that was resumed has spent more than this run has seen.
        seconds=max(elapsed_s, sum(epoch.seconds for epoch in trained.epochs)),
    )


def _machine(device: str) -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, on {device}"
