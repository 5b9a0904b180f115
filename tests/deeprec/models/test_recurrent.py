"""A recurrent network goes the way of every model: train, seal, score, newcomers, explanations."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import BundleError, TrainingError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.bundles import open_bundle
from deeprec.models.prediction import Predictor
from deeprec.nights.challenge import challenge
from deeprec.nights.champions import promote
from deeprec.ratings import RatingMatrix
from deeprec.scoring.explaining import explain
from deeprec.scoring.newcomers import score_newcomers
from deeprec.scoring.score import score
from deeprec.splits import Part
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize, read_split
from deeprec.warehouse.opening import open_warehouse

NUM_USERS, NUM_MOVIES = 24, 10


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(
        None,
        [
            "name=rrn",
            'model={kind="rrn", embedding_size=4, state_size=3, num_dynamic=2, num_stationary=2}',
            "train.optimizer=adam",
            "train.num_epochs=2",
            "train.device=cpu",
            "score.device=cpu",
            "score.shard_cells=80",  # eight users of ten movies
            "warehouse.threads=1",
        ],
    )


@pytest.fixture(scope="module")
def home(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("recurrent") / "home")
    take_in(home, config, dated=True)
    train(home, config)
    return home


def take_in(home: Home, config: Config, *, dated: bool) -> None:
    home.path.mkdir(parents=True)
    rng = np.random.default_rng(5)
    lines = ["user_id,movie_id,rating,date" if dated else "user_id,movie_id,rating"]
    for user in range(NUM_USERS):
        for movie in rng.choice(NUM_MOVIES, size=7, replace=False):
            day = f",2005-{rng.integers(1, 7):02}-{rng.integers(1, 28):02}" if dated else ""
            lines.append(f"{user},{movie},{rng.integers(1, 6)}{day}")
    source = home.path / "ratings.csv"
    source.write_text("\n".join(lines) + "\n")
    ingest(home, [str(source)], config)
    materialize(home, config)


def everyone(home: Home, config: Config) -> RatingMatrix:
    with open_warehouse(home) as warehouse:
        return read_split(warehouse, config.split).part(*(Part.TRAIN, Part.DEV, Part.TEST))


def test_all_users_are_scored_and_published(home: Home, config: Config) -> None:
    report = score(home, config)
    with duckdb.connect(str(report.path), read_only=True) as connection:
        rows = connection.execute(
            "select user_id, movie_id, predicted_rating from predicted_ratings "
            "order by user_id, movie_id"
        ).fetchall()
    assert NUM_USERS * NUM_MOVIES == len(rows)
    (folder,) = home.models.iterdir()
    bundle, ratings = open_bundle(folder), everyone(home, config)
    predictor = Predictor.over(bundle, bundle.model("cpu"), ratings)
    ((_, scores),) = predictor.batches(ratings, NUM_USERS)
    published = np.array([float(rating) for *_, rating in rows]).reshape(NUM_USERS, NUM_MOVIES)
    np.testing.assert_allclose(published, scores.predicted_BM, atol=0.0051)


def test_a_state_follows_what_was_rated_when(home: Home, config: Config) -> None:
    (folder,) = home.models.iterdir()
    bundle, ratings = open_bundle(folder), everyone(home, config)
    model = bundle.model("cpu")
    inputs = ratings.restrict_movies(bundle.vocabulary.movie_ids_M)
    side = model.movie_side(inputs)
    assert inputs.days_R is not None
    earlier = RatingMatrix(
        inputs.user_ids_U, inputs.movie_ids_M, inputs.values_UM, inputs.days_R[::-1].copy()
    )
    now_UM, then_UM = (model.predict(users, side, counted=True) for users in (inputs, earlier))
    assert np.isfinite(now_UM).all()
    assert np.abs(now_UM - then_UM).max() > 1e-4


def test_a_recurrent_champion_is_challenged_by_a_model_that_needs_no_days(
    config: Config, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    take_in(home, config, dated=True)
    champion = train(home, config)
    promote(home, config, bundle_id=champion.bundle_id, reason="for a test")
    told = config.model_dump(exclude={"model", "train"})
    other = Config.model_validate(told | {"name": "other", "train": {"num_epochs": 1}})
    challenger = train(home, other)
    report = challenge(home, challenger.bundle_id, other, "test")
    assert (champion.bundle_id, False) == (report.champion, report.is_promoted)


def test_a_person_who_is_new_needs_dates(home: Home, config: Config, tmp_path: Path) -> None:
    dated, undated = tmp_path / "dated.csv", tmp_path / "undated.csv"
    dated.write_text("user_id,movie_id,rating,date\n900,1,5,2005-05-05\n900,2,1,2005-06-06\n")
    undated.write_text("user_id,movie_id,rating\n900,1,5\n900,2,1\n")
    report = score_newcomers(home, config, sources=[str(dated)])
    assert 1 == report.num_users
    with pytest.raises(BundleError, match="some of these have no date"):
        score_newcomers(home, config, sources=[str(undated)])


def test_the_parts_of_an_explanation_add_up(home: Home, config: Config) -> None:
    report = explain(home, config, user_id=3, movie_id=4)
    parts = report.without_ratings + report.sum_of_effects + report.remainder
    assert parts == pytest.approx(report.before_clip, abs=1e-6)


def test_ratings_without_dates_cannot_train_it(config: Config, tmp_path: Path) -> None:
    undated = Home(tmp_path / "undated")
    take_in(undated, config, dated=False)
    with pytest.raises(TrainingError, match="date"):
        train(undated, config)
