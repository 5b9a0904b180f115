"""A scoring run's plan: what decides what it computes, and where it and its shards lie."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deeprec.config.scoring import ScoreConfig
from deeprec.config.warehouse import WarehouseConfig
from deeprec.errors import StoreError
from deeprec.home import Home
from deeprec.places import LocalPlace, Place, open_place
from deeprec.scoring.delivery import PLAN
from deeprec.scoring.shard_files import ShardFiles


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


def write_plan(plan: ScoringPlan) -> None:
    """Have the plan in the run's folder."""
    temporary = plan.run_dir / f".{PLAN}"
    temporary.write_text(plan.model_dump_json(indent=2), encoding="utf-8")
    temporary.replace(plan.run_dir / PLAN)


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


def users_of_shard(plan: ScoringPlan, shard: int) -> int:
    """How many users a shard is of: the last one is of what is left."""
    return min(plan.users_per_shard, plan.num_scored - shard * plan.users_per_shard)
