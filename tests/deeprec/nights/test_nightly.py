"""Nights over a drop folder: what they do, what they skip, what they refuse, what they remember."""

import gzip
import json
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deeprec.errors import WarehouseError
from deeprec.ingestion.ingest import ingest
from deeprec.nights.champions import list_models, show_model
from deeprec.nights.nightly import NightFailedError, NightReport
from deeprec.training.train import train

if TYPE_CHECKING:
    from tests.deeprec.conftest import Drop


def test_a_night_without_news_does_nothing_and_says_why(drop: "Drop") -> None:
    before = drop.home.predictions.stat().st_ino
    _, night = drop.next()
    assert {
        "take in": "skipped",
        "check": "skipped",
        "refresh": "skipped",
        "measure": "skipped",
        "decide": "done",
        "train": "skipped",
        "challenge": "skipped",
        "score": "skipped",
    } == drop.outcomes(night)
    assert all(step.said for step in night.steps)
    assert before == drop.home.predictions.stat().st_ino


@pytest.mark.parametrize("storage", ["dense", "factored"])
def test_ratings_that_come_are_held_against_what_was_published_before(
    drop: "Drop", storage: str
) -> None:
    config = drop.told(score={"storage": storage})
    if storage == "factored":
        drop, _ = drop.next(config)
    rows = [*drop.new_ratings(0), (999, 3, 4)]  # the last is of somebody who was not there
    drop.add("ratings_new.csv", rows)
    predicted = dict(
        drop.query(
            drop.home.predictions,
            "select user_id, predicted_rating::double from predicted_ratings "
            f"where movie_id = {drop.num_movies - 1} and user_id < 5",
        )
    )
    expected = np.sqrt(np.mean([(predicted[user] - rating) ** 2 for user, _, rating in rows[:5]]))
    _, night = drop.next(config)
    assert f"live RMSE {expected:.4f} over 5 of 6" in drop.said(night, "measure")
    assert [(night.night_of, 5, pytest.approx(expected))] == drop.query(
        drop.home.warehouse,
        "select measured_on, num_ratings, rmse from live_metrics where segment = 'all'",
    )
    assert [("bias", 5)] == drop.query(
        drop.home.warehouse,
        "select bucket, num_ratings from live_metrics where segment = 'predicted by'",
    )
    assert "6 users scored, 55 carried over" in drop.said(night, "score")


