"""A predicted rating for any user and every movie: the graph where it knows both, else biases.

Shape legend: U users, B of them in a batch, N movies of the warehouse, M movies of the bundle's
vocabulary, R rated cells, T top, G groups of movies, K movies that may be among the top, X places
to choose from.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deeprec.errors import BundleError
from deeprec.models.bundles import Bundle
from deeprec.models.inference import Scores
from deeprec.models.interface import Model, MovieSide
from deeprec.ratings import Floats, Ids, RatingMatrix, RatingScale

DECIMALS = 2  # of a published rating
Hundredths = npt.NDArray[np.int32]
Columns = npt.NDArray[np.int64]
_CELLS_AT_ONCE = 2**17  # which stay in the cache from the first operation to the last
_GROUP = 32  # columns of which the highest is looked at first
_TITLES_MAY_DIFFER = 0.1  # of the vocabulary: titles get corrected, whole catalogues do not


@dataclass(frozen=True)
class Predictor:
    """A bundle's model and biases laid over the movies of a warehouse.

    `side` is what the model has worked out over everybody's ratings, in the vocabulary's order;
    `counted` says whether the users to come are among everybody, or new here.
    """

    bundle: Bundle
    model: Model
    side: MovieSide
    movie_ids_N: Ids
    counted: bool = True

    @classmethod
    def over(cls, bundle: Bundle, model: Model, everyone: RatingMatrix) -> "Predictor":
        """A predictor for users of a matrix, over all of whose ratings the movies are seen."""
        inputs = everyone.restrict_movies(bundle.vocabulary.movie_ids_M)
        return cls(bundle, model, model.movie_side(inputs), everyone.movie_ids_M)

    @property
    def known_N(self) -> npt.NDArray[np.bool_]:
        """Which movies the model was trained on."""
        return np.isin(self.movie_ids_N, self.bundle.vocabulary.movie_ids_M)

    @property
    def num_ratings_N(self) -> Ids:
        """How often each movie of the warehouse was rated in training."""
        return self.bundle.vocabulary.num_ratings_N(self.movie_ids_N)

    def barred_N(self, min_ratings: int) -> npt.NDArray[np.bool_]:
        """Which of them were rated less often than that."""
        return self.num_ratings_N < min_ratings

    def batches(self, users: RatingMatrix, batch_size: int) -> Iterator[tuple[slice, Scores]]:
        """Scores of every movie of the warehouse for all users, a batch of rows at a time."""
        scale = self.bundle.manifest.scale
        for rows, unclipped_BN in self.unclipped_batches(users, batch_size):
            predicted_BN = np.clip(unclipped_BN, scale.minimum, scale.maximum)
            yield rows, Scores(predicted_BN, unclipped_BN)

    def unclipped_batches(
        self, users: RatingMatrix, batch_size: int
    ) -> Iterator[tuple[slice, Floats]]:
        """As `batches`, of the scores before the clip alone.

        A user none of whose ratings the model knows gets mean + movie bias; a movie it does not
        know gets mean + user bias.
        """
        known_N = self.known_N
        inputs = users.restrict_movies(self.bundle.vocabulary.movie_ids_M)
        user_bias_U = self.bundle.biases.user_bias_U(inputs.values_UM)
        is_empty_U = np.diff(inputs.values_UM.indptr) == 0
        for start in range(0, users.num_users, batch_size):
            rows = slice(start, min(start + batch_size, users.num_users))
            batch = inputs.select_rows(rows)
            known_BM = self.model.predict(batch, self.side, counted=self.counted)
            unclipped_BN = self._widen(known_BM, known_N, user_bias_U[rows])
            unclipped_BN[is_empty_U[rows]] = self._movie_means_N(known_N)
            yield rows, unclipped_BN

    def unclipped_cells(
        self, users: RatingMatrix, wanted_UN: sparse.csr_array[np.float32], batch_size: int
    ) -> Iterator[Floats]:
        """Scores before the clip of the cells that are stored in a matrix, some at a time."""
        for rows, unclipped_BN in self.unclipped_batches(users, batch_size):
            wanted = wanted_UN[rows].tocoo()
            yield unclipped_BN[wanted.row, wanted.col]

    def _widen(
        self, known_BM: Floats, known_N: npt.NDArray[np.bool_], user_bias_B: Floats
    ) -> Floats:
        """Model predictions over all N movies, bias predictions where it has none."""
        if known_N.all():
            return known_BM
        mean = np.float32(self.bundle.manifest.global_mean)
        place_N = np.maximum(np.cumsum(known_N) - 1, 0)  # an unknown one's is that of any other
        wide_BN: Floats = np.take(known_BM, place_N, axis=1)
        wide_BN[:, ~known_N] = (mean + user_bias_B)[:, None]
        return wide_BN

    def _movie_means_N(self, known_N: npt.NDArray[np.bool_]) -> Floats:
        """What a user of whom nothing is known gets: mean + movie bias."""
        mean_N = np.full(len(known_N), self.bundle.manifest.global_mean, dtype=np.float32)
        mean_N[known_N] += self.bundle.vocabulary.bias_M
        return mean_N


def check_vocabulary(bundle: Bundle, movie_ids_N: Ids, titles_N: list[str | None]) -> None:
    """Refuse a bundle that was trained on other movies than the warehouse's.

    Raises:
        BundleError: a movie of the vocabulary is not in the warehouse, or more than a tenth of
            the titles that both know differ.
    """
    vocabulary = bundle.vocabulary
    unknown_M = ~np.isin(vocabulary.movie_ids_M, movie_ids_N)
    if unknown_M.any():
        example = int(vocabulary.movie_ids_M[unknown_M][0])
        raise BundleError(
            f"{bundle.path}: {int(unknown_M.sum())} of the bundle's {len(unknown_M)} movies are "
            f"not in this warehouse (movie {example}, for one); score with a bundle that was "
            "trained on these ratings"
        )
    here = dict(zip(movie_ids_N.tolist(), titles_N, strict=True))
    pairs = [
        (title, here[movie_id])
        for movie_id, title in zip(vocabulary.movie_ids_M.tolist(), vocabulary.titles, strict=True)
        if title and here[movie_id]
    ]
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    if len(differing) > _TITLES_MAY_DIFFER * len(pairs):
        raise BundleError(
            f"{bundle.path}: {len(differing)} of {len(pairs)} titles differ from this warehouse's "
            f"(`{differing[0][0]}` is `{differing[0][1]}` here): the same numbers, other movies"
        )


def in_hundredths(
    predicted_BN: Floats, bundle: Bundle, out_BN: Hundredths | None = None
) -> Hundredths:
    """Whole hundredths that are still on the scale: 9.999 is not rounded to a 10 beyond it.

    Args:
        predicted_BN: with as many axes as there are.
        bundle: of the scale, and to be named.
        out_BN: where they are put, if anywhere.

    Raises:
        BundleError: a prediction is no number.
    """
    if out_BN is None:
        out_BN = np.empty(predicted_BN.shape, dtype=np.int32)
    lowest, highest = _ends_as_floats(bundle.manifest.scale)
    num_rows = max(1, _CELLS_AT_ONCE * len(predicted_BN) // max(1, predicted_BN.size))
    for start in range(0, len(predicted_BN), num_rows):
        rows = slice(start, start + num_rows)
        if not _all_finite(predicted_BN[rows]):
            raise BundleError(f"{bundle.path}: predicts values that are no numbers; train it again")
        hundredths = predicted_BN[rows] * np.float32(10**DECIMALS)
        np.rint(hundredths, out=hundredths)
        np.clip(hundredths, lowest, highest, out=hundredths)
        out_BN[rows] = hundredths
    return out_BN


def _all_finite(values: Floats) -> bool:
    """One pass and no array of its own; only where the sum overflows is every number looked at."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def ends_in_hundredths(scale: RatingScale) -> tuple[int, int]:
    """The lowest and the highest whole hundredth on the scale."""
    factor = 10**DECIMALS
    lowest = math.ceil(round(scale.minimum * factor, 3))
    return lowest, math.floor(round(scale.maximum * factor, 3))


