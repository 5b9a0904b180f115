"""How ratings are divided into train, dev and test: values that say it, SQL that does it.

Every rating gets exactly one part, so the parts are disjoint and sum to the whole; what a
protocol drops has a part of its own that names the reason.
"""

import hashlib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NUM_SEEDS = 2**63  # those that a column of the warehouse can hold
Seed = Annotated[int, Field(ge=0, lt=NUM_SEEDS)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
_SHA256 = r"^[0-9a-f]{64}$"


class Part(StrEnum):
    """What a rating is used for; the three first are used, the others are reasons for a drop."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"
    OUTSIDE_WINDOW = "outside_window"
    OTHER_FILE = "other_file"
    UNSEEN_USER = "unseen_user"
    UNSEEN_MOVIE = "unseen_movie"


class _Split(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: Seed = Field(0, description="seed of the hash that draws dev and test")
    drop_unseen: bool = Field(
        False, description="drop dev and test ratings whose user or movie has none in train"
    )

    @property
    def split_id(self) -> str:
        """A short name that two splits share only when they are the same value."""
        return _short_digest(self.model_dump_json())


class RandomSplit(_Split):
    """Each rating is drawn by a seeded hash of (user, movie), as AutoRec's 90/10 protocol does."""

    kind: Literal["random"] = "random"
    test_fraction: Fraction = Field(0.1, description="share of all ratings")
    dev_fraction: Fraction = Field(0.05, description="share of all ratings")

    @model_validator(mode="after")
    def _leaves_train(self) -> Self:
        if self.test_fraction + self.dev_fraction >= 1:
            raise ValueError("test_fraction + dev_fraction leave nothing to train on")
        return self


class TimeSplit(_Split):
    """Train up to a date, dev and test after it, as DeepRecommender's Netflix windows do.

    After `train_through`, ratings up to `dev_through` are dev and later ones test; without
    `dev_through` the held-out window is shared by a seeded hash, `dev_fraction` of it to dev.
    """

    kind: Literal["time"] = "time"
    train_from: date | None = Field(None, description="first day of train; earlier is dropped")
    train_through: date = Field(description="last day of train")
    dev_through: date | None = Field(None, description="last day of dev")
    test_through: date | None = Field(None, description="last day of test; later is dropped")
    dev_fraction: Fraction = Field(0.5, description="dev's share of the held-out window")
    drop_unseen: bool = True

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        days = [self.train_from, self.train_through, self.dev_through, self.test_through]
        given = [day for day in days if day is not None]
        if given != sorted(given):
            raise ValueError("days must run train_from, train_through, dev_through, test_through")
        return self


class LastKSplit(_Split):
    """The last `test_k` ratings of each user are test, the `dev_k` before them dev.

    A user with no more than `test_k + dev_k` ratings keeps them all in train. Where dates are days,
    many ratings share a moment; to go by movie ids among them would make test of new movies.
    """

    kind: Literal["last_k"] = "last_k"
    test_k: int = Field(1, ge=0)
    dev_k: int = Field(1, ge=0)
    ties: Literal["drawn"] = Field("drawn", description="of one moment, which are later: the seed")


class FileSplit(_Split):
    """Ratings that came split already, told apart by the name of their file."""

    kind: Literal["file"] = "file"
    train: str = Field(description="glob on the file name, such as u1.base")
    test: str = Field(description="glob on the file name, such as u1.test")
    dev_fraction: Fraction = Field(0.05, description="share of the training file drawn for dev")


class ListedSplit(_Split):
    """Dev, and test where it has a list too, are the pairs that files list; the rest is train.

    The lists are in the format of Netflix's `probe.txt`. What they say is the split, so a list
    counts by its digest: filled in when the split is applied, or stated to insist on a content.
    """

    kind: Literal["listed"] = "listed"
    dev: Path = Field(description="lists dev: `MOVIE_ID:` lines, then one user id a line")
    test: Path | None = Field(None, description="lists test; without it there is none")
    max_absent_fraction: float = Field(
        0.001, ge=0, le=1, description="of a list's pairs; refused when more are not rated"
    )
    dev_sha256: str | None = Field(None, pattern=_SHA256)
    test_sha256: str | None = Field(None, pattern=_SHA256)

    @property
    def lists(self) -> Mapping[Part, Path]:
        """The file that lists each part, where there is one."""
        paths = {Part.DEV: self.dev, Part.TEST: self.test}
        return {part: path for part, path in paths.items() if path}

    @property
    def digests(self) -> Mapping[Part, str | None]:
        """The digest of each list, None where it is not known yet."""
        known = {Part.DEV: self.dev_sha256, Part.TEST: self.test_sha256}
        return {part: known[part] for part in self.lists}

    @property
    def split_id(self) -> str:
        """As of every split, whatever the names of its lists; their digests must be known."""
        assert all(self.digests.values()), self
        return _short_digest(self.model_dump_json(exclude={"seed", "dev", "test"}))


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


Split = Annotated[
    RandomSplit | TimeSplit | LastKSplit | FileSplit | ListedSplit, Field(discriminator="kind")
]