def test_broken_files_are_held_back_and_come_once_they_are_mended(drop: "Drop") -> None:
    drop.add("ratings_good.csv", drop.new_ratings(0))
    text = "user_id,movie_id,rating,date\n" + "7,3,5,2005-03-02\n" * 2000
    packed = gzip.compress(text.encode())
    (drop.folder / "ratings_cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    (drop.folder / "ratings_other.csv").write_text("these,are,no\n1,2,3\n")
    (drop.folder / "ratings_bad.csv").write_text("user_id,movie_id,rating,date\nx,y,z,w\n")
    later, night = drop.next()
    assert "warned" == night.status == drop.outcomes(night)["take in"]
    for name in ("ratings_cut.csv.gz", "ratings_other.csv", "ratings_bad.csv"):
        assert name in drop.said(night, "take in")
    assert "published run" in drop.said(night, "score")
    (drop.folder / "ratings_cut.csv.gz").write_bytes(packed)
    for name in ("ratings_other.csv", "ratings_bad.csv"):
        (drop.folder / name).unlink()
    _, night = later.next()
    assert "done" == drop.outcomes(night)["take in"]
    assert "2,000 rows read" in drop.said(night, "take in")


def test_a_file_that_is_gone_takes_its_ratings_along(drop: "Drop") -> None:
    drop.add("ratings_new.csv", drop.new_ratings(0))
    later, _ = drop.next()
    (drop.folder / "ratings_new.csv").unlink()
    _, night = later.next()
    assert "1 gone" in drop.said(night, "take in")
    assert "5 of 60 users' vectors" in drop.said(night, "refresh")
    assert [(0,)] == drop.query(
        drop.home.warehouse, f"select count(*) from ratings where movie_id = {drop.num_movies - 1}"
    )


def test_a_folder_that_is_not_whole_forgets_nothing(drop: "Drop") -> None:
    (drop.folder / "ratings_base.csv").rename(drop.folder / "aside.txt")
    drop.add("ratings_new.csv", drop.new_ratings(0))
    with pytest.raises(NightFailedError, match="more than ingest\\.max_gone_fraction"):
        drop.next()
    assert [(drop.num_users * 8,)] == drop.query(
        drop.home.warehouse, "select count(*) from ratings"
    )
    (drop.folder / "aside.txt").rename(drop.folder / "ratings_base.csv")


def test_ratings_that_came_between_nights_are_checked_too(drop: "Drop") -> None:
    drop.add("ratings_new.csv", drop.new_ratings(0), day=date(2099, 1, 1))
    ingest(drop.home, [str(drop.folder)], drop.config)
    _, night = drop.next()
    assert "skipped" == drop.outcomes(night)["take in"]
    assert "not_in_the_future" in drop.said(night, "check")
    _, night = drop.next()
    assert "skipped" == drop.outcomes(night)["check"]


def test_a_blocking_check_keeps_what_is_published(drop: "Drop") -> None:
    before = drop.home.predictions.stat().st_ino
    drop.add("ratings_new.csv", drop.new_ratings(0), day=date(2099, 1, 1))
    strict = drop.told(checks={"severity": {"ratings/not_in_the_future": "block"}})
    with pytest.raises(NightFailedError, match="ratings/not_in_the_future") as failed:
        drop.next(strict)
    night = failed.value.report
    assert "failed" == night.status
    assert before == drop.home.predictions.stat().st_ino
    page = night.page.read_text()
    assert "2099-01-01" in page
    assert "ratings_new.csv" in page
    _, again = drop.next()  # which only warns
    assert "warned" == again.status
    assert before != drop.home.predictions.stat().st_ino


def test_a_challenger_that_is_not_surely_better_is_rejected(drop: "Drop") -> None:
    every_night = drop.told(nightly={"train_every_days": 0.0}, train={"num_epochs": 1})
    champion = list_models(drop.home, drop.config).champion
    _, night = drop.next(every_night)
    assert "is rejected" in drop.said(night, "challenge")
    models = list_models(drop.home, drop.config)
    assert champion == models.champion
    assert ["rejected", "champion"] == [model.status for model in models.models]
    (challenge,) = show_model(drop.home, drop.config, bundle_id=models.models[0].bundle).challenges
    assert challenge.champion == champion
    assert not challenge.is_promoted
    assert challenge.difference_high is not None
    assert challenge.difference_high >= 0


def killed_before_challenge(drop: "Drop", monkeypatch: pytest.MonkeyPatch) -> None:
    """A night that has trained a challenger and not judged it."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    every_night = drop.told(nightly={"train_every_days": 0.0}, train={"num_epochs": 1})
    with monkeypatch.context() as patched:  # a kill from outside would have to meet the step
        patched.setattr("deeprec.nights.nightly.challenge", killed)
        with pytest.raises(KeyboardInterrupt):
            drop.next(every_night)


def test_a_challenger_whose_night_was_killed_is_judged_the_next(
    drop: "Drop", monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_challenge(drop, monkeypatch)
    assert "candidate" == list_models(drop.home, drop.config).models[0].status
    _, night = drop.next()
    assert "waits to be judged" in drop.said(night, "train")
    assert "is rejected" in drop.said(night, "challenge")
    _, night = drop.next()
    assert "skipped" == drop.outcomes(night)["challenge"]


def test_a_challenger_whose_movies_are_gone_is_rejected_and_keeps_nobody_from_scoring(
    drop: "Drop", monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = list_models(drop.home, drop.config).champion
    drop.add("ratings_new.csv", [(user, drop.num_movies, 4) for user in range(5)])
    killed_before_challenge(drop, monkeypatch)
    (drop.folder / "ratings_new.csv").unlink()
    drop.add("ratings_more.csv", drop.new_ratings(0))
    _, night = drop.next()
    assert "warned" == drop.outcomes(night)["challenge"]
    assert "1 of the bundle's 19 movies are not in" in drop.said(night, "challenge")
    assert "published run" in drop.said(night, "score")
    models = list_models(drop.home, drop.config)
    assert champion == models.champion
    assert ["rejected", "champion"] == [model.status for model in models.models]
    assert models.models[0].reason in drop.said(night, "challenge")


def test_a_model_that_somebody_trained_by_hand_is_his_to_promote(drop: "Drop") -> None:
    train(drop.home, drop.told(train={"num_epochs": 1}))
    _, night = drop.next()
    assert "skipped" == drop.outcomes(night)["challenge"]


def test_a_challenger_that_cannot_be_compared_keeps_nobody_from_scoring(drop: "Drop") -> None:
    other_split = drop.config.split.model_copy(update={"seed": 5})
    every_night = drop.told(nightly={"train_every_days": 0.0}, score={"top_n": 4})
    _, night = drop.next(every_night.model_copy(update={"split": other_split}))
    assert "warned" == drop.outcomes(night)["challenge"]
    assert "was trained under another split" in drop.said(night, "challenge")
    assert "published run" in drop.said(night, "score")


def test_a_published_file_that_is_damaged_is_made_again(drop: "Drop") -> None:
    drop.home.predictions.chmod(0o644)
    with drop.home.predictions.open("r+b") as file:
        file.write(bytes(8192))
    _, night = drop.next()
    assert "done" == drop.outcomes(night)["score"]
    assert drop.query(drop.home.predictions, "select count(*) from predicted_ratings") != [(0,)]


def test_new_ratings_or_drift_are_a_reason_to_train(drop: "Drop") -> None:
    drop.add("ratings_new.csv", drop.new_ratings(0))
    soon = drop.told(nightly={"train_at_new_fraction": 5 / (8 * drop.num_users + 5)})
    later, night = drop.next(soon)
    assert "train: 5 of 485 ratings are new since the last training" == drop.said(night, "decide")
    cells = [(user, movie) for user in range(drop.num_users) for movie in range(drop.num_movies)]
    drop.add("ratings_more.csv", [(user, movie, 1 + movie % 5) for user, movie in cells])
    at_drift = drop.told(nightly={"train_at_new_fraction": 2.0}, checks={"block_psi": 99.0})
    _, night = later.next(at_drift)
    assert "train: ratings have drifted by" in drop.said(night, "decide")


def test_a_champion_that_cannot_score_the_ratings_any_more_is_replaced(drop: "Drop") -> None:
    drop.add("ratings_new.csv", [(3, drop.num_movies - 1, 7)])  # which widens the scale
    _, night = drop.next()
    assert "the champion cannot score these ratings: " in drop.said(night, "decide")
    assert "predicts on the scale 1 to 5" in drop.said(night, "challenge")
    assert "warned" == drop.outcomes(night)["challenge"]
    assert "published run" in drop.said(night, "score")
    assert 2 == len(list_models(drop.home, drop.config).models)


def test_a_night_counts_what_it_read_and_not_what_it_held_back(drop: "Drop") -> None:
    (drop.folder / "ratings_bad.csv").write_text("no,columns\n")
    later, night = drop.next()
    assert drop.said(night, "take in").startswith("0 files new or changed, 0 gone; 0 rows read")
    drop.add("ratings_good.csv", drop.new_ratings(0))
    _, night = later.next()
    assert drop.said(night, "take in").startswith("1 files new or changed, 0 gone; 5 rows read")


TWO_AT_ONCE = """
import sys
from pathlib import Path
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.nights.nightly import run_night
home, folder, config = sys.argv[1:]
settings = Config.model_validate_json(config)
night = run_night(Home(Path(home)), [folder], settings)
print(night.model_dump_json())
"""


def test_of_two_nights_at_once_one_waits_and_finds_the_work_done(drop: "Drop") -> None:
    drop.add("ratings_new.csv", drop.new_ratings(0))
    patient = drop.told(warehouse={"lock_timeout_s": 120.0})
    command = [sys.executable, "-c", TWO_AT_ONCE, str(drop.home.path), str(drop.folder)]
    both = [
        subprocess.Popen([*command, patient.model_dump_json()], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    reports = [NightReport.model_validate(json.loads(each.communicate()[0])) for each in both]
    assert {"done"} == {str(each.status) for each in reports}
    assert ["done", "skipped"] == sorted(drop.outcomes(each)["score"] for each in reports)


def test_a_night_that_meets_another_leaves_with_a_clear_word(drop: "Drop") -> None:
    at_once = drop.told(warehouse={"lock_timeout_s": 0.1})
    with (
        drop.home.lock("night"),
        pytest.raises(WarehouseError, match="held by another deeprec process"),
    ):
        drop.next(at_once)
