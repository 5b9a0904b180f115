"""The ledger of nights: what each step did, or why it did nothing, as kept in the warehouse."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from deeprec.warehouse.database import Database


class Outcome(StrEnum):
    """What became of a step, or of a whole night, which is as bad as its worst step."""

    SKIPPED = "skipped"
    DONE = "done"
    WARNED = "warned"
    FAILED = "failed"


class NightStep(BaseModel):
    """What a step of a night did, or why it did nothing."""

    model_config = ConfigDict(frozen=True)

    step: str
    outcome: Outcome
    said: str
    seconds: float


class Night(BaseModel):
    """One night; `status` is that of its worst step, or running."""

    model_config = ConfigDict(frozen=True)

    night_id: str
    night_of: date
    status: str
    started_at: datetime
    finished_at: datetime | None
    num_arrived: int


def begin_night(warehouse: Database, night_of: date) -> str:
    """Enter a night as running; any other that says it runs has died. Its id."""
    started_at = datetime.now(UTC).replace(tzinfo=None)
    night_id = f"{night_of:%Y%m%d}-{started_at:%Y%m%dT%H%M%S%f}"
    with warehouse.transaction():
        warehouse.run("nights/fail_lost")
        warehouse.run("nights/begin", night_id=night_id, night_of=night_of, started_at=started_at)
    return night_id


def record_step(warehouse: Database, night_id: str, place: int, step: NightStep) -> None:
    """Enter what a step did."""
    warehouse.run(
        "nights/record_step",
        night_id=night_id,
        place=place,
        started_at=datetime.now(UTC).replace(tzinfo=None),
        **step.model_dump(mode="json"),
    )


def end_night(warehouse: Database, night_id: str, steps: Sequence[NightStep]) -> str:
    """Enter how a night has ended, by its worst step; that."""
    status = worst(step.outcome for step in steps)
    warehouse.run(
        "nights/end",
        night_id=night_id,
        status=status,
        finished_at=datetime.now(UTC).replace(tzinfo=None),
    )
    return status


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst of some outcomes; a night of skipped steps is done."""
    order = list(Outcome)
    return max((Outcome.DONE, *outcomes), key=order.index)


def read_nights(warehouse: Database, num_nights: int) -> tuple[Night, ...]:
    """The latest nights, newest first."""
    rows = warehouse.table("nights/nights", num_nights=num_nights).to_pylist()
    return tuple(Night.model_validate(row) for row in rows)


def read_steps(warehouse: Database, night_id: str) -> tuple[NightStep, ...]:
    """What a night's steps did, in order."""
    rows = warehouse.table("nights/steps", night_id=night_id).to_pylist()
    return tuple(NightStep.model_validate(row) for row in rows)
