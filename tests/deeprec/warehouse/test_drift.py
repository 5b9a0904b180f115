"""The stability index against a pencil, and what chance alone would give."""

from math import log

import pytest

from deeprec.warehouse.drift import stability_index, sure_drift


def test_the_index_is_that_of_its_definition() -> None:
    before, now = {"1": 500, "2": 500}, {"1": 200, "2": 800}
    expected = (0.2 - 0.5) * log(0.2 / 0.5) + (0.8 - 0.5) * log(0.8 / 0.5)
    assert expected == pytest.approx(stability_index(before, now))
    assert expected == pytest.approx(stability_index(now, before))
    assert expected == pytest.approx(sure_drift(before, now, (1000, 1000)))


def test_shares_that_agree_have_not_drifted_whatever_their_number() -> None:
    assert 0 == stability_index({"1": 5, "2": 5}, {"1": 700, "2": 700})


def test_a_bucket_that_is_new_or_gone_counts_and_is_finite() -> None:
    assert 0 < stability_index({"1": 100}, {"1": 50, "2": 50}) < 10
    assert 0 == stability_index({}, {"1": 1})


def test_what_chance_gives_a_few_users_is_no_drift() -> None:
    few, others = {"1": 12, "2": 12}, {"1": 7, "2": 17}
    assert stability_index(few, others) > 0.1
    assert 0 == sure_drift(few, others, (24, 24))
    thousandfold = [{name: 1000 * num for name, num in each.items()} for each in (few, others)]
    assert sure_drift(thousandfold[0], thousandfold[1], (24_000, 24_000)) > 0.1
    assert 0 == sure_drift(thousandfold[0], thousandfold[1], (24, 24))  # each counted many times
