"""Which model scores: promoted, weighed against a challenger, rolled back."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deeprec.config.models import KernelRidgeConfig
from deeprec.config.run import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.nights.champions import list_models, promote, rollback, show_model
from deeprec.nights.nightly import run_night
from deeprec.scoring.score import score
from deeprec.training.train import train

if TYPE_CHECKING:
    from tests.deeprec.conftest import Drop


def poor_champion(drop: "Drop") -> str:
    """Have a model score that was hardly trained; its id."""
    poor = train(drop.home, drop.told(train={"num_epochs": 1}))
    promote(drop.home, drop.config, bundle_id=poor.bundle_id, reason="to be beaten")
    return poor.bundle_id


@contextmanager
def dying_at(function: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have what runs end where it calls a function, between a file's rename and its entry.

    No kill from outside meets that moment.
    """

    def died(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(function, died)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_a_better_challenger_is_promoted_and_a_rollback_publishes_the_run_before(
    drop: "Drop",
) -> None:
    poor = poor_champion(drop)
    later, _ = drop.next()
    before = drop.query(drop.home.predictions, "from predicted_ratings order by all")
    runs = drop.query(drop.home.predictions, "select max(run_id) from scoring_runs")
    every_night = drop.told(nightly={"train_every_days": 0.0}, train={"seed": 2})
    _, night = later.next(every_night)
    assert "is champion: better than the champion by" in drop.said(night, "challenge")
    champion = list_models(drop.home, drop.config).champion
    assert champion != poor
    assert before != drop.query(drop.home.predictions, "from predicted_ratings order by all")

    back = rollback(drop.home, drop.config)
    assert (poor, champion) == (back.bundle_id, back.bundle_before)
    assert before == drop.query(drop.home.predictions, "from predicted_ratings order by all")
    assert runs == [(back.run_id,)]
    assert poor == list_models(drop.home, drop.config).champion
    assert [(back.run_id,)] == drop.query(
        drop.home.warehouse, "select run_id from publications order by published_at desc limit 1"
    )
    _, night = later.next()
    assert "skipped" == drop.outcomes(night)["score"]  # it is what the champion predicts


def test_a_promotion_by_hand_while_a_challenger_is_compared_stands(drop: "Drop") -> None:
    by_hand = list_models(drop.home, drop.config).champion
    assert by_hand is not None
    poor = poor_champion(drop)

    def promoting(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        del done, total, unit, note
        newest, *_ = list_models(drop.home, drop.config).models
        if (what, newest.status) == ("evaluate", "candidate"):
            promote(drop.home, drop.config, bundle_id=by_hand, reason="meanwhile")

    every_night = drop.told(nightly={"train_every_days": 0.0}, train={"seed": 2})
    night = run_night(drop.home, [str(drop.folder)], every_night, promoting)
    assert "warned" == drop.outcomes(night)["challenge"]
    assert f"{by_hand} became champion while it was compared with {poor}" in (
        drop.said(night, "challenge")
    )
    assert "skipped" == drop.outcomes(night)["score"]  # it is what that champion predicts
    models = list_models(drop.home, drop.config)
    challenger = models.models[0]
    assert (by_hand, "candidate") == (models.champion, challenger.status)
    _, night = drop.next()
    assert "done" == drop.outcomes(night)["challenge"]
    (challenge,) = show_model(drop.home, drop.config, bundle_id=challenger.bundle).challenges
    assert by_hand == challenge.champion


def test_a_rollback_that_was_cut_short_is_not_taken_for_published(
    drop: "Drop", monkeypatch: pytest.MonkeyPatch
) -> None:
    poor_champion(drop)
    drop.next()
    published = drop.query(drop.home.predictions, "from predicted_ratings order by all")
    with dying_at("deeprec.nights.champions.find_status", monkeypatch):
        rollback(drop.home, drop.config)
    assert published != drop.query(drop.home.predictions, "from predicted_ratings order by all")
    _, night = drop.next()
    assert "done" == drop.outcomes(night)["score"]
    assert published == drop.query(drop.home.predictions, "from predicted_ratings order by all")


def test_a_night_that_died_before_its_run_was_entered_publishes_nothing_again(
    drop: "Drop", monkeypatch: pytest.MonkeyPatch
) -> None:
    poor_champion(drop)
    with dying_at("deeprec.scoring.publishing.settle_run", monkeypatch):
        score(drop.home, drop.config)
    published = drop.query(drop.home.predictions, LAST_RUN)
    _, night = drop.next()
    assert "skipped" == drop.outcomes(night)["score"]
    assert published == drop.query(drop.home.predictions, LAST_RUN)
    assert published == drop.query(
        drop.home.warehouse, "select run_id from publications order by published_at desc limit 1"
    )
    assert [] == list(drop.home.runs.iterdir())


def test_a_rollback_goes_back_from_a_run_that_died_before_it_was_entered(
    drop: "Drop", monkeypatch: pytest.MonkeyPatch
) -> None:
    before = poor_champion(drop)
    drop.next()
    ((run_before,),) = drop.query(drop.home.predictions, LAST_RUN)
    newest = train(drop.home, drop.told(train={"seed": 2})).bundle_id
    promote(drop.home, drop.config, bundle_id=newest, reason="for a test")
    with dying_at("deeprec.scoring.publishing.settle_run", monkeypatch):
        score(drop.home, drop.config)
    ((newest_run,),) = drop.query(drop.home.predictions, LAST_RUN)
    back = rollback(drop.home, drop.config)
    assert (run_before, before) == (back.run_id, back.bundle_id)
    assert (newest_run, newest) == (back.run_before, back.bundle_before)
    assert [(run_before,)] == drop.query(drop.home.predictions, LAST_RUN)
    score(drop.home, drop.told(score={"top_n": 2}))
    kept = {file.stem: drop.query(file, LAST_RUN) for file in drop.home.past.iterdir()}
    assert {newest_run, run_before} == kept.keys()
    assert all([(run_id,)] == found for run_id, found in kept.items())


def test_after_a_rollback_drift_is_from_what_is_published_again(drop: "Drop") -> None:
    poor_champion(drop)
    later, _ = drop.next()
    assert "drift.predictions" in drift_found(drop)
    rollback(drop.home, drop.config)
    drop.add("ratings_new.csv", drop.new_ratings(0, num=2))
    _, night = later.next()
    assert "published run" in drop.said(night, "score")
    assert [] == drift_found(drop)


def drift_found(drop: "Drop") -> list[str]:
    """Quantities in which the run scored last was off the one published before it."""
    found = drop.query(
        drop.home.warehouse,
        "select check_name from check_results where check_name like 'drift.%' and num_rows > 0 "
        "and subject = (select max(run_id) from scoring_runs)",
    )
    return [name for (name,) in found]


def test_a_user_without_a_name_can_promote_and_roll_back(
    drop: "Drop", monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError

    monkeypatch.setattr(
        "deeprec.nights.champions.getuser", nameless
    )  # as in a container of any user
    poor_champion(drop)
    drop.next()
    rollback(drop.home, drop.config)
    by = drop.query(
        drop.home.warehouse, "select distinct published_by from publications order by all"
    )
    assert [("score",), (f"user {os.getuid()}",)] == by


def test_a_rollback_to_a_bundle_from_elsewhere_leaves_the_champion(
    drop: "Drop", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    champion = list_models(drop.home, drop.config).champion
    (bundle,) = drop.home.models.glob("[!.]*")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(bundle, elsewhere / "imported")
    manifest = elsewhere / "imported" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(bundle.name, "imported"))
    score(drop.home, drop.told(score={"bundle": elsewhere / "imported", "top_n": 2}))
    drop.next()
    assert "imported" == rollback(drop.home, drop.config).bundle_id
    assert champion == list_models(drop.home, drop.config).champion
    assert "imported was not trained here, so the champion stays" in caplog.text


LAST_RUN = "select max(run_id) from scoring_runs"


def test_a_rollback_makes_its_model_champion_where_there_was_none(
    trained_home: Home, tiny_config: Config
) -> None:
    first = score(trained_home, tiny_config)
    train(trained_home, tiny_config.model_copy(update={"model": KernelRidgeConfig()}))
    assert first.bundle_id != score(trained_home, tiny_config).bundle_id
    assert first.run_id == rollback(trained_home, tiny_config).run_id
    assert first.bundle_id == list_models(trained_home, tiny_config).champion
    assert first.bundle_id == score(trained_home, tiny_config).bundle_id


def test_a_rollback_can_be_undone(drop: "Drop") -> None:
    drop.add("ratings_new.csv", drop.new_ratings(0))
    drop.next()
    back = rollback(drop.home, drop.config)
    assert [(back.run_id,)] == drop.query(drop.home.predictions, LAST_RUN)
    assert back.run_id == rollback(drop.home, drop.config, run_id=back.run_before).run_before
    assert [(back.run_before,)] == drop.query(drop.home.predictions, LAST_RUN)


def test_a_rollback_waits_for_whoever_scores(drop: "Drop") -> None:
    drop.add("ratings_new.csv", drop.new_ratings(0))
    drop.next()
    published = drop.home.predictions.stat().st_ino
    at_once = drop.told(warehouse={"lock_timeout_s": 0.1})
    with drop.home.lock("score"), pytest.raises(WarehouseError, match="held by another"):
        rollback(drop.home, at_once)
    assert published == drop.home.predictions.stat().st_ino


def test_past_files_are_kept_as_many_as_told(drop: "Drop") -> None:
    config, later = drop.told(score={"keep_past": 1}), drop
    for number in range(2):
        drop.add(f"ratings_{number}.csv", drop.new_ratings(10 * number))
        later, _ = later.next(config)
    assert 1 == len(list(drop.home.past.iterdir()))
    published = drop.query(
        drop.home.warehouse, "select run_id from publications order by published_at"
    )
    for run_id in (published[0][0], "20050101T000000"):
        with pytest.raises(WarehouseError, match=f"{run_id} is not kept; kept are"):
            rollback(drop.home, drop.config, run_id=run_id)


def test_the_champion_before_is_kept_however_many_runs_came_since(drop: "Drop") -> None:
    one, champion = drop.told(score={"keep_past": 1}), list_models(drop.home, drop.config).champion
    assert champion is not None
    poor = poor_champion(drop)
    later, _ = drop.next(one)
    promote(drop.home, drop.config, bundle_id=champion, reason="for a test")
    for number in range(2):
        drop.add(f"ratings_{number}.csv", drop.new_ratings(10 * number))
        later, _ = later.next(one)
    assert 2 == len(list(drop.home.past.iterdir()))
    back = rollback(drop.home, drop.config)
    assert (poor, champion) == (back.bundle_id, back.bundle_before)


def test_no_past_file_is_kept_where_none_is_asked_for(drop: "Drop") -> None:
    none = drop.told(score={"keep_past": 0})
    poor_champion(drop)
    drop.next(none)
    assert [] == list(drop.home.past.iterdir())