def _ends_as_floats(scale: RatingScale) -> tuple[np.float32, np.float32]:
    """The ends in hundredths, each as the nearest float that is not beyond it."""
    lowest, highest = ends_in_hundredths(scale)
    low, high = np.float32(lowest), np.float32(highest)
    if int(low) < lowest:
        low = np.nextafter(low, np.float32(np.inf))
    if int(high) > highest:
        high = np.nextafter(high, np.float32(-np.inf))
    return low, high


def best_unrated(
    unclipped_BN: Floats,
    users: RatingMatrix,
    top_n: int,
    barred_N: npt.NDArray[np.bool_] | None = None,
) -> Columns:
    """B x T: columns of the highest predictions before the clip, best first; -1 where none is left.

    Ranking before the clip tells apart movies that the scale's end makes equal.

    Args:
        unclipped_BN: what is rated or barred is -inf afterwards; to copy the rest would take
            longer than all that is done here.
        users: what they have rated.
        top_n: T, where there are as many movies.
        barred_N: which movies are not recommended to anybody, if any.
    """
    top_n = min(top_n, unclipped_BN.shape[1])
    row_start_B = unclipped_BN.shape[1] * np.arange(users.num_users)
    rated_R = np.repeat(row_start_B, np.diff(users.values_UM.indptr)) + users.values_UM.indices
    unclipped_BN.reshape(-1, copy=False)[rated_R] = -np.inf
    if barred_N is not None:
        unclipped_BN[:, np.flatnonzero(barred_N)] = -np.inf
    best_BT, value_BT = _highest(unclipped_BN, top_n)
    order_BT = np.lexsort((best_BT, -value_BT), axis=1)
    best_BT = np.take_along_axis(best_BT, order_BT, axis=1)
    is_barred_BT = np.isneginf(np.take_along_axis(value_BT, order_BT, axis=1))
    return np.where(is_barred_BT, -1, best_BT)


