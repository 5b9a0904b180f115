"""Which of a user's ratings moved one prediction, and by how much.

The user is looked at as if he were new, over everybody else's ratings. A kernel of movies holds
what he has contributed to it, so leaving a rating out of his vector alone would leave it in the
kernel; and the code that training has learned of a user does not follow from his vector at all.
What this changes in the prediction is a part of the remainder.

Shape legend: U users, M movies of the vocabulary, R ratings of one user.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config
from deeprec.errors import UnknownIdError
from deeprec.home import Home
from deeprec.models.bundles import Bundle
from deeprec.models.prediction import Predictor
from deeprec.progress import Progress, silent
from deeprec.ratings import Ids, RatingMatrix
from deeprec.scoring.fitness import check_fits
from deeprec.scoring.leave_one_out import Effects, leave_one_out, predict_one
from deeprec.scoring.people import (
    People,
    newcomers_predictor,
    open_chosen,
    read_everyone,
    read_people,
)
from deeprec.vectors.materialize import current_digest, movie_ids, rating_matrix
from deeprec.warehouse.opening import read_warehouse

_NOTE = (
    "effect = prediction with a rating - prediction without it, all others kept, before the clip "
    "to the scale; without_ratings + sum_of_effects + remainder = before_clip; the remainder is "
    "what ratings do together"
)
_NOTE_ON_COUNTED = (
    " (as_new - without_ratings - sum_of_effects), and what it changes that this user is not new "
    "(before_clip - as_new): the effects are those on a new user with his ratings"
)


class Effect(BaseModel):
    """How far one rating has moved the prediction, in rating units."""

    model_config = ConfigDict(frozen=True)

    movie_id: int
    title: str | None
    rating: float
    effect: float


class ExplainReport(BaseModel):
    """One prediction in parts: `without_ratings` + `sum_of_effects` + `remainder`.

    They add up to `before_clip`. The sum is over all ratings; `effects` holds the largest.
    `as_new` is what a new user with the same ratings would get: of a user of the warehouse it
    differs from `before_clip` where the model has learned a code of him, or counts him among
    those over whom it sees the movies.
    """

    model_config = ConfigDict(frozen=True)

    bundle_id: str
    user_id: int
    movie_id: int
    title: str | None
    predicted_rating: float
    before_clip: float
    without_ratings: float
    sum_of_effects: float
    remainder: float
    as_new: float
    num_ratings: int
    num_unknown_ratings: int
    note: str
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class _Case:
    """One user's ratings, the model for him as a newcomer, and the movie that is asked about.

    `published` is the prediction, before the clip, for the user that he is in the warehouse, where
    that may be another than a newcomer's. Columns and titles are of the predictor's movies.
    """

    user: RatingMatrix
    predictor: Predictor
    column: int
    titles: list[str | None]
    num_ratings: int
    published: float | None = None


def explain(
    home: Home,
    config: Config,
    progress: Progress = silent,
    *,
    user_id: int,
    movie_id: int,
    sources: Sequence[str] = (),
) -> ExplainReport:
    """The effects of a user's ratings on his prediction for a movie, the `score.top_n` largest.

    Args:
        home: whose champion is used, else its newest bundle, unless `score.bundle` names one.
        config: `ingest`, `score` and `warehouse` are used.
        progress: told of the ratings left out so far.
        user_id: the source's; of the files where there are any, else of the warehouse.
        movie_id: the source's.
        sources: rating files of people who are new, as `score_newcomers` takes them.

    Raises:
        UnknownIdError: there is no such user or movie.
        BundleError: there is no bundle, it is damaged, or it is not one for the warehouse.
        SourceError: a file cannot be read or understood, or too many rows cannot be used.
        WarehouseError: it is needed, and missing or stale.
    """
    bundle = open_chosen(home, config)
    if sources:
        people = read_people(sources, bundle, config.ingest)
        case = _newcomer(people, user_id, movie_id, newcomers_predictor(home, bundle, config))
    else:
        case = _user(home, bundle, config, user_id, movie_id)
    effects = leave_one_out(
        case.predictor, case.user, case.column, config.score.batch_size, progress
    )
    before_clip = effects.with_all if case.published is None else case.published
    scale = bundle.manifest.scale
    return ExplainReport(
        bundle_id=bundle.manifest.bundle_id,
        user_id=user_id,
        movie_id=movie_id,
        title=case.titles[case.column],
        predicted_rating=min(max(before_clip, scale.minimum), scale.maximum),
        before_clip=before_clip,
        without_ratings=effects.with_none,
        sum_of_effects=effects.total,
        remainder=before_clip - effects.with_none - effects.total,
        as_new=effects.with_all,
        num_ratings=case.num_ratings,
        num_unknown_ratings=case.num_ratings - len(effects.effect_R),
        note=_NOTE + ("" if case.published is None else _NOTE_ON_COUNTED),
        effects=_rows(case, effects, config.score.top_n),
    )


def _newcomer(people: People, user_id: int, movie_id: int, predictor: Predictor) -> _Case:
    """Somebody who came with a file."""
    row = _place("user", user_id, people.ratings.user_ids_U, "the files")
    column = _place("movie", movie_id, people.ratings.movie_ids_M, "the model's vocabulary")
    user = people.ratings.select_rows(slice(row, row + 1))
    num_ratings = user.num_ratings + int(people.num_unknown_U[row])
    return _Case(user, predictor, column, predictor.bundle.vocabulary.titles, num_ratings)


def _user(home: Home, bundle: Bundle, config: Config, user_id: int, movie_id: int) -> _Case:
    """A user of the warehouse."""
    model = bundle.model(config.score.device)
    with read_warehouse(home, config.warehouse) as warehouse:
        check_fits(bundle, warehouse, current_digest(warehouse))
        movies = warehouse.table("vectors/movies")
        vector = warehouse.table("vectors/of_user", user_id=user_id)
        if not vector.num_rows:
            raise _unknown("user", user_id, "the warehouse", warehouse.row("vectors/user_range"))
        user = rating_matrix(vector, movie_ids(warehouse))
        column = _place("movie", movie_id, user.movie_ids_M, "the warehouse")
        everyone = read_everyone(warehouse, bundle) if model.looks_at_movies else user
    predictor = Predictor.over(bundle, model, everyone)
    published = None
    if model.looks_at_movies:
        published = predict_one(predictor, user, column)
        others = everyone.select_users(everyone.user_ids_U != user_id)
        predictor = Predictor.over(bundle, model, others)
    newcomers = replace(predictor, counted=False)
    titles = movies["title"].to_pylist()
    return _Case(user, newcomers, column, titles, user.num_ratings, published)


def _place(what: str, wanted: int, ids: Ids, where: str) -> int:
    """The place of an id among ascending ones.

    Raises:
        UnknownIdError: it is not among them.
    """
    place = int(np.searchsorted(ids, wanted))
    if place == len(ids) or ids[place] != wanted:
        raise _unknown(what, wanted, where, (len(ids), int(ids[0]), int(ids[-1])))
    return place


def _unknown(what: str, wanted: int, where: str, found: tuple[int, ...]) -> UnknownIdError:
    """An error that names what exists: how many there are, the lowest and the highest id."""
    count, lowest, highest = found
    return UnknownIdError(
        f"{what} {wanted} is not in {where}, which has {count:,} {what}s with ids from {lowest} "
        f"to {highest}; ids are those of the rating files"
    )


def _rows(case: _Case, effects: Effects, num_shown: int) -> tuple[Effect, ...]:
    """The largest effects with their movies."""
    return tuple(
        Effect(
            movie_id=int(case.user.movie_ids_M[effects.column_R[place]]),
            title=case.titles[effects.column_R[place]],
            rating=float(effects.rating_R[place]),
            effect=float(effects.effect_R[place]),
        )
        for place in effects.largest(num_shown)
    )
