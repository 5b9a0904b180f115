"""How things stand, on one screen: what is published, how old and how good it is, what is broken.

Answers at once, also while a run is at work: what is published is read from its own file.
"""

from datetime import UTC, date, datetime
from enum import IntEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from deeprec.config.run import Config
from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import HeldError, WarehouseError
from deeprec.home import Home
from deeprec.models.registry import find_champion
from deeprec.progress import Progress, silent
from deeprec.vectors.materialize import USER_VECTORS, is_made_of
from deeprec.warehouse.database import Database, open_database
from deeprec.warehouse.live import read_metrics
from deeprec.warehouse.night_ledger import Night, NightStep, Outcome, read_nights, read_steps
from deeprec.warehouse.opening import read_warehouse

_SECONDS_AN_HOUR = 3600
_LONG_AGO = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC, as all our moments
_PATIENCE_S = 2.0  # for whoever holds a file
_LOCKS = ("night", "train", "score", "warehouse")  # of whatever is at work


class Health(IntEnum):
    """As monitors count it; the command's exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class Published(BaseModel):
    """What analysts read."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    bundle_id: str
    published_at: datetime
    age_hours: float
    num_users: int
    num_movies: int
    num_predictions: int


class StatusReport(BaseModel):
    """How things stand; `due` says what the next night has to do, `broken` what a person has."""

    model_config = ConfigDict(frozen=True)

    health: str
    published: Published | None
    champion: str | None = None
    live_day: date | None = None
    live_ratings: int | None = None
    live_rmse: float | None = None
    last_night: date | None = None
    last_night_status: str | None = None
    at_work: bool = False
    due: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator] # mypy knows of none above a property
    @property
    def exit_code(self) -> int:
        """0 when all is well, 1 when somebody should look, 2 when somebody must."""
        return int(Health[self.health.upper()])


def status(home: Home, config: Config, progress: Progress = silent) -> StatusReport:
    """How the home stands."""
    del progress
    broken: list[str] = []
    published = None
    impatient = config.warehouse.model_copy(update={"lock_timeout_s": _PATIENCE_S})
    at_work = _at_work(home)
    try:
        published = _published(home, impatient)
    except WarehouseError as error:
        broken.append(f"the published file cannot be read: {error}")
    if published is None and not broken:
        broken.append("nothing is published")
    told: dict[str, Any] = {"at_work": bool(at_work)}
    is_whole = published is not None
    confirmed_at = _LONG_AGO
    try:
        with read_warehouse(home, impatient) as warehouse:
            told |= _told(warehouse)
            (confirmed_at,) = warehouse.row("nights/last_success")
            # Before and after: a night may begin or end meanwhile.
            broken += _broken(warehouse, at_work | _at_work(home))
            told["due"] = _due(warehouse)
    except HeldError as error:
        if not at_work:
            broken.append(f"the warehouse cannot be read: {error}")
    except WarehouseError as error:
        broken.append(f"the warehouse cannot be read: {error}")
        is_whole = False
    if published:  # or found by a night to be still of these ratings
        age_hours = min(published.age_hours, _hours_since(confirmed_at))
        if age_hours > config.nightly.max_age_hours:
            broken.append(f"what is published is {age_hours:.0f} hours old")
    health = _health(broken, is_whole=is_whole)
    return StatusReport(
        health=health.name.lower(), published=published, broken=tuple(broken), **told
    )


def _at_work(home: Home) -> set[str]:
    return {name for name in _LOCKS if home.is_held(name)}


def _published(home: Home, config: WarehouseConfig) -> Published | None:
    if not home.predictions.exists():
        return None
    with open_database(home.predictions, config, read_only=True) as file:
        run_id, bundle_id, published_at, *counts = file.row("scores/published_run")
    num_users, num_movies, num_predictions = counts
    return Published(
        run_id=run_id,
        bundle_id=bundle_id,
        published_at=published_at,
        age_hours=_hours_since(published_at),
        num_users=num_users,
        num_movies=num_movies,
        num_predictions=num_predictions,
    )


def _hours_since(moment: datetime) -> float:
    return (datetime.now(UTC).replace(tzinfo=None) - moment).total_seconds() / _SECONDS_AN_HOUR


def _told(warehouse: Database) -> dict[str, object]:
    """What the warehouse says of champion, live error and the last night."""
    told: dict[str, object] = {"champion": find_champion(warehouse)}
    days = [metric for metric in read_metrics(warehouse) if metric.segment == "all"]
    if days:
        last = days[-1]
        told |= {
            "live_day": last.measured_on,
            "live_ratings": last.num_ratings,
            "live_rmse": last.rmse,
        }
    if night := _last_night(warehouse):
        told |= {"last_night": night.night_of, "last_night_status": night.status}
    return told


def _due(warehouse: Database) -> tuple[str, ...]:
    """What waits for the next night."""
    due = []
    num_ratings, num_in_vectors = warehouse.row("vectors/counts")[2:]
    (digest,) = warehouse.row("ratings/data_digest")
    if not is_made_of(warehouse, USER_VECTORS, digest):
        due.append(f"vectors of {num_ratings:,} ratings; there are some of {num_in_vectors:,}")
    (num_arrived,) = warehouse.row("live/num_arrived")
    if num_arrived:
        due.append(f"{num_arrived:,} ratings wait to be held against what is published")
    return tuple(due)


def _broken(warehouse: Database, at_work: set[str]) -> list[str]:
    """What the last night could not do; one that nobody is at any more has died."""
    night = _last_night(warehouse)
    if night is None:
        return []
    steps: tuple[NightStep, ...] = read_steps(warehouse, night.night_id)
    bad = {Outcome.FAILED, Outcome.WARNED}
    broken = [f"{step.step}: {step.said}" for step in steps if step.outcome in bad]
    has_died = night.finished_at is None and "night" not in at_work
    if has_died or (night.status == Outcome.FAILED and not broken):
        broken.append("the last night died; run it again, it takes up what was interrupted")
    return broken


def _last_night(warehouse: Database) -> Night | None:
    return next(iter(read_nights(warehouse, 1)), None)


def _health(broken: list[str], *, is_whole: bool) -> Health:
    """Critical where nobody can read predictions, or no night can make them any more."""
    if not is_whole:
        return Health.CRITICAL
    return Health.WARNING if broken else Health.OK
