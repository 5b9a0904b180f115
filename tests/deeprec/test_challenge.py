"""A challenger meets the champion on ratings that neither was trained on."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from deeprec.challenge import challenge
from deeprec.champions import promote
from deeprec.config import Config, load_config
from deeprec.evaluation import BIAS, MODEL, evaluate
from deeprec.home import Home
from deeprec.ingestion import ingest
from deeprec.training import train
from deeprec.vectors import materialize

NUM_USERS, NUM_MOVIES = 30, 12
FIRST = date(2005, 1, 1)
SPLITS = {
    "last_k": ["split={kind='last_k', test_k=2, dev_k=0}"],
    "time": ["split={kind='time', train_through='2005-02-01', dev_fraction=0}"],
    "random": ["split={kind='random', test_fraction=0.5, dev_fraction=0}"],
}


def configured(kind: str) -> Config:
    told = [
        "model.hidden_layers=[4]",
        "train.num_epochs=1",
        "train.device=cpu",
        "evaluate.device=cpu",
        "evaluate.num_resamples=100",
        "warehouse.threads=1",
    ]
    return load_config(None, [*told, *SPLITS[kind]])


def take_in(home: Home, config: Config, name: str, rows: list[tuple[int, int, date]]) -> None:
    home.path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(rows))
    lines = [f"{user},{movie},{rng.integers(1, 6)},{day}" for user, movie, day in rows]
    text = "\n".join(["user_id,movie_id,rating,date", *lines])
    (home.path / name).write_text(text + "\n")
    ingest(home, [str(home.path / name)], config)
    materialize(home, config)


def first_rows() -> list[tuple[int, int, date]]:
    """Two ratings a user of January, and one of March."""
    return [
        (user, (user + place) % NUM_MOVIES, FIRST + timedelta(days=day))
        for user in range(NUM_USERS)
        for place, day in enumerate((0, 1, 60))
    ]


def later_rows() -> list[tuple[int, int, date]]:
    """Of April: a movie that is new to each user, and one that he rated in January."""
    return [
        (user, (user + place) % NUM_MOVIES, FIRST + timedelta(days=90))
        for user in range(NUM_USERS)
        for place in (0, 5)
    ]


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("last_k", 2, 1),  # of two held out, the one that was in train before is left out
        ("time", 1, 2),  # March's and the new one's; not that of January, which was rated anew
    ],
)
def test_ratings_that_the_champion_was_trained_on_do_not_count(
    tmp_path: Path, kind: str, first: int, second: int
) -> None:
    home, config = Home(tmp_path / "home"), configured(kind)
    take_in(home, config, "first.csv", first_rows())
    champion = train(home, config)
    alone = challenge(home, champion.bundle_id, config, "test")
    assert first * NUM_USERS == alone.num_ratings
    promote(home, config, bundle_id=champion.bundle_id, reason="for a test")
    take_in(home, config, "later.csv", later_rows())
    challenger = train(home, config)
    assert second * NUM_USERS == challenge(home, challenger.bundle_id, config, "test").num_ratings


def test_where_nothing_else_is_held_out_all_of_it_counts(tmp_path: Path) -> None:
    home, config = Home(tmp_path / "home"), configured("last_k")
    take_in(home, config, "first.csv", first_rows())
    champion = train(home, config)
    promote(home, config, bundle_id=champion.bundle_id, reason="for a test")
    changed = [(user, movie, day + timedelta(days=1)) for user, movie, day in first_rows()]
    take_in(home, config, "first.csv", changed)
    challenger = train(home, config)
    report = challenge(home, challenger.bundle_id, config, "test")
    assert (champion.bundle_id, 2 * NUM_USERS) == (report.champion, report.num_ratings)


def test_a_pair_that_a_random_split_holds_back_stays_held_back(tmp_path: Path) -> None:
    home, config = Home(tmp_path / "home"), configured("random")
    take_in(home, config, "first.csv", first_rows())
    champion = train(home, config)
    before = challenge(home, champion.bundle_id, config, "test").num_ratings
    promote(home, config, bundle_id=champion.bundle_id, reason="for a test")
    take_in(home, config, "later.csv", later_rows())
    challenger = train(home, config)
    assert before < challenge(home, challenger.bundle_id, config, "test").num_ratings


def test_a_refitted_model_is_judged_with_all_that_it_was_fitted_to(tmp_path: Path) -> None:
    home, told = Home(tmp_path / "home"), configured("random")
    split = told.split.model_copy(update={"test_fraction": 0.3, "dev_fraction": 0.3})
    config = told.model_copy(update={"split": split, "refit": True})
    take_in(home, config, "first.csv", first_rows())
    challenger = train(home, config)
    assert ("train", "dev") == challenger.trained_on
    measured = evaluate(home, config)
    report = challenge(home, challenger.bundle_id, config, "test")
    assert measured.figure(MODEL).rmse == report.challenger_rmse
    assert measured.figure(BIAS).rmse == report.floor_rmse
