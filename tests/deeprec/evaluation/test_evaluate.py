import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deeprec.config.run import Config
from deeprec.errors import BundleError, SplitError
from deeprec.evaluation.evaluate import (
    BIAS,
    GLOBAL_MEAN,
    MODEL,
    EvaluateReport,
    evaluate,
    evaluate_held_out,
)
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.bundles import open_bundle
from deeprec.models.learned_codes import CodeModel
from deeprec.models.registry import Evaluation, read_evaluations, read_groups
from deeprec.nights.champions import promote
from deeprec.splits import Part
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize, read_split
from deeprec.warehouse.opening import open_warehouse

if TYPE_CHECKING:
    from tests.deeprec.conftest import Kinds


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


def test_the_newest_bundle_is_measured_whoever_scores(
    trained_home: Home, tiny_config: Config
) -> None:
    (first,) = trained_home.models.iterdir()
    promote(trained_home, tiny_config, bundle_id=first.name, reason="for a test")
    other = tiny_config.train.model_copy(update={"seed": 1, "num_epochs": 1})
    newest = train(trained_home, tiny_config.model_copy(update={"train": other}))
    assert newest.bundle_id == evaluate(trained_home, tiny_config).bundle_id
    told = tiny_config.evaluate.model_copy(update={"bundle": first})
    config = tiny_config.model_copy(update={"evaluate": told})
    assert first.name == evaluate(trained_home, config).bundle_id


def test_users_are_measured_with_the_codes_that_were_learned_of_them(kinds: "Kinds") -> None:
    bundle = open_bundle(kinds.bundles["kernel-codes"])
    model = bundle.model("cpu")
    assert isinstance(model, CodeModel)
    with open_warehouse(kinds.home) as warehouse:
        ratings = read_split(warehouse, bundle.config.split)
    train = ratings.part(Part.TRAIN).restrict_movies(bundle.vocabulary.movie_ids_M)
    known = train.select_users(np.isin(train.user_ids_U, model.known.user_ids_T))
    found_TC = model.user_codes(known, model.movie_side(train), counted=True)
    np.testing.assert_array_equal(model.known.codes_TC, found_TC)


def test_what_was_measured_is_kept(trained_home: Home, tiny_config: Config) -> None:
    report = evaluate(trained_home, tiny_config)
    with open_warehouse(trained_home) as warehouse:
        kept = read_evaluations(warehouse, report.bundle_id, Part.TEST)
        dev = read_evaluations(warehouse, report.bundle_id, Part.DEV)
        groups = read_groups(warehouse, report.bundle_id, Part.TEST)
        dev_groups = read_groups(warehouse, report.bundle_id, Part.DEV)
    assert set(report.figures) == set(kept)
    assert report.groups == groups
    assert 3 == len(dev)
    assert {MODEL, BIAS, GLOBAL_MEAN} == {group.predictor for group in dev_groups}


def test_another_evaluation_takes_the_place_of_the_one_before(
    trained_home: Home, tiny_config: Config
) -> None:
    first = evaluate(trained_home, tiny_config)
    other = tiny_config.evaluate.model_copy(update={"seed": 1})
    second = evaluate(trained_home, tiny_config.model_copy(update={"evaluate": other}))
    with open_warehouse(trained_home) as warehouse:
        kept = read_evaluations(warehouse, second.bundle_id, Part.TEST)
        groups = read_groups(warehouse, second.bundle_id, Part.TEST)
    assert first.groups == second.groups == groups
    assert set(second.figures) == set(kept)
    assert first.figure(MODEL).rmse == second.figure(MODEL).rmse
    assert first.figure(MODEL).rmse_low != second.figure(MODEL).rmse_low


def test_a_figure_lies_within_its_interval(trained_home: Home, tiny_config: Config) -> None:
    for figure in evaluate(trained_home, tiny_config).figures:
        assert figure.rmse_low is not None
        assert figure.rmse_high is not None
        assert figure.minus_bias_low is not None
        assert figure.minus_bias_high is not None
        assert figure.rmse_low < figure.rmse < figure.rmse_high
        assert figure.minus_bias_low <= figure.minus_bias <= figure.minus_bias_high


def test_the_parts_sum_to_the_whole(trained_home: Home, tiny_config: Config) -> None:
    report = evaluate(trained_home, tiny_config)
    for figure in report.figures:
        for dimension in {group.dimension for group in report.groups}:
            parts = [
                group
                for group in report.groups
                if (group.predictor, group.dimension) == (figure.predictor, dimension)
            ]
            assert figure.num_ratings == sum(part.num_ratings for part in parts)
            squared = sum(part.rmse**2 * part.num_ratings for part in parts)
            assert figure.rmse == pytest.approx(math.sqrt(squared / figure.num_ratings))


def test_the_batches_do_not_matter(trained_home: Home, tiny_config: Config) -> None:
    one, all_at_once = (
        evaluate(
            trained_home,
            tiny_config.model_copy(
                update={"evaluate": tiny_config.evaluate.model_copy(update={"batch_size": size})}
            ),
        )
        for size in (1, 256)
    )
    for predictor in (MODEL, BIAS, GLOBAL_MEAN):
        assert one.figure(predictor).rmse == pytest.approx(all_at_once.figure(predictor).rmse)


def test_json_carries_the_verdict_and_the_parts(trained_home: Home, tiny_config: Config) -> None:
    report = evaluate(trained_home, tiny_config)
    carried = json.loads(report.model_dump_json())
    assert report.verdict == carried["verdict"]
    assert [group.model_dump(mode="json") for group in report.groups] == carried["groups"]
    assert report == EvaluateReport.model_validate(carried)


def judged(difference: float, low: float | None, high: float | None) -> str:
    """What is said of a model whose RMSE is by so much higher than that of its floor."""
    figures = [
        Evaluation(
            predictor=predictor,
            num_ratings=100,
            num_cold=0,
            rmse=0.9 + minus_bias,
            mae=0.7,
            unclipped_rmse=0.9,
            unclipped_mae=0.7,
            minus_bias=minus_bias,
            minus_bias_low=low,
            minus_bias_high=high,
        )
        for predictor, minus_bias in {MODEL: difference, BIAS: 0.0}.items()
    ]
    report = EvaluateReport(bundle_id="poster", part=Part.TEST, figures=tuple(figures))
    assert (difference < 0) == report.beats_bias
    return report.verdict


def test_a_model_is_judged_by_its_floor_in_words() -> None:
    assert (
        "The model beats its bias floor by 0.0300 RMSE (95% interval over users: 0.0200 to 0.0400)."
    ) == judged(-0.03, -0.04, -0.02)
    assert (
        "The model is NOT better than its bias floor but 0.0300 RMSE worse "
        "(95% interval over users: 0.0200 to 0.0400)."
    ) == judged(0.03, 0.02, 0.04)
    assert (
        "The model cannot be told apart from its bias floor: it is 0.0100 RMSE better, within a "
        "95% interval over users of 0.0200 worse to 0.0400 better."
    ) == judged(-0.01, -0.04, 0.02)
    assert "it is 0.0100 RMSE worse" in judged(0.01, -0.02, 0.04)
    assert "it is 0.0000 RMSE off" in judged(0.0, 0.0, 0.0)
    assert "one user cannot tell" in judged(-0.03, None, None)


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
    report = evaluate_held_out(home, config)
    assert ((), ()) == (report.figures, report.groups)
    assert "Nothing was measured: the split holds back no test rating." == report.verdict


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
