"""A past run done again, from what was known then: the same data, bundle, settings, rows.

The ratings are put together as they were when the model was trained and when the run began. The
model is trained anew with its own configuration and seed, and scores everybody. On a CPU, with the
same versions, both come out bit for bit.
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config, with_bundle
from deeprec.config.scoring import ScoreConfig
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.ingestion.history import home_as_of
from deeprec.models.bundles import Bundle, installed_versions, open_bundle
from deeprec.progress import Progress, silent
from deeprec.scoring.score import score
from deeprec.vectors.materialize import materialize
from deeprec.warehouse.database import open_database
from deeprec.warehouse.opening import open_warehouse, read_warehouse

_CONTENTS = ("predictions", "recommendations")


class ReproductionReport(BaseModel):
    """What came out the same when a run was done again.

    `same_data` compares the ratings that were scored and those that were trained on, `same_model`
    the graphs' and other files' SHA-256, `same_rows` the hashes of all rows that were published;
    None where that file is no longer kept.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    home: Path
    same_data: bool
    same_versions: bool
    other_versions: tuple[str, ...]
    same_model: bool
    same_rows: bool | None


def reproduce(
    home: Home, config: Config, progress: Progress = silent, *, run_id: str | None = None
) -> ReproductionReport:
    """Train and score again what a run was made of, and compare.

    Args:
        home: where the run was; it is not changed.
        config: how DuckDB may use the machine.
        progress: told by each stage of its own.
        run_id: the run; else the one that is published.

    Raises:
        WarehouseError: there was no such run, or what was known then has been forgotten.
        BundleError: its bundle is gone or damaged.
    """
    from deeprec.training.train import train  # noqa: PLC0415 - torch takes seconds and much memory

    run, manifest, began_at = _run(home, config, run_id)
    before = open_bundle(home.models / manifest["bundle_id"])
    again = trained_in = _copy_as_of(home, began_at, config)
    if before.manifest.data_digest != manifest["data_digest"]:
        trained_in = _home_of_training(home, before, config)
    told = before.config.model_copy(
        update={
            "score": ScoreConfig.model_validate(manifest["config"]).model_copy(
                # Not among the run's own objects: this home is removed as a folder.
                update={"bundle": None, "incremental": False, "shards_at": ""}
            ),
            "warehouse": config.warehouse,
        }
    )
    data = {place: materialize(place, told, progress).data_digest for place in (again, trained_in)}
    after = open_bundle(train(trained_in, told, progress).bundle)
    report = score(again, with_bundle(told, after.path), progress)
    versions = installed_versions()
    other = tuple(
        f"{name} {then}, now {versions.get(name, 'none')}"
        for name, then in manifest["versions"].items()
        if versions.get(name) != then
    )
    published = _file(home, run)
    return ReproductionReport(
        run_id=run,
        home=again.path,
        same_data=data[again] == manifest["data_digest"]
        and data[trained_in] == before.manifest.data_digest,
        same_versions=not other,
        other_versions=other,
        same_model=before.manifest.digests == after.manifest.digests,
        same_rows=_hashes(published, config) == _hashes(report.path, config) if published else None,
    )


def _run(home: Home, config: Config, run_id: str | None) -> tuple[str, dict[str, Any], datetime]:
    """The run, what it was made of, and when it began."""
    with read_warehouse(home, config.warehouse) as warehouse:
        if run_id is None:
            last = warehouse.rows("scores/last_publication")
            if not last:
                raise WarehouseError(f"{home.path}: nothing is published that could be done again")
            run_id = str(last[0][0])
        found = warehouse.rows("scores/run_manifest", run_id=run_id)
    if not found:
        raise WarehouseError(f"{home.path}: there was no run {run_id}; see scoring_runs")
    ((manifest, started_at),) = found
    return run_id, json.loads(manifest), started_at


def _home_of_training(home: Home, bundle: Bundle, config: Config) -> Home:
    """A home with the ratings that a bundle was trained on."""
    manifest = bundle.manifest
    moment = (manifest.ratings_read_at or manifest.trained_at).astimezone(UTC)
    try:
        return _copy_as_of(home, moment.replace(tzinfo=None), config)
    except WarehouseError as error:
        raise WarehouseError(f"{manifest.bundle_id} cannot be trained again: {error}") from error


def _copy_as_of(home: Home, moment: datetime, config: Config) -> Home:
    """A home as of a moment to work in, where nothing has been trained yet."""
    past = home_as_of(home, moment, config)
    again = Home(past.path.with_name(past.path.name + ".again"))
    shutil.rmtree(again.path, ignore_errors=True)
    shutil.copytree(past.path, again.path, symlinks=True)
    with open_warehouse(again, config.warehouse) as warehouse:
        warehouse.run("models/forget_all")
        warehouse.run("models/forget_all_changes")
    return again


def _file(home: Home, run_id: str) -> Path | None:
    """Where a run's rows are kept, if they are."""
    kept = home.past / f"{run_id}.duckdb"
    if kept.exists():
        return kept
    with open_database(home.predictions, read_only=True) as published:
        current, *_ = published.row("scores/published_run")
    return home.predictions if current == run_id else None


def _hashes(file: Path, config: Config) -> list[tuple[Any, ...]]:
    """The sums of the hashes of all published rows, the same in any order."""
    with open_database(file, config.warehouse, read_only=True) as scores:
        return [scores.row(f"scores/{what}_hash") for what in _CONTENTS]
