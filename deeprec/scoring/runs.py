"""A scoring run's folder: what is scored with what, frozen when the run begins.

A run's folder under `home/runs` holds everything its shards need, so a shard can be scored by
any process, again, or later:

    plan.json        what is scored with what
    movies.parquet   every movie of the warehouse, in the order of the vectors' indexes
    vectors.arrow    the whole vector of every user who is scored, one record batch a shard
    side/*.npy       what the model has worked out over everybody's ratings, if it looks at them
    scores.duckdb    what will be published; its `scoring_shards` says which shards are in it,
                     beside the rows that were carried over from the published file

Where shards are Parquet, workers leave them in `home/predictions/run_id=RUN` and open no DuckDB
file. With `score.shards_at` they leave them there, and find there what they need.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from deeprec.ahead import ahead
from deeprec.config.scoring import Form, ScoreConfig
from deeprec.config.warehouse import WarehouseConfig
from deeprec.config.run import Config
from deeprec.errors import BundleError, DeeprecError, StoreError, WarehouseError
from deeprec.home import Home
from deeprec.models.bundles import Bundle, installed_versions
from deeprec.models.exported import Model, MovieSide
from deeprec.models.factored import require_factors
from deeprec.models.prediction import DECIMALS, Predictor, check_vocabulary
from deeprec.models.registry import choose_bundle
from deeprec.places import LocalPlace, Place, open_place
from deeprec.ratings import RatingScale, describe_scale
from deeprec.scoring.carrying import carry_over
from deeprec.scoring.delivery import PLAN, deliver, withdraw
from deeprec.scoring.shard_files import ShardFiles
from deeprec.scoring.storages import open_storage
from deeprec.vectors.materialize import current_digest, movie_ids, rating_matrix, read_users
from deeprec.warehouse.database import Database, open_database, open_warehouse

MOVIES = "movies.parquet"
VECTORS = "vectors.arrow"
SCORES = "scores.duckdb"
SIDE = "side"
BUNDLE = "bundle"
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
_BLOCK_BYTES = 64 * 1024  # nine bits a prediction leave half of a block of 256 KiB empty
_MOST_DIGITS = 9  # of a 32-bit decimal
_FACTORED = 16  # times as many users a shard where their predictions are not kept
_INT32_MAX = 2**31 - 1
_CARRIED = -1  # the number of a shard that was not scored
_VECTOR_SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("movie_indexes", pa.list_(pa.int32())),
        ("ratings", pa.list_(pa.float32())),
        ("vector_digest", pa.uint64()),
    ]
)
_DAYS = pa.field("rating_days", pa.list_(pa.int32()))
_LOG = logging.getLogger(__name__)


class ScoringPlan(BaseModel):
    """Everything that decides what a run computes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    run_dir: Path
    fingerprint: str
    started_at: datetime
    bundle: Path
    bundle_id: str
    data_digest: str
    num_users: int
    num_scored: int
    num_movies: int
    num_shards: int
    users_per_shard: int
    wide_ids: bool
    config: ScoreConfig
    warehouse: WarehouseConfig

    @property
    def location(self) -> str:
        """Where a worker finds the run: all that it is told beside a shard's number."""
        at = self.config.shards_at
        return f"{at}/{folder_of(self.run_id)}" if at else str(self.run_dir)


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
        movies = warehouse.table("vectors/movies")
        check_vocabulary(bundle, movies["movie_id"].to_numpy(), movies["title"].to_pylist())
        check_scale(bundle, warehouse, digest)
        fingerprint = _fingerprint(bundle, digest, config.score)
        plan = _settle_ended_runs(home, warehouse, fingerprint, config.score.shards_at)
        if plan is None:
            plan = _make_run(home, warehouse, config, bundle, fingerprint)
        present = {"bundle": bundle.path, "config": config.score, "warehouse": config.warehouse}
        plan = plan.model_copy(update=present)  # what decides is the same
        write_plan(plan)  # last: a folder without it is of a run that never began
        _record_start(warehouse, plan)
    if plan.config.shards == "parquet":
        _deliver(plan, bundle)  # after the record of the run, by which leftovers are found
    return plan


def check_scale(bundle: Bundle, warehouse: Database, digest: str) -> None:
    """Refuse a bundle that was trained on ratings of another scale.

    Raises:
        BundleError: it was.
    """
    scale = bundle.manifest.scale
    minimum, maximum, _, declared = warehouse.row("vectors/scale")
    same = (minimum, maximum) == (scale.minimum, scale.maximum)
    inside = scale.minimum <= minimum and maximum <= scale.maximum
    if same or bundle.manifest.data_digest == digest or (inside and not declared):
        return
    raise BundleError(
        f"{bundle.path}: predicts on the scale {scale}, the ratings here stand on "
        f"{describe_scale(minimum, maximum, None)}; score with a bundle trained on these ratings"
    )


def read_plan(run_dir: Path) -> ScoringPlan:
    """The plan of a run's folder, wherever the folder has been moved."""
    plan = ScoringPlan.model_validate_json((run_dir / PLAN).read_text(encoding="utf-8"))
    return plan.model_copy(update={"run_dir": run_dir})


