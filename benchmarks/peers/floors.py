"""The two floors, as peers: what every recommender has to beat.

Shape legend: U users, M movies, R ratings.
"""

import numpy as np
from pydantic import Field

from benchmarks.peers import Predict
from benchmarks.peers.adapter import Adapter
from deeprec.models.baselines import fit_biases
from deeprec.ratings import Floats, Ids, RatingMatrix


class GlobalMean(Adapter):
    """The mean of all ratings for everybody."""

    def fit(self, train: RatingMatrix) -> Predict:
        """Take the mean."""
        mean = train.values_UM.data.mean(dtype=np.float64)
        return lambda user_R, movie_R: np.full(len(user_R), mean, dtype=np.float32)  # noqa: ARG005


class DampedBiases(Adapter):
    """Mean + user bias + movie bias: deeprec's own floor, and its answer where a model has none."""

    user_damping: float = Field(ge=0)
    movie_damping: float = Field(ge=0)

    def fit(self, train: RatingMatrix) -> Predict:
        """Fit the biases; a user or movie without ratings has one of zero."""
        biases = fit_biases(train.values_UM, self.user_damping, self.movie_damping)
        user_bias_U = biases.user_bias_U(train.values_UM)

        def predict(user_R: Ids, movie_R: Ids) -> Floats:
            bias_R = user_bias_U[user_R] + biases.movie_bias_M[movie_R]
            return np.asarray(biases.global_mean + bias_R, dtype=np.float32)

        return predict
