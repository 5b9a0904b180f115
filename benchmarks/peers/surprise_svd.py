"""Surprise's matrix factorisations by stochastic gradient descent.

Shape legend: R ratings.
"""

from typing import ClassVar

import numpy as np
import surprise
from pydantic import Field, PositiveInt

from benchmarks.peers import Predict
from benchmarks.peers.adapter import Adapter, triples
from deeprec.ratings import Floats, Ids, RatingMatrix


class SVD(Adapter):
    """Biased matrix factorisation (Funk 2006). The defaults are Surprise's own."""

    algorithm: ClassVar[str] = "SVD"
    options: ClassVar[dict[str, bool]] = {}

    n_factors: PositiveInt = 100
    n_epochs: PositiveInt = 20
    lr_all: float = Field(0.005, gt=0)
    reg_all: float = Field(0.02, ge=0)

    def fit(self, train: RatingMatrix) -> Predict:
        """Fit; a user or movie without ratings has neither bias nor factors."""
        user_R, movie_R, rating_R = triples(train)
        scale = (float(rating_R.min()), float(rating_R.max()))
        rows = zip(user_R.tolist(), movie_R.tolist(), rating_R.tolist(), strict=True)
        ratings = surprise.Dataset(surprise.Reader(rating_scale=scale)).construct_trainset(
            [(*row, None) for row in rows]
        )
        settings = self.model_dump(exclude={"seed"})
        algorithm = getattr(surprise, self.algorithm)
        fitted = algorithm(random_state=self.seed, **settings, **self.options).fit(ratings)

        def predict(user_R: Ids, movie_R: Ids) -> Floats:
            pairs = zip(user_R.tolist(), movie_R.tolist(), strict=True)
            estimates = [fitted.predict(user, movie, clip=False).est for user, movie in pairs]
            return np.array(estimates, dtype=np.float32)

        return predict


class SVDpp(SVD):
    """SVD with a term for what the user has rated at all (Koren 2008)."""

    algorithm: ClassVar[str] = "SVDpp"
    # the same result somewhat sooner, for a copy of every user's ratings in memory
    options: ClassVar[dict[str, bool]] = {"cache_ratings": True}

    n_factors: PositiveInt = 20
    lr_all: float = Field(0.007, gt=0)
