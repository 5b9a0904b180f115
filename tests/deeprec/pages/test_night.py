"""The page of a night."""

from typing import TYPE_CHECKING

import pytest

from deeprec.errors import WarehouseError
from deeprec.nights.champions import list_models, promote
from deeprec.pages.night import read_view, report
from deeprec.pages.plots import learning_curve
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize

if TYPE_CHECKING:
    from tests.deeprec.conftest import Drop


def test_a_page_opens_offline_and_escapes_what_comes_from_files(drop: "Drop") -> None:
    champion = list_models(drop.home, drop.config).champion
    assert champion is not None
    promote(drop.home, drop.config, bundle_id=champion, reason="<b>bold</b>")
    drop.add("ratings_new.csv", drop.new_ratings(0))
    _, night = drop.next()
    page = report(drop.home, drop.config).page
    text = page.read_text()
    assert page == night.page
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold" not in text
    assert "http" not in text
    assert text.count("data:image/png;base64,") >= 3
    with pytest.raises(WarehouseError, match="there was no night"):
        report(drop.home, drop.config, night="never")


def test_without_dev_ratings_the_last_epoch_is_the_one_kept(drop: "Drop") -> None:
    config = drop.told(
        split={"dev_fraction": 0.0}, model={"code_dropout": 0.9}, train={"num_epochs": 2}
    )
    materialize(drop.home, config)
    trained = train(drop.home, config)
    promote(drop.home, config, bundle_id=trained.bundle_id, reason="no dev")
    (member,) = trained.members
    assert 2 == member.best_epoch
    assert 1 == min(trained.epochs, key=lambda epoch: epoch.train_rmse).epoch
    (night,) = drop.query(drop.home.warehouse, "from nights select night_id")
    pictures = read_view(drop.home, config, *night).pictures
    assert learning_curve(trained.epochs, member.best_epoch) == pictures[-1].png


def test_the_nights_before_are_those_before_the_night_shown(drop: "Drop") -> None:
    drop, second = drop.next()
    drop, third = drop.next()
    views = [read_view(drop.home, drop.config, night.night_id) for night in (second, third)]
    assert [1, 2] == [len(view.before) for view in views]
    (first,) = views[0].before
    assert (second.night_id, first) == (views[1].before[0].night_id, views[1].before[1])
    text = report(drop.home, drop.config, night=first.night_id).page.read_text()
    assert "Nights before" not in text
