"""How far each of a user's ratings moves one prediction; knows a predictor, not where it is from.

Shape legend: R the user's ratings of known movies, B vectors in a batch, N movies, K ratings that
are left.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deeprec.models.prediction import Predictor
from deeprec.progress import Progress, silent
from deeprec.ratings import Floats, RatingMatrix


@dataclass(frozen=True)
class Effects:
    """Predictions before the clip: with all ratings, with none, and what leaving one out takes.

    Beside each effect stand its rating and the column of its movie; only ratings of movies that
    the model knows are among them, since no others reach it.
    """

    with_all: float
    with_none: float
    column_R: npt.NDArray[np.int32]
    rating_R: Floats
    effect_R: npt.NDArray[np.float64]

    @property
    def total(self) -> float:
        """The sum of all effects."""
        return float(self.effect_R.sum())

    def largest(self, num_wanted: int) -> npt.NDArray[np.intp]:
        """Places of the largest effects, by size; of equal ones the lowest movie id first."""
        return np.argsort(-np.abs(self.effect_R), kind="stable")[:num_wanted]


def leave_one_out(
    predictor: Predictor,
    user: RatingMatrix,
    column: int,
    batch_size: int,
    progress: Progress = silent,
) -> Effects:
    """The effect of each rating: the prediction with all ratings less the one without it.

    Args:
        predictor: for newcomers, over other people's ratings.
        user: one row.
        column: of the movie that is predicted.
        batch_size: vectors in one pass through the graph.
        progress: told of the ratings left out so far.
    """
    assert not predictor.counted, "what a counted user has left in the kernel would stay there"
    known = user.select_ratings(predictor.known_N[user.values_UM.indices])
    nothing = known.select_ratings(np.zeros(known.num_ratings, dtype=bool))
    with_all = predict_one(predictor, known, column)
    without = [np.empty(0, dtype=np.float32)]
    for vectors in _vectors_without_one(known, batch_size):
        ((_, scores),) = predictor.batches(vectors, batch_size)
        without.append(scores.unclipped_BM[:, column])
        progress("explain", sum(map(len, without)), known.num_ratings, "ratings")
    return Effects(
        with_all=with_all,
        with_none=predict_one(predictor, nothing, column),
        column_R=known.values_UM.indices,
        rating_R=known.values_UM.data,
        effect_R=with_all - np.concatenate(without).astype(np.float64),
    )


def predict_one(predictor: Predictor, user: RatingMatrix, column: int) -> float:
    """The prediction of one movie for one user, before the clip."""
    ((_, scores),) = predictor.batches(user, 1)
    return float(scores.unclipped_BM[0, column])


def _vectors_without_one(user: RatingMatrix, batch_size: int) -> Iterator[RatingMatrix]:
    """Batches of the user's vector, each without one of its ratings, in their order."""
    num_ratings = user.num_ratings
    for start in range(0, num_ratings, batch_size):
        left_out_B = np.arange(start, min(start + batch_size, num_ratings))
        is_kept_BR = np.arange(num_ratings) != left_out_B[:, None]
        place_K = np.nonzero(is_kept_BR)[1]
        values_BN: sparse.csr_array[np.float32] = sparse.csr_array(
            (
                user.values_UM.data[place_K],
                user.values_UM.indices[place_K],
                np.arange(len(left_out_B) + 1) * (num_ratings - 1),
            ),
            shape=(len(left_out_B), user.num_movies),
        )
        user_ids_B = np.repeat(user.user_ids_U, len(left_out_B))
        days_K = None if user.days_R is None else user.days_R[place_K]
        yield RatingMatrix(user_ids_B, user.movie_ids_M, values_BN, days_K)
