"""A challenger meets the champion on ratings that neither was trained on."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import BundleError
from deeprec.evaluation.evaluate import BIAS, MODEL, evaluate
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.bundles import open_bundle
from deeprec.models.registry import Evaluation
from deeprec.nights.challenge import _require_comparable, _verdict, challenge
from deeprec.nights.champions import promote
from deeprec.splits import Part
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize

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


def measured(
    rmse: float, minus: float = 0.0, ends: tuple[float, float] | None = None
) -> Evaluation:
    """The figure of a predictor that is so much off its opponent."""
    low, high = ends or (None, None)
    return Evaluation(
        predictor="any",
        num_ratings=100,
        num_cold=0,
        rmse=rmse,
        mae=rmse,
        unclipped_rmse=rmse,
        unclipped_mae=rmse,
        minus_bias=minus,
        minus_bias_low=low,
        minus_bias_high=high,
    )


FLOOR = measured(0.95)


@pytest.mark.parametrize(
    ("own", "margin", "is_promoted", "why"),
    [
        (measured(0.90, -0.02, (-0.03, -0.01)), 0.0, True, "better than the champion by 0.0200"),
        (measured(0.90, -0.02, (-0.03, 0.00)), 0.0, False, "better than the champion by 0.0200"),
        (measured(0.90, 0.02, (0.01, 0.03)), 0.0, False, "worse than the champion by 0.0200"),
        (measured(0.90, -0.02, (-0.03, -0.01)), 0.01, False, "against a margin of 0.01"),
        (measured(0.90, -0.02, (-0.03, -0.011)), 0.01, True, "better than the champion"),
        (measured(0.95, -0.02, (-0.03, -0.01)), 0.0, False, "not better than its bias floor"),
        (measured(0.90, -0.02), 0.0, False, "the ratings of one user"),
    ],
)
def test_only_who_is_surely_better_by_as_much_as_asked_for_is_promoted(
    own: Evaluation, margin: float, is_promoted: bool, why: str
) -> None:
    found, reason = _verdict(own, FLOOR, "champion", margin)
    assert is_promoted == found
    assert why in reason


@pytest.mark.parametrize(
    ("ends", "is_promoted"),
    [((-0.03, -0.01), True), ((-0.01, 0.03), True), ((0.01, 0.03), False), (None, True)],
)
def test_a_first_model_is_promoted_unless_it_is_surely_worse_than_its_floor(
    ends: tuple[float, float] | None, is_promoted: bool
) -> None:
    assert is_promoted == _verdict(measured(0.96, 0.01, ends), FLOOR, BIAS, 0.0)[0]


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ({"split_id": "another"}, "was trained under another split"),
        ({"trained_on": ("train", "dev")}, "was fitted to dev ratings too"),
        ({"largest_difference": 0.2, "tolerance": 0.1}, "its graph is 2.0e-01 off the model"),
    ],
)
def test_who_may_have_seen_the_ratings_or_is_not_itself_is_not_compared(
    trained_home: Home, harm: dict[str, object], why: str
) -> None:
    (path,) = trained_home.models.iterdir()
    bundle = open_bundle(path)
    _require_comparable(bundle, bundle, Part.DEV)
    harmed = replace(bundle, manifest=bundle.manifest.model_copy(update=harm))
    with pytest.raises(BundleError, match=why):
        _require_comparable(harmed, bundle, Part.DEV)
