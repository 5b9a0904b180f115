"""How far data have moved since the last published run: profiles of them, and one number each.

The population stability index of shares p then and q now is the sum of (q - p) ln(q / p) over
buckets: the symmetric Kullback-Leibler divergence (Kullback and Leibler 1951). By the custom of
credit scoring less than 0.1 is no drift, more than 0.25 is much (Siddiqi 2006). Of samples of N and
M that do not differ it is distributed as (1/N + 1/M) times chi-squared with one degree of freedom
less than buckets (Yurdakul 2018): of a few dozen users it is large by chance alone. What one user
rates or is predicted hangs together, so N and M are users, whatever is counted.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa
from pydantic import BaseModel, ConfigDict
from scipy.special import chdtri

from deeprec.config.scoring import Form
from deeprec.warehouse.database import Database

Profile = Mapping[str, int]  # how often each bucket of a quantity occurs

RATINGS = "ratings"
ACTIVITY = "activity"
PREDICTIONS = "predictions"
_SMALLEST_SHARE = 1e-4  # of a bucket that does not occur; its logarithm would be infinite
_BY_CHANCE = 0.001  # how often samples that do not differ are told to
_NUM_SAMPLED = 1000  # users whose predictions are looked at


def stability_index(before: Profile, now: Profile) -> float:
    """The population stability index between two profiles; 0 where they agree."""
    totals = sum(before.values()), sum(now.values())
    if not all(totals):
        return 0.0
    index = 0.0
    for bucket in before.keys() | now.keys():
        p, q = (
            max(profile.get(bucket, 0) / total, _SMALLEST_SHARE)
            for profile, total in zip((before, now), totals, strict=True)
        )
        index += (q - p) * math.log(q / p)
    return index


def sure_drift(before: Profile, now: Profile, num_users: tuple[int, int]) -> float:
    """The stability index, or 0 where samples of so many users have as much by chance.

    Args:
        before: a quantity then.
        now: the same now.
        num_users: of whom either was taken.
    """
    index = stability_index(before, now)
    if not index:
        return 0.0
    num_buckets = len(before.keys() | now.keys())
    spread = sum(1 / num for num in num_users)
    by_chance = spread * float(chdtri(max(num_buckets - 1, 1), _BY_CHANCE))
    return index if index > by_chance else 0.0


def drift_since_published(
    warehouse: Database, profiles: Mapping[str, Profile]
) -> tuple[str, dict[str, float]] | None:
    """The run that is published, and how surely each quantity has drifted since; None before it.

    Args:
        warehouse: holds the profiles of published runs.
        profiles: of now; activity, which counts the users, is among them.
    """
    last = warehouse.rows("scores/last_publication")
    if not last:
        return None
    ((run_id, *_),) = last
    before = {
        quantity: _profile(warehouse.table("profiles/of_run", run_id=run_id, quantity=quantity))
        for quantity in profiles
    }
    num_users = [sum(before[ACTIVITY].values()), sum(profiles[ACTIVITY].values())]
    drift = {}
    for quantity, now in profiles.items():
        at_most = _NUM_SAMPLED if quantity == PREDICTIONS else max(num_users)
        then_users, now_users = (min(num, at_most) for num in num_users)
        drift[quantity] = sure_drift(before[quantity], now, (then_users, now_users))
    return str(run_id), drift


def profile_ratings(warehouse: Database) -> dict[str, Profile]:
    """How ratings are given, and how many of them users give."""
    warehouse.run("ratings/group_by_place")
    profiles: dict[str, Profile] = {
        quantity: _profile(warehouse.table(f"profiles/{quantity}"))
        for quantity in (RATINGS, ACTIVITY)
    }
    warehouse.run("ratings/group_as_usual")
    return profiles


def profile_predictions(scores: Database, form: Form) -> Profile:
    """How the predictions of 1,000 users and 2,000 movies lie, drawn by a hash of their ids."""
    users = scores.table("scores/sampled_users", num_users=_NUM_SAMPLED)
    return _profile(scores.table_with(f"scores/{form}/profile", users))


def record_profiles(warehouse: Database, run_id: str, profiles: Mapping[str, Profile]) -> None:
    """Keep a published run's profiles, for the next to be held against."""
    warehouse.run("profiles/forget", run_id=run_id)
    now = datetime.now(UTC).replace(tzinfo=None)
    for quantity, profile in profiles.items():
        batch = pa.table(
            {"bucket": list(profile), "num_rows": pa.array(profile.values(), pa.int64())}
        )
        warehouse.run_with("profiles/record", batch, run_id=run_id, quantity=quantity, taken_at=now)


class Drift(BaseModel):
    """How far a published run was from the one before it in one quantity."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    quantity: str
    psi: float


def read_drift(warehouse: Database) -> tuple[Drift, ...]:
    """Every published run but the first, oldest first, in each quantity."""
    profiles: dict[str, dict[str, dict[str, int]]] = {}
    for run_id, quantity, bucket, num_rows in warehouse.rows("profiles/all"):
        of_run = profiles.setdefault(quantity, {}).setdefault(run_id, {})
        of_run[bucket] = num_rows
    return tuple(
        Drift(run_id=run_id, quantity=quantity, psi=stability_index(before, now))
        for quantity, runs in profiles.items()
        for (before, (run_id, now)) in zip(runs.values(), list(runs.items())[1:], strict=False)
    )


def _profile(table: pa.Table) -> dict[str, int]:
    return dict(zip(table["bucket"].to_pylist(), table["num_rows"].to_pylist(), strict=True))
