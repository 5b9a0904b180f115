"""What a scored run must come through before it is published: its checks, and its drift."""

from collections.abc import Mapping

from deeprec.config.checks import ChecksConfig
from deeprec.models.prediction import ends_in_hundredths
from deeprec.ratings import RatingScale
from deeprec.scoring.plans import ScoringPlan
from deeprec.scoring.scores_file import Totals
from deeprec.vectors.materialize import USER_VECTORS, is_made_of
from deeprec.warehouse.checks import CheckResult, check_recommendations, check_scores, drift_result
from deeprec.warehouse.database import Database
from deeprec.warehouse.drift import (
    PREDICTIONS,
    Profile,
    drift_since_published,
    profile_predictions,
    profile_ratings,
)

_HUNDREDTHS = 100


def vet_scores(
    scores: Database, plan: ScoringPlan, totals: Totals, scale: RatingScale, config: ChecksConfig
) -> tuple[tuple[CheckResult, ...], Profile]:
    """What the run's file alone tells, and how its predictions lie."""
    form = plan.config.form
    lowest, highest = ends_in_hundredths(scale)
    results = check_scores(
        scores,
        form,
        config,
        num_movies=plan.num_movies,
        top_n=plan.config.top_n,
        min_ratings=plan.config.min_ratings,
        lowest=lowest / _HUNDREDTHS,
        highest=highest / _HUNDREDTHS,
        **totals._asdict(),
    )
    return results, profile_predictions(scores, form)


def vet_against_ratings(
    scores: Database, warehouse: Database, plan: ScoringPlan, config: ChecksConfig
) -> tuple[CheckResult, ...]:
    """What the ratings tell of the run's file; nothing once they are others than it was made of."""
    if not is_made_of(warehouse, USER_VECTORS, plan.data_digest):
        return ()
    recommendations = scores.table("scores/recommendations")
    return check_recommendations(warehouse, recommendations, config)


def vet_drift(
    warehouse: Database, plan: ScoringPlan, predictions: Profile, config: ChecksConfig
) -> tuple[tuple[CheckResult, ...], dict[str, Profile]]:
    """How far ratings, activity and predictions are from the last published run's; profiles.

    Another model predicts otherwise, and was weighed before: that is told, and blocks nothing.
    """
    profiles = {**profile_ratings(warehouse), PREDICTIONS: predictions}
    last = warehouse.rows("scores/last_publication")
    if last and last[0][1] != plan.bundle_id:
        severity = {f"drift.{PREDICTIONS}": "warn"} | config.severity
        config = config.model_copy(update={"severity": severity})
    return check_drift(warehouse, profiles, config), profiles


def check_drift(
    warehouse: Database, profiles: Mapping[str, Profile], config: ChecksConfig
) -> tuple[CheckResult, ...]:
    """A check a quantity, against the last published run; none before the first."""
    found = drift_since_published(warehouse, profiles)
    if found is None:
        return ()
    run_id, drift = found
    results = (drift_result(quantity, psi, run_id, config) for quantity, psi in drift.items())
    return tuple(result for result in results if result)


def largest_drift(warehouse: Database) -> float:
    """The larger population stability index of ratings and activity since the published run."""
    found = drift_since_published(warehouse, profile_ratings(warehouse))
    return max(found[1].values()) if found else 0.0
