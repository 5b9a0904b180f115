"""Recommendations held against what users liked, by hand."""

import math

import numpy as np
import pytest
from scipy import sparse

from deeprec.config.evaluation import EvaluateConfig
from deeprec.config.run import Config
from deeprec.config.scoring import ScoreConfig
from deeprec.evaluation.evaluate import MODEL, evaluate
from deeprec.evaluation.measurement import HeldOut
from deeprec.evaluation.ranking import POPULARITY, by_popularity, choose_users, liked_from, rank
from deeprec.home import Home
from deeprec.nights.champions import show_model
from deeprec.progress import silent
from deeprec.ratings import Floats, RatingMatrix, RatingScale

STARS = RatingScale(1, 5, 1)
TOLD = EvaluateConfig(part="test")


def ratings(rows: list[dict[int, float]], num_movies: int = 5) -> RatingMatrix:
    """Movie to rating, a user each."""
    dense_UM = np.zeros((len(rows), num_movies), dtype=np.float32)
    for row, rated in enumerate(rows):
        for movie, rating in rated.items():
            dense_UM[row, movie] = rating
    return RatingMatrix(np.arange(len(rows)), np.arange(num_movies), sparse.csr_array(dense_UM))


def scores(values: list[list[float]]) -> list[tuple[slice, Floats]]:
    """A user a batch."""
    rows = np.asarray(values, dtype=np.float32)
    return [(slice(row, row + 1), rows[row : row + 1].copy()) for row in range(len(rows))]


def test_lists_are_of_unrated_movies_and_hits_count_by_their_place() -> None:
    train = ratings([{0: 5}, {1: 3}])
    held_out = HeldOut.of(train, ratings([{1: 5, 3: 4, 4: 2}, {0: 4}]))
    chosen = choose_users(held_out, STARS, TOLD)
    assert [2, 1] == np.diff(chosen.ratings.values_UM.indptr).tolist()  # 2 of 5 is not liked
    found = rank(
        "model",
        scores([[9, 1, 8, 7, 0], [0, 9, 3, 2, 1]]),  # lists 2, 3 and 2, 3
        chosen,
        np.array([30, 20, 9, 10, 5]),
        ScoreConfig(top_n=2),
        progress=silent,
    )
    assert (2, 2) == (found.num_users, found.top_n)
    assert (1 / 2 + 0) / 2 == pytest.approx(found.recall)
    best = 1 + 1 / math.log2(3)
    assert (1 / math.log2(3) / best + 0) / 2 == pytest.approx(found.ndcg)
    assert 2 / 5 == found.coverage
    assert 1 / 2 == found.rarely_rated  # movie 2 has nine ratings, movie 3 has ten


def test_a_list_of_all_that_was_liked_is_worth_one() -> None:
    held_out = HeldOut.of(ratings([{0: 5}]), ratings([{1: 5, 2: 5, 3: 5}]))
    for top_n in (2, 3, 4, 10):  # shorter than what was liked, as long, longer, longer than all
        found = rank(
            "model",
            scores([[9, 4, 3, 2, 1]]),
            held_out,
            np.zeros(5, dtype=np.int64),
            ScoreConfig(top_n=top_n),
            progress=silent,
        )
        assert 1 == found.recall
        assert pytest.approx(1) == found.ndcg


def test_users_are_drawn_by_the_seed() -> None:
    users = [{user % 5: 5.0} for user in range(40)]
    held_out = HeldOut.of(ratings([{(user + 1) % 5: 1.0} for user in range(40)]), ratings(users))

    def drawn(seed: int) -> tuple[int, ...]:
        told = TOLD.model_copy(update={"ranked_users": 10, "seed": seed})
        return tuple(map(int, choose_users(held_out, STARS, told).train.user_ids_U))

    assert 10 == len(drawn(0)) == len(set(drawn(0)))
    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


@pytest.mark.parametrize(
    ("scale", "expected"), [((1, 5), 4), ((0.5, 5), 3.875), ((0, 100), 75), ((-10, 10), 5)]
)
def test_what_is_liked_is_high_on_the_scale(scale: tuple[float, float], expected: float) -> None:
    assert expected == liked_from(RatingScale(*scale))


def test_popularity_gives_everybody_the_same_but_for_what_he_rated() -> None:
    train = ratings([{0: 5}, {1: 3}, {}])
    held_out = HeldOut.of(train, ratings([{1: 5}, {0: 5}, {0: 5}]))
    num_by_movie_N = np.array([30, 20, 9, 10, 5])
    found = rank(
        POPULARITY,
        by_popularity(held_out.train, num_by_movie_N, 2),
        held_out,
        num_by_movie_N,
        ScoreConfig(top_n=1),
        progress=silent,
    )
    assert (1, 1, 2 / 5, 0) == (found.recall, found.ndcg, found.coverage, found.rarely_rated)


def test_movies_that_few_rated_can_be_kept_out() -> None:
    held_out = HeldOut.of(ratings([{0: 5}]), ratings([{1: 5, 2: 5}]))
    found = rank(
        "model",
        scores([[9, 4, 3, 2, 1]]),
        held_out,
        np.array([30, 9, 10, 10, 0]),
        ScoreConfig(top_n=2, min_ratings=10),
        progress=silent,
    )
    assert (1 / 2, 0) == (found.recall, found.rarely_rated)
    assert 2 / 5 == found.coverage


def test_an_evaluation_looks_at_lists_too(trained_home: Home, tiny_config: Config) -> None:
    report = evaluate(trained_home, tiny_config)
    assert [MODEL, POPULARITY] == [ranking.lists_of for ranking in report.rankings]
    for ranking in report.rankings:
        assert 0 < ranking.num_users
        assert 0 <= ranking.recall <= 1
        assert 0 <= ranking.ndcg <= 1
        assert 0 < ranking.coverage <= 1
    recorded = show_model(trained_home, tiny_config, bundle_id=report.bundle_id).lists
    assert [report.part] * 2 == [ranking.part for ranking in recorded]
    expected = {ranking.lists_of: ranking.model_dump() for ranking in report.rankings}
    assert expected == {of.lists_of: of.model_dump(exclude={"part"}) for of in recorded}
    told = tiny_config.evaluate.model_copy(update={"ranked_users": 0})
    none = evaluate(trained_home, tiny_config.model_copy(update={"evaluate": told}))
    assert () == none.rankings
    assert () == show_model(trained_home, tiny_config, bundle_id=report.bundle_id).lists
    assert report.figures == none.figures
