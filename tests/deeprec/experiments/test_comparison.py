"""Aggregation over seeds, checked with a pencil; published figures; verdicts in words."""

from datetime import datetime
from math import sqrt

import pytest

from deeprec.config.evaluation import PublishedConfig
from deeprec.config.run import Config
from deeprec.experiments.cells import Cell
from deeprec.experiments.comparison import Spread, compare

ENDED = datetime(2026, 1, 1)  # noqa: DTZ001 (the warehouse keeps UTC without saying so)
ML_1M = PublishedConfig(rmse=0.831, data="ML-1M", protocol="random-90-10", source="a paper")
NETFLIX = PublishedConfig(rmse=0.936, data="Netflix", protocol="netflix-full", source="another")
SYSTEM = Config(name="system", published=(NETFLIX, ML_1M))


def cell(seed: int, **figures: object) -> Cell:
    known = {
        "experiment": "tiny",
        "system": "system",
        "protocol": "random-90-10",
        "data": "ML-1M",
        "data_digest": "d",
        "split_id": "s",
        "seed": seed,
        "config_digest": "c",
        "fingerprint": str(seed),
        "overrides": "",
        "machine": "a machine",
        "status": "done",
        "finished_at": ENDED,
    }
    return Cell.model_validate({**known, **figures})


def done(seed: int, test_rmse: float, bias: float = 0.9) -> Cell:
    return cell(seed, test_rmse=test_rmse, test_rmse_bias=bias, seconds=10.0, best_epoch=seed + 3)


def test_seeds_give_a_mean_and_the_samples_deviation() -> None:
    (row,) = compare([SYSTEM], [done(0, 0.80), done(1, 0.82), done(2, 0.87)])
    assert row.test is not None
    assert pytest.approx(0.83) == row.test.mean
    assert pytest.approx(sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2)) == row.test.deviation
    assert ((0, 1, 2), (3, 4, 5), 10.0) == (row.seeds, row.best_epochs, row.seconds)


def test_a_system_that_is_solved_has_kept_no_epoch() -> None:
    (row,) = compare([SYSTEM], [cell(0, test_rmse=0.8, best_epoch=0), cell(1, test_rmse=0.8)])
    assert ((), "") == (row.best_epochs, row.epochs)


def test_one_seed_has_no_deviation_and_none_no_mean() -> None:
    assert Spread(mean=0.5, deviation=None) == Spread.of([0.5, None])
    assert Spread.of([None]) is None
    assert ("0.5000", "0.5000 ± 0.1414") == (str(Spread.of([0.5])), str(Spread.of([0.4, 0.6])))


def test_a_figure_is_comparable_on_its_own_data_and_protocol_alone() -> None:
    (row,) = compare([SYSTEM], [done(0, 0.8)])
    assert [(0.936, False), (0.831, True)] == [
        (item.figure.rmse, item.same_protocol) for item in row.published
    ]
    assert [0.831, 0.936] == [item.figure.rmse for item in row.published_on("test")]
    other = done(0, 0.8).model_copy(update={"data": "7 ratings of 3 users"})
    assert not any(item.same_protocol for item in compare([SYSTEM], [other])[0].published)


def test_a_figure_that_is_not_plainly_the_systems_says_so() -> None:
    best = NETFLIX.model_copy(update={"note": "the best of three widths"})
    (row,) = compare([Config(name="system", published=(best,))], [done(0, 0.8)])
    assert "0.936 (test, the best of three widths, other protocol)" == str(row.published[0])


@pytest.mark.parametrize(
    ("cells", "verdict"),
    [
        ([], "not run"),
        ([cell(0, status="failed", message="diverged")], "failed"),
        ([cell(0, dev_rmse=0.9)], "no test ratings"),
        ([done(0, 0.8), done(1, 0.8)], "better than the bias floor"),
        ([done(0, 0.9), done(1, 1.0)], "not better than the bias floor"),
        ([done(0, 0.8), done(1, 1.0)], "better than the bias floor with 1 of 2 seeds"),
    ],
)
def test_a_verdict_is_in_words(cells: list[Cell], verdict: str) -> None:
    (row,) = compare([SYSTEM], cells)
    assert verdict == row.verdict


def test_what_failed_keeps_its_seed_and_its_sentence() -> None:
    (row,) = compare([SYSTEM], [done(0, 0.8), cell(1, status="failed", message="it diverged")])
    assert (("seed 1: it diverged",), (0,)) == (row.failures, row.seeds)