def _highest(value_BN: Floats, top: int) -> tuple[Columns, Floats]:
    """B x T: columns of the T highest values of each row, in any order, and those values.

    Columns are taken in groups, a stride apart: the T groups with the highest maxima hold the T
    highest values, so all but those groups are met once, at the speed of a maximum.
    """
    num_rows, num_columns = value_BN.shape
    num_groups = num_columns // _GROUP
    if num_groups <= 2 * top:
        best_BT = _places_of_highest(value_BN, top)
        return best_BT, np.take_along_axis(value_BN, best_BT, axis=1)
    even = num_groups * _GROUP
    highest_BG = value_BN[:, :even].reshape(num_rows, _GROUP, num_groups).max(axis=1)
    group_BT = _places_of_highest(highest_BG, top)
    inside_BK = (group_BT[:, :, None] + num_groups * np.arange(_GROUP)).reshape(num_rows, -1)
    rest_BK = np.broadcast_to(np.arange(even, num_columns), (num_rows, num_columns - even))
    column_BK = np.concatenate([inside_BK, rest_BK], axis=1)
    row_start_B1 = num_columns * np.arange(num_rows)[:, None]
    found_BK = value_BN.reshape(-1, copy=False).take(row_start_B1 + column_BK)
    place_BT = _places_of_highest(found_BK, top)
    return (
        np.take_along_axis(column_BK, place_BT, axis=1),
        np.take_along_axis(found_BK, place_BT, axis=1),
    )


def _places_of_highest(value_BX: Floats, top: int) -> Columns:
    """B x T: where the T highest values of each row are, in any order.

    NumPy partitions values by vector instructions, and places not; which values are as high as
    the T-th is told by a comparison, unless others equal it, or it is no number.
    """
    first = value_BX.shape[1] - top
    least_B1 = np.partition(value_BX, first, axis=1)[:, first, None]
    row_K, column_K = np.divmod(np.flatnonzero(value_BX >= least_B1), value_BX.shape[1])
    is_told_B = np.bincount(row_K, minlength=len(value_BX)) == top
    place_BT = np.empty((len(value_BX), top), dtype=np.int64)
    place_BT[is_told_B] = column_K[is_told_B[row_K]].reshape(-1, top)
    place_BT[~is_told_B] = np.argpartition(value_BX[~is_told_B], first, axis=1)[:, first:]
    return place_BT