def plan_at(place: Place) -> ScoringPlan:
    """The plan of a run that has been delivered, or whose folder the place is.

    Raises:
        StoreError: there is none any more.
    """
    try:
        return ScoringPlan.model_validate_json(place.get(PLAN))
    except FileNotFoundError as error:
        raise StoreError(
            f"{place.url(PLAN)}: no such run; it has been published, or another took its place"
        ) from error


def shards_place(home: Home, shards_at: str) -> Place:
    """Where a home's runs have their shards as Parquet, a folder each."""
    return open_place(shards_at) if shards_at else LocalPlace(home.shards)


def run_place(plan: ScoringPlan) -> Place:
    """Where a run's shards lie as Parquet, wherever the home has been moved."""
    at = shards_place(Home(plan.run_dir.parents[1]), plan.config.shards_at)
    return at.within(folder_of(plan.run_id))


def folder_of(run_id: str) -> str:
    """The folder that a run has in a place."""
    return f"run_id={run_id}"


def shard_files(plan: ScoringPlan) -> ShardFiles:
    """A run's shards as Parquet."""
    return ShardFiles(run_place(plan))


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


def open_scores(plan: ScoringPlan) -> AbstractContextManager[Database]:
    """The file that will be published; made where it is not there.

    Raises:
        WarehouseError: held by another process for too long.
    """
    return open_database(
        plan.run_dir / SCORES,
        plan.warehouse,
        storage_version=plan.config.storage_version,
        block_bytes=_BLOCK_BYTES,
        group_rows=plan.config.group_rows,
    )


def users_of_shard(plan: ScoringPlan, shard: int) -> int:
    """How many users a shard is of: the last one is of what is left."""
    return min(plan.users_per_shard, plan.num_scored - shard * plan.users_per_shard)


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

    A folder without scores was published before its process could say so: the scores are moved,
    never copied. Any other run is of inputs that are no longer the present ones.
    """
    wanted = None
    for folder, plan in _unfinished(home).items():
        published = not (folder / SCORES).exists()
        same = plan and (plan.fingerprint, plan.config.shards_at) == (fingerprint, shards_at)
        if same and not published:
            wanted = plan
            continue
        if plan:
            settle_run(warehouse, plan, "published" if published else "failed")
        if plan and not published:
            clear_runs(shards_place(home, plan.config.shards_at), [plan.run_id])
        shutil.rmtree(folder)
    return wanted


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


def is_published(home: Home, config: Config) -> bool:
    """Whether what is published is what a run would publish now.

    The file itself says which run it is of: a rollback that was killed may have put back another
    than the warehouse has entered.

    Raises:
        BundleError: there is no bundle, or it is damaged.
        WarehouseError: the vectors are missing or stale.
    """
    with open_warehouse(home, config.warehouse) as warehouse:
        bundle = choose_bundle(home, warehouse, config.score.bundle)
        fingerprint = _fingerprint(bundle, current_digest(warehouse), config.score)
        last = warehouse.rows("scores/last_publication")
    if not home.predictions.exists() or not last:
        return False
    ((run_id, *_, of_last),) = last
    at_once = config.warehouse.model_copy(update={"lock_timeout_s": 0})
    try:
        with open_database(home.predictions, at_once, read_only=True) as file:
            (published, *_) = file.row("scores/published_run")
    except WarehouseError as error:  # damaged, or held by somebody who writes to it
        _LOG.warning("%s; it will be made again", error)
        return False
    return (published, fingerprint) == (run_id, of_last)


class Totals(NamedTuple):
    """What a run's file holds of predictions and recommendations, by one reading of either."""

    num_predictions: int
    num_rows: int
    checksum: int
    lowest_found: Decimal | None  # of the predictions, where they are written down
    highest_found: Decimal | None


def stored_totals(scores: Database, form: Form) -> Totals:
    """The totals of what is in the file now."""
    predictions = Totals(*scores.row(f"scores/{form}/totals"))
    num_rows, checksum = scores.row("scores/recommendations_checksum")
    return predictions._replace(
        num_rows=predictions.num_rows + num_rows, checksum=predictions.checksum + checksum
    )


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
    _fill_folder(warehouse, plan, movies, scored, with_days=model.needs_days)
    if model.looks_at_movies and plan.num_scored:
        _write_side(warehouse, plan, bundle, model)
    if plan.num_scored == plan.num_users:
        _create_scores(plan, bundle, model, recipe)
    else:
        _enter_carried(plan)
    return plan


def _enter_carried(plan: ScoringPlan) -> None:
    """Begin the ledger with what was carried over."""
    num_carried = plan.num_users - plan.num_scored
    with open_scores(plan) as scores:
        totals = stored_totals(scores, plan.config.form)
        scores.run(
            "scores/insert_shard",
            shard=_CARRIED,
            num_users=num_carried,
            num_predictions=num_carried * plan.num_movies,
            num_rows=totals.num_rows,
            checksum=totals.checksum,
        )


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


