"""A blend as a model: the weighted sum of its members.

Shape legend: B users in a batch, M movies of the vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deeprec.models.interface import Model, MovieSide
from deeprec.ratings import Floats, RatingMatrix


@dataclass(frozen=True)
class BlendModel:
    """A weighted sum of models, and a constant."""

    members: Mapping[str, Model]
    weights: Mapping[str, float]
    intercept: float

    @property
    def looks_at_movies(self) -> bool:
        """See `Model`."""
        return any(member.looks_at_movies for member in self.members.values())

    @property
    def needs_days(self) -> bool:
        """See `Model`."""
        return any(member.needs_days for member in self.members.values())

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """Every member's, under its name."""
        return {
            f"{name}.{key}": array
            for name, member in self.members.items()
            for key, array in member.movie_side(everyone).items()
        }

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `Model`."""
        shape = (users.num_users, users.num_movies)
        blended_BM = np.full(shape, self.intercept, dtype=np.float32)
        for name, predicted_BM in self.predict_each(users, side, counted=counted).items():
            blended_BM += np.float32(self.weights[name]) * predicted_BM
        return blended_BM

    def predict_each(
        self, users: RatingMatrix, side: MovieSide, *, counted: bool
    ) -> dict[str, Floats]:
        """B x M of every member."""
        return {
            name: member.predict(users, _of_member(side, name), counted=counted)
            for name, member in self.members.items()
        }


def _of_member(side: MovieSide, name: str) -> MovieSide:
    """A member's part of a blend's movie side."""
    parted = {key: key.partition(".") for key in side}
    return {own: side[key] for key, (member, _, own) in parted.items() if member == name}
