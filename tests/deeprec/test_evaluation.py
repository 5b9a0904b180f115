import numpy as np
import pytest

from deeprec.bundles import open_bundle
from deeprec.config import Config
from deeprec.errors import BundleError, SplitError
from deeprec.evaluation import BIAS, GLOBAL_MEAN, MODEL, evaluate
from deeprec.home import Home
from deeprec.ingestion import ingest
from deeprec.registry import read_evaluations
from deeprec.splits import Part
from deeprec.training import train
from deeprec.vectors import materialize, read_split
from deeprec.warehouse import open_warehouse


def test_the_model_is_fed_the_training_part_and_measured_on_the_other(
    trained_home: Home, tiny_config: Config
) -> None:
    report = evaluate(trained_home, tiny_config)
    with open_warehouse(trained_home) as warehouse:
        ratings = read_split(warehouse, tiny_config.split)
    (bundle_dir,) = trained_home.models.iterdir()
    bundle = open_bundle(bundle_dir)
    known_M = bundle.vocabulary.movie_ids_M
    train = ratings.part(Part.TRAIN).restrict_movies(known_M)
    test = ratings.part(Part.TEST).restrict_movies(known_M)
    assert ratings.part(Part.TEST).num_ratings == test.num_ratings
    users_R, movies_R = test.values_UM.nonzero()
    predicted_UM = bundle.model("cpu").predict(train, {}, counted=True).clip(1, 5)
    difference_R = predicted_UM[users_R, movies_R] - test.values_UM.data
    assert np.sqrt(np.mean(difference_R**2)) == pytest.approx(report.figure(MODEL).rmse, abs=1e-5)
    mean = bundle.manifest.global_mean
    assert np.sqrt(np.mean((mean - test.values_UM.data) ** 2)) == pytest.approx(
        report.figure(GLOBAL_MEAN).rmse, abs=1e-5
    )
    assert test.num_ratings == report.figure(BIAS).num_ratings
    assert report.beats_bias == (report.figure(MODEL).rmse < report.figure(BIAS).rmse)


def test_what_was_measured_is_kept(trained_home: Home, tiny_config: Config) -> None:
    report = evaluate(trained_home, tiny_config)
    with open_warehouse(trained_home) as warehouse:
        kept = read_evaluations(warehouse, report.bundle_id, Part.TEST)
        dev = read_evaluations(warehouse, report.bundle_id, Part.DEV)
    assert set(report.figures) == set(kept)
    assert 3 == len(dev)


def test_the_bias_floor_is_what_its_formula_gives(trained_home: Home, tiny_config: Config) -> None:
    report = evaluate(trained_home, tiny_config)
    with open_warehouse(trained_home) as warehouse:
        ratings = read_split(warehouse, tiny_config.split)
    (bundle_dir,) = trained_home.models.iterdir()
    bundle = open_bundle(bundle_dir)
    train = ratings.part(Part.TRAIN).restrict_movies(bundle.vocabulary.movie_ids_M).values_UM
    test = ratings.part(Part.TEST).restrict_movies(bundle.vocabulary.movie_ids_M).values_UM
    squares = []
    for user, movie in zip(*test.nonzero(), strict=True):
        known = train[[user]]
        left = known.data - bundle.manifest.global_mean - bundle.vocabulary.bias_M[known.indices]
        user_bias = left.sum() / (len(left) + 5.0)
        predicted = bundle.manifest.global_mean + user_bias + bundle.vocabulary.bias_M[movie]
        squares.append((np.clip(predicted, 1, 5) - test[user, movie]) ** 2)
    assert np.sqrt(np.mean(squares)) == pytest.approx(report.figure(BIAS).rmse, abs=1e-5)


def test_a_bundle_of_other_ratings_is_not_measured_on_what_it_may_have_seen(
    trained_home: Home, tiny_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    more = tmp_path_factory.mktemp("more") / "more.csv"
    more.write_text("user_id,movie_id,rating,date\n99,10,5,2005-02-02\n")
    ingest(trained_home, [str(more)], tiny_config)
    materialize(trained_home, tiny_config)
    with pytest.raises(BundleError, match="trained on other ratings"):
        evaluate(trained_home, tiny_config)


def test_an_empty_part_is_not_an_error_of_zero(
    home: Home, tiny_sources: list[str], tiny_config: Config
) -> None:
    whole = tiny_config.split.model_copy(update={"test_fraction": 0.0})
    config = tiny_config.model_copy(update={"split": whole})
    ingest(home, tiny_sources, config)
    materialize(home, config)
    train(home, config)
    with pytest.raises(SplitError, match="no test rating"):
        evaluate(home, config)
