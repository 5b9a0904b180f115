"""What adapters share: settings that are checked, and ratings as the triples that peers take.

Shape legend: R ratings.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict

from deeprec.ratings import Floats, Ids, RatingMatrix


class Adapter(BaseModel):
    """A peer's settings and seed; a key that the peer does not have is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int


def triples(ratings: RatingMatrix) -> tuple[Ids, Ids, Floats]:
    """Row, column and rating of each stored entry, by user and then by movie."""
    entries = ratings.values_UM.tocoo()
    return entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data


def by_user(user_R: Ids) -> Iterator[tuple[int, slice]]:
    """Each user of an ascending list, and where his pairs are."""
    users, starts, counts = np.unique(user_R, return_index=True, return_counts=True)
    for user, start, count in zip(users.tolist(), starts.tolist(), counts.tolist(), strict=True):
        yield user, slice(start, start + count)
