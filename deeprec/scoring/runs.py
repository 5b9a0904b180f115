"""Scoring runs: a new one prepared, an unfinished one found again, ended ones settled.

Shape legend: U users of the warehouse.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from deeprec.config.run import Config
from deeprec.config.scoring import ScoreConfig
from deeprec.errors import DeeprecError, WarehouseError
from deeprec.home import Home
from deeprec.models.bundles import Bundle, installed_versions
from deeprec.models.factored import require_factors
from deeprec.models.interface import Model
from deeprec.models.registry import choose_bundle
from deeprec.places import Place
from deeprec.scoring.carrying import carry_over
from deeprec.scoring.delivery import withdraw
from deeprec.scoring.fitness import check_fits
from deeprec.scoring.past_runs import published_run
from deeprec.scoring.plans import ScoringPlan, folder_of, read_plan, shards_place, write_plan
from deeprec.scoring.run_folders import VECTORS, deliver_run, fill_folder, write_side
from deeprec.scoring.scores_file import SCORES, create_scores, enter_carried
from deeprec.vectors.materialize import current_digest
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse

_FOR_A_USER = {
    "storage",
    "publish",
    "top_n",
    "min_ratings",
    "storage_version",
    "batch_size",
    "device",
}
_DECISIVE = _FOR_A_USER | {"shard_cells", "incremental", "shards"}
_ROWS_VERSION = 3  # raised when the same inputs come to give other rows than before
_FACTORED = 16  # times as many users a shard where their predictions are not kept
_INT32_MAX = 2**31 - 1
_LOG = logging.getLogger(__name__)


def prepare_run(home: Home, config: Config) -> ScoringPlan:
    """A run ready to be scored: the unfinished one of the same inputs, else a new one.

    Raises:
        BundleError: there is no bundle, it is damaged, or it is of other movies.
        WarehouseError: the vectors are missing or stale.
        StoreError: the place of the shards cannot be used.
    """
    if config.score.shards == "parquet":
        shards_place(home, config.score.shards_at).prepare()
    with open_warehouse(home, config.warehouse) as warehouse:
        digest = current_digest(warehouse)
        bundle = choose_bundle(home, warehouse, config.score.bundle)
        check_fits(bundle, warehouse, digest)
        fingerprint = _fingerprint(bundle, digest, config.score)
        plan = _settle_ended_runs(home, warehouse, fingerprint, config.score.shards_at)
        if plan is None:
            plan = _make_run(home, warehouse, config, bundle, fingerprint)
        present = {"bundle": bundle.path, "config": config.score, "warehouse": config.warehouse}
        plan = plan.model_copy(update=present)  # what decides is the same
        write_plan(plan)  # last: a folder without it is of a run that never began
        _record_start(warehouse, plan)
    if plan.config.shards == "parquet":
        deliver_run(plan, bundle)  # after the record of the run, by which leftovers are found
    return plan


def is_published(home: Home, config: Config) -> bool:
    """Whether what is published is what a run would publish now.

    A run that was published before its process could say so is entered first.

    Raises:
        BundleError: there is no bundle, or it is damaged.
        WarehouseError: the vectors are missing or stale, or a run holds the home for too long.
    """
    with (
        home.lock("score", config.warehouse.lock_timeout_s),
        open_warehouse(home, config.warehouse) as warehouse,
    ):
        enter_published_runs(home, warehouse)
        bundle = choose_bundle(home, warehouse, config.score.bundle)
        fingerprint = _fingerprint(bundle, current_digest(warehouse), config.score)
        last = warehouse.rows("scores/last_publication")
    if not home.predictions.exists() or not last:
        return False
    ((run_id, *_, of_last),) = last
    try:
        published = published_run(home, config.warehouse)
    except WarehouseError as error:  # damaged, or held by somebody who writes to it
        _LOG.warning("%s; it will be made again", error)
        return False
    return (published, fingerprint) == (run_id, of_last)


def settle_run(warehouse: Database, plan: ScoringPlan, status: str) -> None:
    """Enter how a run has ended: `published` or `failed`."""
    now = datetime.now(UTC).replace(tzinfo=None)
    with warehouse.transaction():
        warehouse.run("scores/settle_run", run_id=plan.run_id, status=status, finished_at=now)
        if status == "published":
            warehouse.run(
                "scores/record_publication",
                run_id=plan.run_id,
                bundle_id=plan.bundle_id,
                published_at=now,
                published_by="score",
            )


def enter_published_runs(home: Home, warehouse: Database) -> None:
    """Enter each run that was published before its process could say so, and clear it away.

    Such a run's folder is one without scores: they are moved, never copied.
    """
    for folder, plan in _unfinished(home).items():
        if plan and not (folder / SCORES).exists():
            settle_run(warehouse, plan, "published")
            shutil.rmtree(folder)


def clear_runs(place: Place, run_ids: Iterable[str], viewed: Iterable[str] = ()) -> None:
    """Remove what ended runs have left in a place, and all but the shards of those that are viewed.

    Where that fails, a later run will.
    """
    try:
        there = set(place.names())
        for folder in {folder_of(run_id) for run_id in run_ids} & there:
            place.within(folder).clear()
        for folder in {folder_of(run_id) for run_id in viewed} & there:
            withdraw(place.within(folder))
    except DeeprecError as error:
        _LOG.warning("what runs that have ended have put there is left over: %s", error)


def _unfinished(home: Home) -> dict[Path, ScoringPlan | None]:
    """The folders of all runs that have not been cleared away, oldest first, with their plans.

    A run that died before its plan was written has none, nor has one of another deeprec.
    """
    plans: dict[Path, ScoringPlan | None] = {}
    for folder in sorted(home.runs.glob("*/")):
        try:
            plans[folder] = read_plan(folder)
        except (OSError, ValueError):
            plans[folder] = None
    return plans


def _settle_ended_runs(
    home: Home, warehouse: Database, fingerprint: str, shards_at: str
) -> ScoringPlan | None:
    """The unfinished run of these inputs, if there is one; all others are cleared away.

    Any other was published, or is of inputs that are no longer the present ones.
    """
    enter_published_runs(home, warehouse)
    wanted = None
    for folder, plan in _unfinished(home).items():
        if plan and (plan.fingerprint, plan.config.shards_at) == (fingerprint, shards_at):
            wanted = plan
            continue
        if plan:
            settle_run(warehouse, plan, "failed")
            clear_runs(shards_place(home, plan.config.shards_at), [plan.run_id])
        shutil.rmtree(folder)
    return wanted


def _make_run(
    home: Home, warehouse: Database, config: Config, bundle: Bundle, fingerprint: str
) -> ScoringPlan:
    """The plan of a new run whose folder holds everything else."""
    plan = _new_plan(home, warehouse, config, bundle, fingerprint)
    model = bundle.model(plan.config.device)
    if plan.config.storage == "factored":
        require_factors(bundle, model)
    movies = warehouse.table("vectors/movies")
    shutil.rmtree(plan.run_dir, ignore_errors=True)
    plan.run_dir.mkdir(parents=True)
    recipe = _recipe(plan, bundle, model, movies)
    users = warehouse.table("vectors/digests")
    is_carried_U = carry_over(home.predictions, plan.run_dir / SCORES, recipe, users, config)
    scored = users.filter(pa.array(~is_carried_U))
    plan = plan.model_copy(
        update={
            "num_scored": scored.num_rows,
            "num_shards": -(-scored.num_rows // plan.users_per_shard),
        }
    )
    fill_folder(warehouse, plan, movies, scored, with_days=model.needs_days)
    if model.looks_at_movies and plan.num_scored:
        write_side(warehouse, plan, bundle, model)
    if plan.num_scored == plan.num_users:
        create_scores(plan, bundle, model, recipe)
    else:
        enter_carried(plan)
    return plan


def _recipe(plan: ScoringPlan, bundle: Bundle, model: Model, movies: pa.Table) -> str:
    """What decides a user's rows beside his vector, in one word.

    To a model that looks at movies everybody's ratings matter, and a vector's digest says nothing
    of days: for either, rows stand while no rating has changed.
    """
    by_vector = not (model.looks_at_movies or model.needs_days)
    decides = [
        _ROWS_VERSION,
        installed_versions(),
        bundle.manifest.model_dump(mode="json"),
        plan.config.model_dump(mode="json", include=_FOR_A_USER),
        plan.wide_ids,
        movies["movie_id"].to_pylist(),
        None if by_vector else plan.data_digest,
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _new_plan(
    home: Home, warehouse: Database, config: Config, bundle: Bundle, fingerprint: str
) -> ScoringPlan:
    num_users, num_movies, _, _ = warehouse.row("vectors/counts")
    started_at = datetime.now(UTC)
    run_id = f"{started_at:%Y%m%dT%H%M%S%f}-{fingerprint[:8]}"
    kept_a_user = num_movies if config.score.storage == "dense" else num_movies // _FACTORED
    users_per_shard = max(1, config.score.shard_cells // max(kept_a_user, 1))
    return ScoringPlan(
        run_id=run_id,
        run_dir=home.runs / run_id,
        fingerprint=fingerprint,
        started_at=started_at,
        bundle=bundle.path,
        bundle_id=bundle.manifest.bundle_id,
        data_digest=current_digest(warehouse),
        num_users=num_users,
        num_scored=num_users,
        num_movies=num_movies,
        num_shards=-(-num_users // users_per_shard),
        users_per_shard=users_per_shard,
        wide_ids=warehouse.row("scores/largest_id")[0] > _INT32_MAX,
        config=config.score,
        warehouse=config.warehouse,
    )


def _fingerprint(bundle: Bundle, digest: str, config: ScoreConfig) -> str:
    """Equal for two runs that would publish the same rows out of folders of the same form."""
    decides = [
        VECTORS,
        _ROWS_VERSION,
        installed_versions(),
        bundle.manifest.model_dump(mode="json"),
        config.model_dump(mode="json", include=_DECISIVE),
        digest,
    ]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _record_start(warehouse: Database, plan: ScoringPlan) -> None:
    """Enter the run as running, once; any other that says it runs has died."""
    warehouse.run("scores/fail_lost_runs", run_id=plan.run_id)
    warehouse.run(
        "scores/record_run",
        run_id=plan.run_id,
        bundle_id=plan.bundle_id,
        data_digest=plan.data_digest,
        fingerprint=plan.fingerprint,
        manifest=_manifest(plan),
        started_at=plan.started_at.replace(tzinfo=None),
        num_users=plan.num_users,
        num_movies=plan.num_movies,
    )


def _manifest(plan: ScoringPlan) -> str:
    """What it takes to do a run again, as JSON."""
    told = plan.model_dump(mode="json", include={"bundle_id", "data_digest", "config"})
    return json.dumps(told | {"versions": installed_versions()}, sort_keys=True)
