"""myFM's Bayesian factorisation machines by Gibbs sampling (Rendle et al. 2019).

Shape legend: U users, M movies, R pairs.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from pydantic import PositiveInt
from scipy import sparse

from benchmarks.peers import Predict
from benchmarks.peers.adapter import Adapter, triples
from deeprec.ratings import Floats, Ids, RatingMatrix

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports pkg_resources, which says that it will go
    import myfm

_Features = sparse.csr_array[np.float64]


class BayesianMF(Adapter):
    """Biased matrix factorisation: a factorisation machine over user and movie ids."""

    knows_who_rated: ClassVar[bool] = False

    rank: PositiveInt
    n_iter: PositiveInt
    n_kept_samples: PositiveInt

    def fit(self, train: RatingMatrix) -> Predict:
        """Draw samples; a user or movie without ratings has neither bias nor factors."""
        features, group_sizes = self._features(train)
        user_R, movie_R, rating_R = triples(train)
        machine = myfm.MyFMRegressor(rank=self.rank, random_seed=self.seed)
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar of its own
            machine.fit(
                None,
                rating_R,
                X_rel=features(user_R, movie_R),
                n_iter=self.n_iter,
                n_kept_samples=self.n_kept_samples,
                group_shapes=group_sizes,
            )

        def predict(user_R: Ids, movie_R: Ids) -> Floats:
            return np.asarray(machine.predict(None, features(user_R, movie_R)), dtype=np.float32)

        return predict

    def _features(self, train: RatingMatrix) -> tuple[Callable[[Ids, Ids], list[Any]], list[int]]:
        """What makes the blocks of some pairs, and how many features are of each kind."""
        rated_UM = train.values_UM.astype(np.float64)
        rated_UM.data[:] = 1
        of_users, of_movies = self._groups(rated_UM), self._groups(rated_UM.T.tocsr())
        users, movies = sparse.hstack(of_users, "csr"), sparse.hstack(of_movies, "csr")

        def features(user_R: Ids, movie_R: Ids) -> list[Any]:
            return [myfm.RelationBlock(user_R, users), myfm.RelationBlock(movie_R, movies)]

        return features, [group.shape[1] for group in (*of_users, *of_movies)]

    def _groups(self, rated: _Features) -> list[_Features]:
        """One feature for each row that has ratings; who rated it, too, if that is known."""
        count = np.diff(rated.indptr)
        own = sparse.eye_array(rated.shape[0], format="csr")[:, count > 0]
        if not self.knows_who_rated:
            return [own]
        # as SVD++ has it: the root of the count, so that many ratings do not drown the id
        weighted = rated.copy()
        weighted.data /= np.sqrt(np.repeat(count, count))
        return [own, weighted]


class BayesianSVDppFlipped(BayesianMF):
    """Also knows which movies a user has rated, and which users a movie was rated by.

    The strongest features of Rendle et al. but the day of a rating, which no system here is given.
    """

    knows_who_rated: ClassVar[bool] = True
