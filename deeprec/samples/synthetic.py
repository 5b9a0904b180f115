"""Made-up ratings with structure that a model can learn; says nothing of files.

A rating is a mean, plus a user's and a movie's bias, plus how well their latent tastes agree,
plus noise, rounded to a star. Each movie is drawn from a generator of its own, so that memory
holds a few numbers a user however many ratings there are.

Shape legend: U users, M movies, K latent tastes, R ratings of one movie.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from deeprec.ratings import Floats, Ids

Days = npt.NDArray[np.int32]  # since 1970-01-01

LOWEST, HIGHEST = 1, 5
FIRST_DAY = date(1999, 11, 11)
LAST_DAY = date(2005, 12, 31)
_FIRST_YEAR = 1930

# Standard deviations in stars. With the rounding they give Netflix's spread, about 1.08; tastes
# weigh as much as both biases together, so a model that finds them stands out from the floors.
_MEAN = 3.25  # of a movie of middling popularity; Netflix's mean rating, 3.6, is of popular ones
_USER_BIAS = 0.45
_MOVIE_BIAS = 0.5
_TASTE = 0.7
_NOISE = 0.7
_NUM_TASTES = 8

# With 17,770 movies and 480,189 users they give Netflix's tails: half of the movies have fewer
# than some 600 of the mean's 5,655 ratings, half of the users fewer than some 100 of 209.
_EAGERNESS_SPREAD = 1.5  # of its logarithm: a few users rate most
_POPULARITY_SPREAD = 2.2  # of its logarithm: a few movies are rated most
_MOST_POPULAR = 2.7  # spreads above the middle: not even those are rated by everyone
_POPULAR_IS_BETTER = 0.4  # correlation of a movie's popularity with its bias
_MANY = 8  # users a rater, below which repeats are too many to pass over
_IDS_PER_USER = 5  # Netflix's ids have gaps too: 480,189 of 2.6 million


@dataclass(frozen=True)
class Users:
    """Who rates; ids ascend and have gaps."""

    ids_U: Ids
    eagerness_U: Floats
    up_to_U: npt.NDArray[np.float64]  # eagerness of a user and all before
    bias_U: Floats
    taste_UK: Floats
    joined_on_U: Days


@dataclass(frozen=True)
class Movies:
    """What is rated, and how often."""

    num_ratings_M: Ids
    bias_M: Floats
    taste_MK: Floats
    year_M: Ids


@dataclass(frozen=True)
class MovieRatings:
    """One movie's ratings, by user, and what they would be without noise and rounding."""

    user_R: Ids
    stars_R: Ids
    rated_on_R: Days
    noiseless_R: Floats


def draw_users(rng: np.random.Generator, num_users: int) -> Users:
    """Users who differ in eagerness, bias, taste and the day they joined."""
    ids_U = 1 + rng.choice(_IDS_PER_USER * num_users, num_users, replace=False)
    span = (LAST_DAY - FIRST_DAY).days
    eagerness_U = rng.lognormal(0, _EAGERNESS_SPREAD, num_users).astype(np.float32)
    return Users(
        ids_U=np.sort(ids_U).astype(np.int64),
        eagerness_U=eagerness_U,
        up_to_U=eagerness_U.cumsum(dtype=np.float64),
        bias_U=_normal(rng, _USER_BIAS, num_users),
        taste_UK=_normal(rng, 1, num_users, _NUM_TASTES),
        # the square root lets more users join each year than the year before
        joined_on_U=_day(FIRST_DAY) + (span * np.sqrt(rng.random(num_users))).astype(np.int32),
    )


