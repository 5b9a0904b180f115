"""A scoring run's folder: what is scored with what, frozen when the run begins.

A run's folder under `home/runs` holds everything its shards need beside the bundle, so a shard can
be scored by any process, again, or later:

    plan.json        what is scored with what
    movies.parquet   every movie of the warehouse, in the order of the vectors' indexes
    vectors.arrow    the whole vector of every user who is scored, one record batch a shard
    side/*.npy       what the model has worked out over everybody's ratings, if it looks at them
    scores.duckdb    what will be published; its `scoring_shards` says which shards are in it,
                     beside the rows that were carried over from the published file

Where shards are Parquet, workers leave them in `home/predictions/run_id=RUN` and open no DuckDB
file. With `score.shards_at` they leave them there, and find there what they need.

Shape legend: N movies of the warehouse, M movies of the vocabulary.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deeprec.ahead import ahead
from deeprec.models.bundles import Bundle
from deeprec.models.interface import Model, MovieSide
from deeprec.models.prediction import Predictor
from deeprec.scoring.delivery import deliver
from deeprec.scoring.plans import ScoringPlan, run_place
from deeprec.vectors.materialize import movie_ids, rating_matrix, read_users
from deeprec.warehouse.database import Database

MOVIES = "movies.parquet"
VECTORS = "vectors.arrow"
BUNDLE = "bundle"
_SIDE = "side"
_VECTOR_SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("movie_indexes", pa.list_(pa.int32())),
        ("ratings", pa.list_(pa.float32())),
        ("vector_digest", pa.uint64()),
    ]
)
_DAYS = pa.field("rating_days", pa.list_(pa.int32()))


def fill_folder(
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


def run_predictor(plan: ScoringPlan, bundle: Bundle, model: Model) -> Predictor:
    """The run's model over the warehouse's movies."""
    movie_ids_N = pq.read_table(plan.run_dir / MOVIES)["movie_id"].to_numpy()
    return Predictor(bundle, model, _read_side(plan.run_dir), movie_ids_N)


def write_side(warehouse: Database, plan: ScoringPlan, bundle: Bundle, model: Model) -> None:
    """Work out, over everybody's ratings, what the model will want to know of the movies."""
    (plan.run_dir / _SIDE).mkdir()
    vectors = read_users(warehouse, 0, plan.num_users, with_days=model.needs_days)
    everyone = rating_matrix(vectors, movie_ids(warehouse))
    inputs = everyone.restrict_movies(bundle.vocabulary.movie_ids_M)
    for name, array in model.movie_side(inputs).items():
        np.save(plan.run_dir / _SIDE / f"{name}.npy", array)


def deliver_run(plan: ScoringPlan, bundle: Bundle) -> None:
    """Have the run's place ready, with all that workers need who do not see the run's folder."""
    place = run_place(plan)
    place.prepare()
    if plan.config.shards_at:
        side = sorted((plan.run_dir / _SIDE).glob("*.npy"))
        files = {
            MOVIES: plan.run_dir / MOVIES,
            **{f"{_SIDE}/{file.name}": file for file in side},
            **{f"{BUNDLE}/{name}": bundle.path / name for name in bundle.files},
        }
        told = plan.model_dump_json(indent=2)
        deliver(place, told, files, partial(read_vectors, plan.run_dir), plan.num_shards)


def _read_side(run_dir: Path) -> MovieSide:
    """What `write_side` has worked out, left on disk until it is used."""
    files = sorted((run_dir / _SIDE).glob("*.npy"))
    return {file.stem: np.load(file, mmap_mode="r") for file in files}
