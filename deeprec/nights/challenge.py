"""Champion and challenger: who scores is decided on the same held-out ratings, and written down.

A challenger becomes champion when it is surely better: the 95 % interval over users of its RMSE
minus the champion's lies below zero (resampling users, see `metrics.bootstrap`). It must
also beat its own bias floor and have come through its export, which is what sealed it. The first
champion need only not be surely worse than that floor.

Shape legend: U users, M movies, R held-out ratings, S of them that a model has seen.
"""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config
from deeprec.errors import BundleError
from deeprec.evaluation.evaluate import BIAS, bias_predictions_R, known_to, model_predictions_R
from deeprec.evaluation.measurement import HeldOut, measure
from deeprec.home import Home
from deeprec.models.bundles import Bundle, open_bundle
from deeprec.models.prediction import Predictor
from deeprec.models.registry import (
    Evaluation,
    ModelStatus,
    find_champion,
    make_champion,
    record_status,
)
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingMatrix
from deeprec.scoring.fitness import check_fits
from deeprec.splits import LastKSplit, Part, TimeSplit
from deeprec.vectors.materialize import SplitRatings, data_digest, read_split
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse

_CHALLENGER = "challenger"
_CHAMPION = "champion"


class ChallengeReport(BaseModel):
    """How a challenger fared, in rating units, and what became of it.

    `difference` is its RMSE minus the champion's, or minus the bias floor's where there is no
    champion; `low` and `high` bound its 95 % interval over users.
    """

    model_config = ConfigDict(frozen=True)

    challenger: str
    champion: str | None
    part: Part
    num_ratings: int
    challenger_rmse: float
    champion_rmse: float | None
    floor_rmse: float
    difference: float
    difference_low: float | None
    difference_high: float | None
    is_promoted: bool
    reason: str


def challenge(
    home: Home, bundle_id: str, config: Config, by: str, progress: Progress = silent
) -> ChallengeReport:
    """Hold a bundle against the champion, and make it champion if it is surely better.

    Raises:
        BundleError: the two cannot be compared: other splits, or ratings that one was fitted to;
            or another became champion meanwhile, and nothing was recorded.
        SplitError: the split holds nothing back to compare on.
    """
    with open_warehouse(home, config.warehouse) as warehouse:
        champion_id = find_champion(warehouse)
        challenger = open_bundle(home.models / bundle_id)
        champion = None
        if champion_id and champion_id != bundle_id:
            champion = open_bundle(home.models / champion_id)
        needs_days = any(each.config.needs_days for each in (challenger, champion) if each)
        ratings = read_split(warehouse, challenger.split, train_days=needs_days)
        held_out = ratings.part(Part(config.nightly.compare_on))
        digest = data_digest(warehouse)
        for bundle in (challenger, champion):
            if bundle and bundle.manifest.data_digest != digest:
                held_out = _unseen(warehouse, bundle, held_out)
    report = compare(challenger, champion, ratings, held_out, config, progress=progress)
    with open_warehouse(home, config.warehouse) as warehouse, warehouse.transaction():
        _require_still_champion(warehouse, champion_id, challenger)
        _record(warehouse, report, by)
    return report


def compare(
    challenger: Bundle,
    champion: Bundle | None,
    ratings: SplitRatings,
    held_out_ratings: RatingMatrix,
    config: Config,
    *,
    progress: Progress = silent,
) -> ChallengeReport:
    """How the two do on the same held-out ratings, and what follows; nothing is recorded.

    Each knows of the users what it was fitted to, as in `evaluate_bundle`: a bundle that was
    refitted knows their dev ratings too.
    """
    part = Part(config.nightly.compare_on)
    told = config.evaluate.model_copy(update={"part": config.nightly.compare_on})
    bundles = {_CHALLENGER: challenger} | ({_CHAMPION: champion} if champion else {})
    for bundle in bundles.values():
        _require_comparable(bundle, challenger, part)
    asked = {
        bundle.manifest.trained_on: HeldOut.of(known_to(bundle, ratings), held_out_ratings)
        for bundle in bundles.values()
    }
    held_out = asked[challenger.manifest.trained_on]
    if not held_out.ratings.num_ratings:
        raise BundleError(
            f"{challenger.path}: the split leaves no {part} rating to compare models on; give it "
            f"some, as --set split.{part}_fraction=0.05, or promote by hand"
        )
    predictions = {}
    for name, bundle in bundles.items():
        predictor = Predictor.over(bundle, bundle.model(told.device), known_to(bundle, ratings))
        own_held_out = asked[bundle.manifest.trained_on]
        predictions[name] = model_predictions_R(predictor, own_held_out, told, progress)
    predictions[BIAS] = bias_predictions_R(challenger, held_out)
    opponent = _CHAMPION if champion else BIAS
    scale = challenger.manifest.scale
    figures, _ = measure(held_out, predictions, opponent, scale, told)
    by_name = {figure.predictor: figure for figure in figures}
    own, floor = by_name[_CHALLENGER], by_name[BIAS]
    is_promoted, reason = _verdict(own, floor, opponent, config.nightly.min_improvement)
    return ChallengeReport(
        challenger=challenger.manifest.bundle_id,
        champion=champion.manifest.bundle_id if champion else None,
        part=part,
        num_ratings=own.num_ratings,
        challenger_rmse=own.rmse,
        champion_rmse=by_name[_CHAMPION].rmse if champion else None,
        floor_rmse=floor.rmse,
        difference=own.minus_bias,  # `measure` holds all against the floor that it is told
        difference_low=own.minus_bias_low,
        difference_high=own.minus_bias_high,
        is_promoted=is_promoted,
        reason=reason,
    )