def draw_movies(
    rng: np.random.Generator, num_movies: int, num_ratings: int, num_users: int
) -> Movies:
    """Movies that share `num_ratings` between them, at least one and at most `num_users` each."""
    popularity_M = np.minimum(rng.standard_normal(num_movies), _MOST_POPULAR)
    own_M = rng.standard_normal(num_movies)
    shared = _POPULAR_IS_BETTER
    quality_M = shared * popularity_M + np.sqrt(1 - shared**2) * own_M
    recency_M = np.sqrt(rng.random(num_movies))
    return Movies(
        num_ratings_M=_share_out(
            num_ratings, np.exp(_POPULARITY_SPREAD * popularity_M), most=num_users
        ),
        bias_M=(_MOVIE_BIAS * quality_M).astype(np.float32),
        taste_MK=_normal(rng, _TASTE / np.sqrt(_NUM_TASTES), num_movies, _NUM_TASTES),
        year_M=_FIRST_YEAR + ((LAST_DAY.year - _FIRST_YEAR) * recency_M).astype(np.int64),
    )


def draw_ratings(
    rng: np.random.Generator, users: Users, movies: Movies, movie: int
) -> MovieRatings:
    """The ratings of the movie at one index, each by another user."""
    num_ratings = int(movies.num_ratings_M[movie])
    user_R = _draw_raters(rng, users, num_ratings)
    agreement_R = users.taste_UK[user_R] @ movies.taste_MK[movie]
    score_R = _MEAN + users.bias_U[user_R] + movies.bias_M[movie] + agreement_R
    noisy_R = score_R + _normal(rng, _NOISE, num_ratings)
    released_on = _day(date(int(movies.year_M[movie]), 1, 1))
    earliest_R = np.maximum(users.joined_on_U[user_R], released_on)
    days_left_R = _day(LAST_DAY) + 1 - earliest_R
    return MovieRatings(
        user_R=user_R,
        stars_R=np.clip(np.rint(noisy_R), LOWEST, HIGHEST).astype(np.int64),
        rated_on_R=earliest_R + (days_left_R * rng.random(num_ratings)).astype(np.int32),
        noiseless_R=np.clip(score_R, LOWEST, HIGHEST),
    )


def _draw_raters(rng: np.random.Generator, users: Users, num_raters: int) -> Ids:
    """Ascending indices of different users, drawn one after another by their eagerness.

    Both ways give the same distribution: repeats among independent draws are passed over, which
    is quick while most users are not taken; else every user waits an exponential time.
    """
    num_users = len(users.ids_U)
    if _MANY * num_raters > num_users:
        rings_at_U = rng.standard_exponential(num_users, dtype=np.float32) / users.eagerness_U
        return np.sort(np.argpartition(rings_at_U, num_raters - 1)[:num_raters])
    user_R = np.empty(0, dtype=np.int64)
    while (num_missing := num_raters - len(user_R)) > 0:
        drawn = np.sort(rng.random(num_missing)) * users.up_to_U[-1]
        found = np.searchsorted(users.up_to_U, drawn, side="right")
        merged = np.sort(np.concatenate([user_R, found]), kind="stable")  # quick on sorted runs
        user_R = merged[np.diff(merged, prepend=-1) > 0]
    return user_R


def _share_out(total: int, weight_M: npt.NDArray[np.float64], most: int) -> Ids:
    """`total` in whole numbers from 1 to `most`, as near to proportion as these bounds let."""

    def shares(scale: float) -> Ids:
        return np.clip((scale * weight_M).astype(np.int64), 1, most)

    low, high = 0.0, (most + 1) / float(weight_M.min())
    for _ in range(100):  # halvings: more than a float64 has bits
        middle = (low + high) / 2
        low, high = (middle, high) if shares(middle).sum() <= total else (low, middle)
    share_M = shares(low)
    heaviest_first = np.argsort(-weight_M, kind="stable")
    with_room = heaviest_first[share_M[heaviest_first] < most]
    share_M[with_room[: total - int(share_M.sum())]] += 1
    assert share_M.sum() == total, (share_M.sum(), total)
    return share_M


def _normal(rng: np.random.Generator, deviation: float, *shape: int) -> Floats:
    return np.float32(deviation) * rng.standard_normal(shape, dtype=np.float32)


def _day(day: date) -> np.int32:
    return np.int32((day - date(1970, 1, 1)).days)
