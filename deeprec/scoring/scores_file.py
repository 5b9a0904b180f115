"""A run's DuckDB file, which will be published: made, opened and counted."""

from contextlib import AbstractContextManager
from decimal import Decimal
from typing import NamedTuple

import pyarrow as pa

from deeprec.config.scoring import Form
from deeprec.errors import BundleError
from deeprec.models.bundles import Bundle
from deeprec.models.interface import Model
from deeprec.models.prediction import DECIMALS
from deeprec.ratings import RatingScale
from deeprec.scoring.plans import ScoringPlan
from deeprec.scoring.run_folders import run_predictor
from deeprec.scoring.storages import open_storage
from deeprec.warehouse.database import Database, open_database

SCORES = "scores.duckdb"
_BLOCK_BYTES = 64 * 1024  # nine bits a prediction leave half of a block of 256 KiB empty
_CARRIED = -1  # the number of a shard that was not scored
_MOST_DIGITS = 9  # of a 32-bit decimal


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


def create_scores(plan: ScoringPlan, bundle: Bundle, model: Model, recipe: str) -> None:
    """Make the file that the shards go into."""
    predictor = run_predictor(plan, bundle, model)
    schema = prediction_schema(plan, bundle.manifest.scale)
    with open_scores(plan) as scores:
        open_storage(plan.config, predictor, schema).create(scores)
        scores.run_with("scores/create_recommendations", schema.empty_table())
        for table in ("users", "scoring_shards"):
            scores.run(f"scores/create_{table}")
        scores.run("scores/create_recipe", recipe=recipe)


def enter_carried(plan: ScoringPlan) -> None:
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