def _fill_folder(
    warehouse: Database,
    plan: ScoringPlan,
    movies: pa.Table,
    scored: pa.Table,
    *,
    with_days: bool,
) -> None:
    """Freeze the run's inputs; `scored` are the indexes and digests of the users in it."""
    pq.write_table(movies, plan.run_dir / MOVIES)
    schema = _VECTOR_SCHEMA.append(_DAYS) if with_days else _VECTOR_SCHEMA
    statement = "of_listed_users_with_days" if with_days else "of_listed_users"

    def of_shard(first: int) -> pa.RecordBatch:
        users = scored.slice(first, plan.users_per_shard)
        indexes = users["user_index"].to_pylist()
        vectors = warehouse.table(f"vectors/{statement}", user_indexes=indexes)
        vectors = vectors.append_column("vector_digest", users["vector_digest"])
        (batch,) = vectors.select(schema.names).cast(schema).combine_chunks().to_batches()
        return batch

    # Not Parquet, which takes longer to write and to read; nobody else reads this file.
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(plan.run_dir / VECTORS, schema, options=options) as writer:
        for vectors in ahead(map(of_shard, range(0, plan.num_scored, plan.users_per_shard))):
            writer.write_batch(vectors)


def read_vectors(run_dir: Path, shard: int) -> pa.Table:
    """The vectors of a shard's users, from the run's folder."""
    with pa.memory_map(str(run_dir / VECTORS)) as file:
        return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(shard)])


def _create_scores(plan: ScoringPlan, bundle: Bundle, model: Model, recipe: str) -> None:
    """Make the file that the shards go into."""
    predictor = run_predictor(plan, bundle, model)
    schema = prediction_schema(plan, bundle.manifest.scale)
    with open_scores(plan) as scores:
        open_storage(plan.config, predictor, schema).create(scores)
        scores.run_with("scores/create_recommendations", schema.empty_table())
        for table in ("users", "scoring_shards"):
            scores.run(f"scores/create_{table}")
        scores.run("scores/create_recipe", recipe=recipe)


def run_predictor(plan: ScoringPlan, bundle: Bundle, model: Model) -> Predictor:
    """The run's model over the warehouse's movies."""
    movie_ids_N = pq.read_table(plan.run_dir / MOVIES)["movie_id"].to_numpy()
    return Predictor(bundle, model, read_side(plan.run_dir), movie_ids_N)


def _write_side(warehouse: Database, plan: ScoringPlan, bundle: Bundle, model: Model) -> None:
    """Work out, over everybody's ratings, what the model will want to know of the movies."""
    (plan.run_dir / SIDE).mkdir()
    vectors = read_users(warehouse, 0, plan.num_users, with_days=model.needs_days)
    everyone = rating_matrix(vectors, movie_ids(warehouse))
    inputs = everyone.restrict_movies(bundle.vocabulary.movie_ids_M)
    for name, array in model.movie_side(inputs).items():
        np.save(plan.run_dir / SIDE / f"{name}.npy", array)


def read_side(run_dir: Path) -> MovieSide:
    """What `prepare_run` has worked out, left on disk until it is used."""
    files = sorted((run_dir / SIDE).glob("*.npy"))
    return {file.stem: np.load(file, mmap_mode="r") for file in files}


def _deliver(plan: ScoringPlan, bundle: Bundle) -> None:
    """Have the run's place ready, with all that workers need who do not see the run's folder."""
    place = run_place(plan)
    place.prepare()
    if plan.config.shards_at:
        side = sorted((plan.run_dir / SIDE).glob("*.npy"))
        files = {
            MOVIES: plan.run_dir / MOVIES,
            **{f"{SIDE}/{file.name}": file for file in side},
            **{f"{BUNDLE}/{name}": bundle.path / name for name in bundle.files},
        }
        told = plan.model_dump_json(indent=2)
        deliver(place, told, files, partial(read_vectors, plan.run_dir), plan.num_shards)


def write_plan(plan: ScoringPlan) -> None:
    """Have the plan in the run's folder."""
    temporary = plan.run_dir / f".{PLAN}"
    temporary.write_text(plan.model_dump_json(indent=2), encoding="utf-8")
    temporary.replace(plan.run_dir / PLAN)


def prediction_schema(plan: ScoringPlan, scale: RatingScale) -> pa.Schema:
    """Columns of `predicted_ratings`: ids as narrow as they allow, ratings with two decimals."""
    id_type = pa.int64() if plan.wide_ids else pa.int32()
    largest = max(abs(scale.minimum), abs(scale.maximum))
    num_digits = len(str(int(largest))) + DECIMALS
    if num_digits > _MOST_DIGITS:
        raise BundleError(
            f"{plan.bundle}: predicts on the scale {scale}; ratings of more than "
            f"{_MOST_DIGITS - DECIMALS} digits before the point cannot be published"
        )
    rating_type = pa.decimal32(num_digits, DECIMALS)
    return pa.schema(
        [("user_id", id_type), ("movie_id", id_type), ("predicted_rating", rating_type)]
    )


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