def _require_comparable(bundle: Bundle, challenger: Bundle, part: Part) -> None:
    """Refuse a bundle that may have seen the held-out ratings."""
    manifest = bundle.manifest
    if manifest.split_id != challenger.manifest.split_id:
        raise BundleError(
            f"{bundle.path}: was trained under another split than {challenger.path}, so it may "
            "have seen what that holds back; keep to one split, or promote by hand"
        )
    if part in manifest.trained_on:
        raise BundleError(
            f"{bundle.path}: was fitted to {part} ratings too; compare on test "
            "(nightly.compare_on), or promote by hand"
        )
    if manifest.largest_difference > manifest.tolerance:
        raise BundleError(
            f"{bundle.path}: its graph is {manifest.largest_difference:.1e} off the model it was "
            f"made from, more than the {manifest.tolerance:.1e} it was sealed under"
        )


def _unseen(warehouse: Database, bundle: Bundle, held_out: RatingMatrix) -> RatingMatrix:
    """Held-out ratings but for those that a bundle may have been trained on before.

    Most splits hold a pair back for good. `last_k` takes the last ratings of each user and `time`
    goes by days, so that what is held out now may have been in train before more ratings came.
    All of them, where none is left: then nothing speaks for a change.
    """
    split = bundle.config.split
    if not isinstance(split, LastKSplit | TimeSplit) or not held_out.num_ratings:
        return held_out
    entries = held_out.values_UM.tocoo()
    batch = pa.table(
        {
            "user_id": held_out.user_ids_U[entries.row],
            "movie_id": held_out.movie_ids_M[entries.col],
        }
    )
    seen = warehouse.table_with(
        "history/known_pairs",
        batch,
        moment=bundle.manifest.trained_at.astimezone(UTC).replace(tzinfo=None),
        last_day=split.train_through if isinstance(split, TimeSplit) else None,
    )
    row_S = np.searchsorted(held_out.user_ids_U, seen["user_id"].to_numpy())
    column_S = np.searchsorted(held_out.movie_ids_M, seen["movie_id"].to_numpy())
    keep_R = ~np.isin(
        entries.row * np.int64(held_out.num_movies) + entries.col,
        row_S * np.int64(held_out.num_movies) + column_S,
    )
    return held_out.select_ratings(keep_R) if keep_R.any() else held_out


def _verdict(own: Evaluation, floor: Evaluation, opponent: str, margin: float) -> tuple[bool, str]:
    """Whether the challenger is promoted, and why or why not."""
    if opponent == BIAS:
        surely_worse = own.minus_bias_low is not None and own.minus_bias_low > 0
        beside = f"RMSE {own.rmse:.4f} against {floor.rmse:.4f} of its bias floor"
        if surely_worse:
            return False, f"surely worse than biases alone: {beside}"
        return True, f"the first model: {beside}"
    by = f"{abs(own.minus_bias):.4f} RMSE"
    if own.minus_bias_low is None or own.minus_bias_high is None:
        return False, "the ratings of one user cannot tell the two apart"
    interval = f"95% interval {own.minus_bias_low:+.4f} to {own.minus_bias_high:+.4f}"
    if own.rmse >= floor.rmse:
        return False, f"not better than its bias floor: {own.rmse:.4f} against {floor.rmse:.4f}"
    if own.minus_bias_high < -margin:
        return True, f"better than the champion by {by} ({interval})"
    side = "better" if own.minus_bias < 0 else "worse"
    wanted = f"a margin of {margin:g}" if margin else "zero"
    return False, f"{side} than the champion by {by}, but not surely: {interval}, against {wanted}"


def _require_still_champion(
    warehouse: Database, champion_id: str | None, challenger: Bundle
) -> None:
    """Refuse what a comparison says where another became champion in its course, as by hand."""
    present = find_champion(warehouse)
    if present not in {champion_id, challenger.manifest.bundle_id}:
        raise BundleError(
            f"{challenger.path}: {present} became champion while it was compared with "
            f"{champion_id or 'biases alone'}; the next night compares it with that one"
        )


def _record(warehouse: Database, report: ChallengeReport, by: str) -> None:
    """Enter the comparison, and what became of the challenger."""
    warehouse.run(
        "models/record_challenge",
        **report.model_dump(mode="json"),
        decided_at=datetime.now(UTC).replace(tzinfo=None),
    )
    if report.is_promoted:
        make_champion(warehouse, report.challenger, by, report.reason)
    elif find_champion(warehouse) != report.challenger:
        record_status(warehouse, report.challenger, ModelStatus.REJECTED, by, report.reason)


def why_unfit(bundle: Bundle, warehouse: Database) -> str:
    """Why a bundle cannot score the warehouse any more; empty where it can."""
    try:
        check_fits(bundle, warehouse, data_digest(warehouse))
    except BundleError as error:
        return str(error)
    return ""
