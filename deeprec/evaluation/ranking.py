"""How good recommendations are: what held-out ratings say of each user's best movies.

An error says how far predictions are off, not whether those at the top are any good: it forgives a
model that puts a movie with three ratings first for everybody.

Shape legend: U users, B of them in a batch, N movies, R held-out ratings, T of a list.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deeprec.config.evaluation import EvaluateConfig
from deeprec.config.scoring import ScoreConfig
from deeprec.evaluation.measurement import HeldOut
from deeprec.models.prediction import Columns, best_unrated
from deeprec.models.registry import Ranking
from deeprec.progress import Progress
from deeprec.ratings import Floats, RatingMatrix, RatingScale

POPULARITY = "popularity"
RARELY_RATED = 10  # training ratings, below which a movie has few
_LIKED = 0.75  # of the way up the scale: four stars of five

Batches = Iterable[tuple[slice, Floats]]


class _Sums(NamedTuple):
    """What the lists of some users come to."""

    recall: float
    ndcg: float
    num_in_lists_N: npt.NDArray[np.int64]


def choose_users(held_out: HeldOut, scale: RatingScale, config: EvaluateConfig) -> HeldOut:
    """Those who liked a held-out movie, `config.ranked_users` of them at most, drawn by the seed.

    Their held-out ratings are those alone that they liked.
    """
    liked = held_out.ratings.select_ratings(held_out.actual_R >= liked_from(scale))
    likes_U = np.flatnonzero(np.diff(liked.values_UM.indptr))
    if len(likes_U) > config.ranked_users:
        rng = np.random.default_rng(config.seed)
        likes_U = rng.choice(likes_U, config.ranked_users, replace=False)
    chosen_U = np.zeros(liked.num_users, dtype=bool)
    chosen_U[likes_U] = True
    return HeldOut.of(held_out.train.select_users(chosen_U), liked.select_users(chosen_U))


def liked_from(scale: RatingScale) -> float:
    """The rating from which a movie counts as liked: four, from one to five."""
    return scale.minimum + _LIKED * (scale.maximum - scale.minimum)


def rank(
    name: str,
    batches: Batches,
    chosen: HeldOut,
    num_by_movie_N: npt.NDArray[np.int64],
    config: ScoreConfig,
    *,
    progress: Progress,
) -> Ranking:
    """The figures of one predictor.

    Args:
        name: the predictor's.
        batches: its unclipped scores of all movies for the chosen users, in order; what is rated
            is -inf in them afterwards.
        chosen: whom it is measured on, see `choose_users`.
        num_by_movie_N: training ratings.
        config: how long a list is, and which movies it may hold.
        progress: told of the users.
    """
    train, liked = chosen.train, chosen.ratings
    barred_N = num_by_movie_N < config.min_ratings
    parts = []
    for rows, score_BN in batches:
        best_BT = best_unrated(score_BN, train.select_rows(rows), config.top_n, barred_N)
        parts.append(_sums(best_BT, liked.select_rows(rows)))
        progress(f"rank by {name}", rows.stop, train.num_users, "users")
    num_in_lists_N = np.sum([part.num_in_lists_N for part in parts], axis=0)
    rare_N = num_by_movie_N < RARELY_RATED
    return Ranking(
        lists_of=name,
        top_n=config.top_n,
        num_users=train.num_users,
        recall=sum(part.recall for part in parts) / train.num_users,
        ndcg=sum(part.ndcg for part in parts) / train.num_users,
        coverage=float(np.mean(num_in_lists_N > 0)),
        rarely_rated=float(num_in_lists_N[rare_N].sum() / max(1, num_in_lists_N.sum())),
    )


def by_popularity(
    users: RatingMatrix, num_by_movie_N: npt.NDArray[np.int64], batch_size: int
) -> Iterator[tuple[slice, Floats]]:
    """For everybody the same scores: how often each movie was rated in training."""
    for start in range(0, users.num_users, batch_size):
        rows = slice(start, min(start + batch_size, users.num_users))
        yield rows, np.tile(num_by_movie_N.astype(np.float32), (rows.stop - rows.start, 1))


def _sums(best_BT: Columns, liked: RatingMatrix) -> _Sums:
    """Of the lists of some users, -1 where a list has ended."""
    num_movies, num_liked_B = liked.num_movies, np.diff(liked.values_UM.indptr)
    row_B1 = np.arange(len(best_BT))[:, None]
    liked_cells_R = np.repeat(row_B1[:, 0], num_liked_B) * num_movies + liked.values_UM.indices
    is_hit_BT = (best_BT >= 0) & np.isin(row_B1 * num_movies + best_BT, liked_cells_R)
    gain_T = 1 / np.log2(np.arange(best_BT.shape[1]) + 2)
    best_gain_T = np.cumsum(gain_T)
    num_possible_B = np.minimum(num_liked_B, best_BT.shape[1])
    return _Sums(
        recall=float((is_hit_BT.sum(axis=1) / num_possible_B).sum()),
        ndcg=float((is_hit_BT @ gain_T / best_gain_T[num_possible_B - 1]).sum()),
        num_in_lists_N=np.bincount(best_BT[best_BT >= 0], minlength=num_movies),
    )
