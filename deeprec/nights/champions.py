"""What people do with trained models: look at them, promote one, go back to the one before."""

import logging
import os
from datetime import UTC, datetime
from getpass import getuser
from typing import Any

from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config
from deeprec.errors import BundleError, WarehouseError
from deeprec.home import Home
from deeprec.models.bundles import Member, open_bundle
from deeprec.models.registry import (
    ModelChange,
    ModelStatus,
    RecordedRanking,
    RegisteredModel,
    find_champion,
    find_status,
    make_champion,
    read_changes,
    read_rankings,
    read_registry,
)
from deeprec.nights.challenge import ChallengeReport
from deeprec.progress import Progress, silent
from deeprec.scoring.past_runs import keep_published, kept_runs, put_back
from deeprec.scoring.runs import enter_published_runs
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse, read_warehouse, require_warehouse

_LOG = logging.getLogger(__name__)


class ModelRow(BaseModel):
    """A model in a list; errors in rating units."""

    model_config = ConfigDict(frozen=True)

    bundle: str
    status: ModelStatus
    trained_at: datetime
    dev_rmse: float | None
    test_rmse: float | None
    changed_by: str
    reason: str


class ModelsReport(BaseModel):
    """Every model trained here, newest first."""

    model_config = ConfigDict(frozen=True)

    champion: str | None
    models: tuple[ModelRow, ...]


class ModelReport(BaseModel):
    """One model: what it was made of, how good it was, and all that has become of it."""

    model_config = ConfigDict(frozen=True)

    model: RegisteredModel
    members: tuple[Member, ...]
    versions: dict[str, str]
    lists: tuple[RecordedRanking, ...]
    changes: tuple[ModelChange, ...]
    challenges: tuple[ChallengeReport, ...]


class PromotionReport(BaseModel):
    """Who scores from now on, and who did before."""

    model_config = ConfigDict(frozen=True)

    champion: str
    champion_before: str | None
    reason: str


class RollbackReport(BaseModel):
    """What is published again, and in whose place."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    bundle_id: str
    run_before: str
    bundle_before: str


def list_models(home: Home, config: Config, progress: Progress = silent) -> ModelsReport:
    """Every model trained here with what has become of it."""
    del progress
    with read_warehouse(home, config.warehouse) as warehouse:
        models, champion = read_registry(warehouse), find_champion(warehouse)
    rows = tuple(
        ModelRow(
            bundle=model.bundle_id,
            status=model.status,
            trained_at=model.trained_at,
            dev_rmse=model.dev_rmse,
            test_rmse=model.test_rmse,
            changed_by=model.changed_by,
            reason=model.reason,
        )
        for model in models
    )
    return ModelsReport(champion=champion, models=rows)


def show_model(
    home: Home, config: Config, progress: Progress = silent, *, bundle_id: str
) -> ModelReport:
    """Everything that is known of a model.

    Raises:
        BundleError: none of this name was trained here, or its folder is damaged.
    """
    del progress
    with read_warehouse(home, config.warehouse) as warehouse:
        model = _registered(warehouse, bundle_id)
        lists = read_rankings(warehouse, bundle_id)
        changes = tuple(each for each in read_changes(warehouse) if each.bundle_id == bundle_id)
        rows = warehouse.table("models/challenges").drop_columns(["decided_at"]).to_pylist()
    manifest = open_bundle(home.models / bundle_id).manifest
    return ModelReport(
        model=model,
        members=manifest.members,
        versions=manifest.versions,
        lists=lists,
        changes=changes,
        challenges=tuple(
            ChallengeReport.model_validate(row)
            for row in rows
            if bundle_id in {row["challenger"], row["champion"]}
        ),
    )


def promote(
    home: Home, config: Config, progress: Progress = silent, *, bundle_id: str, reason: str
) -> PromotionReport:
    """Make a model champion by hand; the next run scores with it.

    Raises:
        WarehouseError: nothing was taken in here.
        BundleError: none of this name was trained here, or its folder is damaged.
    """
    del progress
    require_warehouse(home)
    with open_warehouse(home, config.warehouse) as warehouse, warehouse.transaction():
        open_bundle(home.models / _registered(warehouse, bundle_id).bundle_id)
        before = find_champion(warehouse)
        make_champion(warehouse, bundle_id, _whoever_asks(), reason)
    return PromotionReport(champion=bundle_id, champion_before=before, reason=reason)


def rollback(
    home: Home, config: Config, progress: Progress = silent, *, run_id: str | None = None
) -> RollbackReport:
    """Publish a past run again, without scoring, and make its model champion.

    A bundle that was not trained here cannot be champion: the next run that scores takes the
    champion again.

    Args:
        home: holds the past files.
        config: how DuckDB may use the machine.
        progress: not told; this takes a moment.
        run_id: the run; else the newest by another model, else the newest.

    Raises:
        WarehouseError: nothing is published, or the run's file is not kept.
    """
    del progress
    require_warehouse(home)
    with (
        home.lock("score", config.warehouse.lock_timeout_s),
        open_warehouse(home, config.warehouse) as warehouse,
    ):
        enter_published_runs(home, warehouse)
        published = warehouse.rows("scores/publications")[::-1]
        if not published:
            raise WarehouseError(f"{home.path}: nothing is published that could be rolled back")
        current, bundle_before, *_ = published[0]
        run, bundle_id = _chosen(home, published, run_id)
        by = _whoever_asks()
        keep_published(home, config.warehouse)
        put_back(home, run)
        with warehouse.transaction():
            warehouse.run(
                "scores/record_rollback",
                run_id=run,
                bundle_id=bundle_id,
                published_at=datetime.now(UTC).replace(tzinfo=None),
                published_by=by,
            )
            if find_status(warehouse, bundle_id) is None:
                _LOG.warning(
                    "%s was not trained here, so the champion stays, and the next run that scores "
                    "takes it: name the bundle there, as --set score.bundle=PATH",
                    bundle_id,
                )
            elif find_champion(warehouse) != bundle_id:
                make_champion(warehouse, bundle_id, by, f"rolled back from run {current}")
    return RollbackReport(
        run_id=run, bundle_id=bundle_id, run_before=current, bundle_before=bundle_before
    )


def _whoever_asks() -> str:
    """The name of the user, or his number where the machine knows no name, as in a container."""
    try:
        return getuser()
    except (KeyError, OSError):  # before Python 3.13, and since
        return f"user {os.getuid()}"


def _chosen(home: Home, published: list[tuple[Any, ...]], run_id: str | None) -> tuple[str, str]:
    """The run to go back to and its bundle, of all publications, newest first."""
    current, current_bundle, *_ = published[0]
    kept = kept_runs(home)
    past = {run: bundle for run, bundle, *_ in published if run != current and run in kept}
    if run_id is not None and run_id in past:
        return run_id, past[run_id]
    if run_id is None and past:
        by_others = [run for run, bundle in past.items() if bundle != current_bundle]
        chosen = next(iter(by_others or past))
        return chosen, past[chosen]
    missing = f"{run_id} is not kept" if run_id else "no earlier run is kept"
    kept_here = f"; kept are: {', '.join(past)}" if past else ""
    raise WarehouseError(
        f"{home.past}: {missing}{kept_here}. Score with an "
        "older model instead: `deeprec models promote BUNDLE`, then `deeprec score`"
    )


def _registered(warehouse: Database, bundle_id: str) -> RegisteredModel:
    """The model of this name.

    Raises:
        BundleError: there is none.
    """
    for model in read_registry(warehouse):
        if model.bundle_id == bundle_id:
            return model
    raise BundleError(f"{bundle_id}: no such model was trained here; see `deeprec models list`")
