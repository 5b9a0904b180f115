"""What evaluation is told, and the published figures and protocols that it is held against."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from deeprec.config.section import Device, Section
from deeprec.splits import Seed


class PublishedConfig(Section):
    """A figure that somebody has published for a system."""

    rmse: float = Field(gt=0)
    part: Literal["dev", "test"] = "test"
    data: str
    protocol: str
    source: str
    note: str = Field("", description="shown beside it, where it is not plainly this system's")


class EvaluateConfig(Section):
    """Which held-out ratings a bundle is measured on."""

    part: Literal["dev", "test"] = "test"
    bundle: Path | None = Field(
        None, description="a bundle folder; default: the newest trained, champion or not"
    )
    batch_size: int = Field(256, ge=1, description="users in one pass through the graph")
    num_resamples: int = Field(1000, ge=100, description="of the users, for the intervals")
    seed: Seed = Field(0, description="of the resamples, and of whose lists are looked at")
    ranked_users: int = Field(
        10_000, ge=0, description="whose lists are looked at, at most; 0 looks at none"
    )
    device: Device = "auto"


class PublishedCounts(Section):
    """How much of a data set a publication says is on one side of its split."""

    ratings: int | None = Field(None, ge=0)
    users: int | None = Field(None, ge=0, description="with a rating on this side")
    movies: int | None = Field(None, ge=0, description="with a rating on this side")


class ProtocolConfig(Section):
    """The published protocol that the split follows, and the counts that tell whether it does."""

    name: str = Field(min_length=1)
    source: str | None = Field(None, description="who published it")
    dev_from: Literal["train", "held_out"] = Field(
        "held_out", description="the side of the publication's counts that dev is a share of"
    )
    train: PublishedCounts = PublishedCounts()
    held_out: PublishedCounts = PublishedCounts()
