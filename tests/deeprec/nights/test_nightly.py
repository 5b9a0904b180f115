"""Nights over a drop folder: what they do, what they skip, what they refuse, what they remember."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import CheckError, ConfigError, WarehouseError
from deeprec.home import Home
from deeprec.ingestion.history import home_as_of, parse_moment
from deeprec.ingestion.ingest import ingest
from deeprec.nights.champions import list_models, promote, rollback, show_model
from deeprec.nights.nightly import NightFailedError, NightReport, run_night
from deeprec.nights.reproduction import reproduce
from deeprec.nights.status import status
from deeprec.pages.night import report
from deeprec.scoring.score import score
from deeprec.warehouse.database import open_database

NUM_USERS, NUM_MOVIES = 60, 20
FIRST = date(2005, 3, 1)
CONFIG = load_config(
    None,
    [
        "name=tiny",
        "model.hidden_layers=[6]",
        "model.output_activation=identity",
        "model.center=biases",
        "train.num_epochs=30",
        "train.optimizer=adam",
        "train.learning_rate=0.01",
        "split.test_fraction=0.2",
        "train.device=cpu",
        "score.device=cpu",
        "score.top_n=3",
        "score.shard_cells=400",
        "evaluate.num_resamples=100",
        "warehouse.threads=1",
        "warehouse.lock_timeout_s=20",
        "nightly.train_at_new_fraction=0.9",
    ],
)


def told(**sections: dict[str, Any]) -> Config:
    """The configuration with some values of its sections changed."""
    updates = {
        name: getattr(CONFIG, name).model_copy(update=values) for name, values in sections.items()
    }
    return CONFIG.model_copy(update=updates)


@dataclass(frozen=True)
class Drop:
    """A home, and the folder that its ratings arrive in."""

    home: Home
    folder: Path
    night: int = 0

    def add(self, name: str, rows: list[tuple[int, int, int]], day: date = FIRST) -> None:
        lines = [f"{user},{movie},{rating},{day}" for user, movie, rating in rows]
        text = "user_id,movie_id,rating,date\n" + "\n".join(lines) + "\n"
        (self.folder / name).write_text(text)

    def run(self, config: Config = CONFIG) -> NightReport:
        return run_night(
            self.home,
            [str(self.folder)],
            config,
            night_of=FIRST + timedelta(days=self.night),
        )

    def next(self, config: Config = CONFIG) -> tuple["Drop", NightReport]:
        later = replace(self, night=self.night + 1)
        return later, later.run(config)


def outcomes(night: NightReport) -> dict[str, str]:
    return {step.step: str(step.outcome) for step in night.steps}


def said(night: NightReport, step: str) -> str:
    return next(each.said for each in night.steps if each.step == step)


def query(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def _after_first(tmp_path_factory: pytest.TempPathFactory) -> Drop:
    root = tmp_path_factory.mktemp("nights")
    drop = Drop(Home(root / "home"), root / "drop")
    drop.folder.mkdir()
    rng = np.random.default_rng(3)
    rows = []
    for user in range(NUM_USERS):
        movies = rng.choice(NUM_MOVIES - 2, size=8, replace=False)
        rows += [(user, int(movie), 5 - 4 * int(user % 2 == movie % 2)) for movie in movies]
    drop.add("ratings_base.csv", rows)
    titles = "".join(f"{movie},1999,Picture {movie}\n" for movie in range(NUM_MOVIES))
    (drop.folder / "movie_titles.txt").write_text(titles)
    assert "done" == drop.run().status
    return drop


@pytest.fixture
def drop(_after_first: Drop, tmp_path: Path) -> Iterator[Drop]:
    root = _after_first.folder.parent
    shutil.copytree(root, tmp_path / "copy", copy_function=_linked)
    # Paths are part of what is known of files, so the folder stays, and is put back afterwards.
    yield Drop(Home(tmp_path / "copy" / "home"), _after_first.folder)
    shutil.rmtree(_after_first.folder)
    shutil.copytree(tmp_path / "copy" / "drop", _after_first.folder)


def _linked(source: str, target: str) -> str:
    return str(shutil.copy2(source, target))


def new_ratings(first_user: int, num: int = 5) -> list[tuple[int, int, int]]:
    """Of movies that nobody has rated before."""
    return [(first_user + user, NUM_MOVIES - 1, 1 + user % 5) for user in range(num)]


def test_a_night_without_news_does_nothing_and_says_why(drop: Drop) -> None:
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
    } == outcomes(night)
    assert all(step.said for step in night.steps)
    assert before == drop.home.predictions.stat().st_ino


@pytest.mark.parametrize("storage", ["dense", "factored"])
def test_ratings_that_come_are_held_against_what_was_published_before(
    drop: Drop, storage: str
) -> None:
    config = told(score={"storage": storage})
    if storage == "factored":
        drop, _ = drop.next(config)
    rows = [*new_ratings(0), (999, 3, 4)]  # the last is of somebody who was not there
    drop.add("ratings_new.csv", rows)
    predicted = dict(
        query(
            drop.home.predictions,
            "select user_id, predicted_rating::double from predicted_ratings "
            f"where movie_id = {NUM_MOVIES - 1} and user_id < 5",
        )
    )
    expected = np.sqrt(np.mean([(predicted[user] - rating) ** 2 for user, _, rating in rows[:5]]))
    _, night = drop.next(config)
    assert f"live RMSE {expected:.4f} over 5 of 6" in said(night, "measure")
    assert [(night.night_of, 5, pytest.approx(expected))] == query(
        drop.home.warehouse,
        "select measured_on, num_ratings, rmse from live_metrics where segment = 'all'",
    )
    assert [("bias", 5)] == query(
        drop.home.warehouse,
        "select bucket, num_ratings from live_metrics where segment = 'predicted by'",
    )
    assert "6 users scored, 55 carried over" in said(night, "score")


def test_a_plain_run_measures_what_came_before_it_replaces_what_was_predicted(drop: Drop) -> None:
    from deeprec.ingestion.ingest import ingest  # noqa: PLC0415
    from deeprec.scoring.score import score  # noqa: PLC0415
    from deeprec.vectors.materialize import materialize  # noqa: PLC0415

    drop.add("ratings_new.csv", new_ratings(0))
    ingest(drop.home, [str(drop.folder)], CONFIG)
    materialize(drop.home, CONFIG)
    score(drop.home, CONFIG)
    assert [(5,)] == query(drop.home.warehouse, "select count(predicted_rating) from live_ratings")
    assert [(0,)] == query(drop.home.warehouse, "select count(*) from arrived_ratings")


def test_a_rating_that_goes_and_comes_again_is_measured_once(drop: Drop) -> None:
    later = drop
    for _ in range(2):
        drop.add("ratings_new.csv", new_ratings(0))
        later, _ = later.next()
        (drop.folder / "ratings_new.csv").unlink()
        later, _ = later.next()
    assert [(5, 5)] == query(
        drop.home.warehouse,
        "select count(*), count(distinct (user_id, movie_id)) from live_ratings",
    )


def test_broken_files_are_held_back_and_come_once_they_are_mended(drop: Drop) -> None:
    drop.add("ratings_good.csv", new_ratings(0))
    text = "user_id,movie_id,rating,date\n" + "7,3,5,2005-03-02\n" * 2000
    packed = gzip.compress(text.encode())
    (drop.folder / "ratings_cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    (drop.folder / "ratings_other.csv").write_text("these,are,no\n1,2,3\n")
    (drop.folder / "ratings_bad.csv").write_text("user_id,movie_id,rating,date\nx,y,z,w\n")
    later, night = drop.next()
    assert "warned" == night.status == outcomes(night)["take in"]
    for name in ("ratings_cut.csv.gz", "ratings_other.csv", "ratings_bad.csv"):
        assert name in said(night, "take in")
    assert "published run" in said(night, "score")
    (drop.folder / "ratings_cut.csv.gz").write_bytes(packed)
    for name in ("ratings_other.csv", "ratings_bad.csv"):
        (drop.folder / name).unlink()
    _, night = later.next()
    assert "done" == outcomes(night)["take in"]
    assert "2,000 rows read" in said(night, "take in")


def test_a_file_that_is_gone_takes_its_ratings_along(drop: Drop) -> None:
    drop.add("ratings_new.csv", new_ratings(0))
    later, _ = drop.next()
    (drop.folder / "ratings_new.csv").unlink()
    _, night = later.next()
    assert "1 gone" in said(night, "take in")
    assert "5 of 60 users' vectors" in said(night, "refresh")
    assert [(0,)] == query(
        drop.home.warehouse, f"select count(*) from ratings where movie_id = {NUM_MOVIES - 1}"
    )


def test_a_folder_that_is_not_whole_forgets_nothing(drop: Drop) -> None:
    (drop.folder / "ratings_base.csv").rename(drop.folder / "aside.txt")
    drop.add("ratings_new.csv", new_ratings(0))
    with pytest.raises(NightFailedError, match="more than ingest\\.max_gone_fraction"):
        drop.next()
    assert [(NUM_USERS * 8,)] == query(drop.home.warehouse, "select count(*) from ratings")
    (drop.folder / "aside.txt").rename(drop.folder / "ratings_base.csv")


def test_ratings_that_came_between_nights_are_checked_too(drop: Drop) -> None:
    drop.add("ratings_new.csv", new_ratings(0), day=date(2099, 1, 1))
    ingest(drop.home, [str(drop.folder)], CONFIG)
    _, night = drop.next()
    assert "skipped" == outcomes(night)["take in"]
    assert "not_in_the_future" in said(night, "check")
    _, night = drop.next()
    assert "skipped" == outcomes(night)["check"]


def test_a_blocking_check_keeps_what_is_published(drop: Drop) -> None:
    before = drop.home.predictions.stat().st_ino
    drop.add("ratings_new.csv", new_ratings(0), day=date(2099, 1, 1))
    strict = told(checks={"severity": {"ratings/not_in_the_future": "block"}})
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


@pytest.mark.parametrize("storage", ["dense", "factored"])
@pytest.mark.parametrize(
    ("harm", "check"),
    [
        ("update recommendations set rank = rank + 1 where user_id = 3", "ranks_without_gaps"),
        ("delete from recommendations where user_id = 3", "every_user_has_recommendations"),
        ("update scoring_shards set checksum = checksum + 1 where shard = 0", "as_the_ledger_says"),
    ],
)
def test_a_run_that_was_harmed_is_not_published(
    drop: Drop, storage: str, harm: str, check: str
) -> None:
    from deeprec.scoring.plans import SCORES  # noqa: PLC0415
    from deeprec.scoring.publishing import publish_run  # noqa: PLC0415
    from deeprec.scoring.runs import prepare_run  # noqa: PLC0415
    from deeprec.scoring.score import score_shard  # noqa: PLC0415

    config = told(score={"storage": storage, "incremental": False, "top_n": 4})
    before = drop.home.predictions.stat().st_ino
    plan = prepare_run(drop.home, config)
    for shard in range(plan.num_shards):
        score_shard(plan.location, shard)
    with duckdb.connect(str(plan.run_dir / SCORES)) as scores:
        scores.execute(harm)
    with pytest.raises(CheckError, match=f"scores/{check}"):
        publish_run(drop.home, plan.run_dir, config)
    assert before == drop.home.predictions.stat().st_ino
    found = query(
        drop.home.warehouse,
        f"select num_rows > 0 from check_results where check_name = 'scores/{check}' "
        f"and subject = '{plan.run_id}'",
    )
    assert [(True,)] == found


def test_a_prediction_that_is_missing_or_off_the_scale_is_not_published(drop: Drop) -> None:
    from deeprec.scoring.run_folders import stored_totals  # noqa: PLC0415
    from deeprec.warehouse.checks import CheckResult, check_scores  # noqa: PLC0415

    showing_all = CONFIG.checks.model_copy(update={"num_shown": 5})
    limits = {"num_movies": NUM_MOVIES, "lowest": 1.0, "highest": 5.0, "top_n": 3, "min_ratings": 0}

    def checked(file: Path) -> tuple[CheckResult, ...]:
        with open_database(file, read_only=True) as scores:
            totals = stored_totals(scores, "dense")._asdict()
            return check_scores(scores, "dense", showing_all, **limits, **totals)

    healthy = checked(drop.home.predictions)
    assert [0] == [each.num_rows for each in healthy if "every_movie" in each.name]
    harmed = drop.home.path / "harmed.duckdb"
    shutil.copyfile(drop.home.predictions, harmed)
    with duckdb.connect(str(harmed)) as scores:
        scores.execute("update rating_blocks set ratings = ratings[2:] where user_id = 3")
        scores.execute("update rating_blocks set ratings = [9 for _ in ratings] where user_id = 4")
        scores.execute("update rating_blocks set block = 7 where user_id = 5")
        scores.execute("delete from rating_blocks where user_id = 6")
        scores.execute("insert into rating_blocks from rating_blocks where user_id = 7")
    (found,) = [each for each in checked(harmed) if "every_movie" in each.name]
    assert 5 == found.num_rows
    assert {"3", "4", "5", "6", "7"} == {row["user_id"] for row in found.shown}


def test_a_recommended_movie_that_was_rated_is_not_published(drop: Drop) -> None:
    from deeprec.warehouse.checks import check_recommendations  # noqa: PLC0415

    with open_database(drop.home.predictions, read_only=True) as scores:
        recommended = scores.table("scores/recommendations")
    with open_database(drop.home.warehouse, read_only=True) as warehouse:
        (healthy,) = check_recommendations(warehouse, recommended, CONFIG.checks)
        rated = warehouse._connection.sql(
            "select user_id, 1 as rank, movie_id from ratings limit 1"
        ).to_arrow_table()
        (found,) = check_recommendations(warehouse, rated, CONFIG.checks)
    assert (0, 1) == (healthy.num_rows, found.num_rows)


def test_a_challenger_that_is_not_surely_better_is_rejected(drop: Drop) -> None:
    every_night = told(nightly={"train_every_days": 0.0}, train={"num_epochs": 1})
    champion = list_models(drop.home, CONFIG).champion
    _, night = drop.next(every_night)
    assert "is rejected" in said(night, "challenge")
    models = list_models(drop.home, CONFIG)
    assert champion == models.champion
    assert ["rejected", "champion"] == [model.status for model in models.models]
    (challenge,) = show_model(drop.home, CONFIG, bundle_id=models.models[0].bundle).challenges
    assert challenge.champion == champion
    assert not challenge.is_promoted
    assert challenge.difference_high is not None
    assert challenge.difference_high >= 0


def test_a_challenger_whose_night_was_killed_is_judged_the_next(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    every_night = told(nightly={"train_every_days": 0.0}, train={"num_epochs": 1})
    with monkeypatch.context() as patched:  # a kill from outside would have to meet the step
        patched.setattr("deeprec.nights.nightly.challenge", killed)
        with pytest.raises(KeyboardInterrupt):
            drop.next(every_night)
    assert "candidate" == list_models(drop.home, CONFIG).models[0].status
    _, night = drop.next()
    assert "waits to be judged" in said(night, "train")
    assert "is rejected" in said(night, "challenge")
    _, night = drop.next()
    assert "skipped" == outcomes(night)["challenge"]


def test_a_model_that_somebody_trained_by_hand_is_his_to_promote(drop: Drop) -> None:
    from deeprec.training.train import train  # noqa: PLC0415

    train(drop.home, told(train={"num_epochs": 1}))
    _, night = drop.next()
    assert "skipped" == outcomes(night)["challenge"]


def test_a_challenger_that_cannot_be_compared_keeps_nobody_from_scoring(drop: Drop) -> None:
    other_split = CONFIG.split.model_copy(update={"seed": 5})
    every_night = told(nightly={"train_every_days": 0.0}, score={"top_n": 4})
    _, night = drop.next(every_night.model_copy(update={"split": other_split}))
    assert "warned" == outcomes(night)["challenge"]
    assert "was trained under another split" in said(night, "challenge")
    assert "published run" in said(night, "score")


def poor_champion(drop: Drop) -> str:
    """Have a model score that was hardly trained; its id."""
    from deeprec.training.train import train  # noqa: PLC0415

    poor = train(drop.home, told(train={"num_epochs": 1}))
    promote(drop.home, CONFIG, bundle_id=poor.bundle_id, reason="to be beaten")
    return poor.bundle_id


def test_a_better_challenger_is_promoted_and_a_rollback_publishes_the_run_before(
    drop: Drop,
) -> None:
    poor = poor_champion(drop)
    later, _ = drop.next()
    before = query(drop.home.predictions, "from predicted_ratings order by all")
    runs = query(drop.home.predictions, "select max(run_id) from scoring_runs")
    every_night = told(nightly={"train_every_days": 0.0}, train={"seed": 2})
    _, night = later.next(every_night)
    assert "is champion: better than the champion by" in said(night, "challenge")
    champion = list_models(drop.home, CONFIG).champion
    assert champion != poor
    assert before != query(drop.home.predictions, "from predicted_ratings order by all")

    back = rollback(drop.home, CONFIG)
    assert (poor, champion) == (back.bundle_id, back.bundle_before)
    assert before == query(drop.home.predictions, "from predicted_ratings order by all")
    assert runs == [(back.run_id,)]
    assert poor == list_models(drop.home, CONFIG).champion
    assert [(back.run_id,)] == query(
        drop.home.warehouse, "select run_id from publications order by published_at desc limit 1"
    )
    _, night = later.next()
    assert "skipped" == outcomes(night)["score"]  # it is what the champion predicts


def test_a_rollback_that_was_cut_short_is_not_taken_for_published(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor_champion(drop)
    drop.next()
    published = query(drop.home.predictions, "from predicted_ratings order by all")

    def died(*_: object) -> None:
        raise KeyboardInterrupt

    # No kill from outside meets the moment between the file's rename and its entry.
    with monkeypatch.context() as patched:
        patched.setattr("deeprec.nights.champions.find_status", died)
        with pytest.raises(KeyboardInterrupt):
            rollback(drop.home, CONFIG)
    assert published != query(drop.home.predictions, "from predicted_ratings order by all")
    _, night = drop.next()
    assert "done" == outcomes(night)["score"]
    assert published == query(drop.home.predictions, "from predicted_ratings order by all")


def test_a_user_without_a_name_can_promote_and_roll_back(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError

    monkeypatch.setattr(
        "deeprec.nights.champions.getuser", nameless
    )  # as in a container of any user
    poor_champion(drop)
    drop.next()
    rollback(drop.home, CONFIG)
    by = query(drop.home.warehouse, "select distinct published_by from publications order by all")
    assert [("score",), (f"user {os.getuid()}",)] == by


def test_a_rollback_to_a_bundle_from_elsewhere_leaves_the_champion(
    drop: Drop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    champion = list_models(drop.home, CONFIG).champion
    (bundle,) = drop.home.models.glob("[!.]*")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(bundle, elsewhere / "imported")
    manifest = elsewhere / "imported" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(bundle.name, "imported"))
    score(drop.home, told(score={"bundle": elsewhere / "imported", "top_n": 2}))
    drop.next()
    assert "imported" == rollback(drop.home, CONFIG).bundle_id
    assert champion == list_models(drop.home, CONFIG).champion
    assert "imported was not trained here, so the champion stays" in caplog.text


def test_a_published_file_that_is_damaged_is_made_again(drop: Drop) -> None:
    drop.home.predictions.chmod(0o644)
    with drop.home.predictions.open("r+b") as file:
        file.write(bytes(8192))
    _, night = drop.next()
    assert "done" == outcomes(night)["score"]
    assert query(drop.home.predictions, "select count(*) from predicted_ratings") != [(0,)]


LAST_RUN = "select max(run_id) from scoring_runs"


def test_a_rollback_can_be_undone(drop: Drop) -> None:
    drop.add("ratings_new.csv", new_ratings(0))
    drop.next()
    back = rollback(drop.home, CONFIG)
    assert [(back.run_id,)] == query(drop.home.predictions, LAST_RUN)
    assert back.run_id == rollback(drop.home, CONFIG, run_id=back.run_before).run_before
    assert [(back.run_before,)] == query(drop.home.predictions, LAST_RUN)


def test_a_rollback_waits_for_whoever_scores(drop: Drop) -> None:
    drop.add("ratings_new.csv", new_ratings(0))
    drop.next()
    published = drop.home.predictions.stat().st_ino
    at_once = told(warehouse={"lock_timeout_s": 0.1})
    with drop.home.lock("score"), pytest.raises(WarehouseError, match="held by another"):
        rollback(drop.home, at_once)
    assert published == drop.home.predictions.stat().st_ino


def test_new_ratings_or_drift_are_a_reason_to_train(drop: Drop) -> None:
    drop.add("ratings_new.csv", new_ratings(0))
    soon = told(nightly={"train_at_new_fraction": 5 / (8 * NUM_USERS + 5)})
    later, night = drop.next(soon)
    assert "train: 5 of 485 ratings are new since the last training" == said(night, "decide")
    cells = [(user, movie) for user in range(NUM_USERS) for movie in range(NUM_MOVIES)]
    drop.add("ratings_more.csv", [(user, movie, 1 + movie % 5) for user, movie in cells])
    at_drift = told(nightly={"train_at_new_fraction": 2.0}, checks={"block_psi": 99.0})
    _, night = later.next(at_drift)
    assert "train: ratings have drifted by" in said(night, "decide")


def test_a_champion_that_cannot_score_the_ratings_any_more_is_replaced(drop: Drop) -> None:
    drop.add("ratings_new.csv", [(3, NUM_MOVIES - 1, 7)])  # which widens the scale
    _, night = drop.next()
    assert "the champion cannot score these ratings: " in said(night, "decide")
    assert "predicts on the scale 1 to 5" in said(night, "challenge")
    assert "warned" == outcomes(night)["challenge"]
    assert "published run" in said(night, "score")
    assert 2 == len(list_models(drop.home, CONFIG).models)


def test_a_night_counts_what_it_read_and_not_what_it_held_back(drop: Drop) -> None:
    (drop.folder / "ratings_bad.csv").write_text("no,columns\n")
    later, night = drop.next()
    assert said(night, "take in").startswith("0 files new or changed, 0 gone; 0 rows read")
    drop.add("ratings_good.csv", new_ratings(0))
    _, night = later.next()
    assert said(night, "take in").startswith("1 files new or changed, 0 gone; 5 rows read")


def test_past_files_are_kept_as_many_as_told(drop: Drop) -> None:
    config, later = told(score={"keep_past": 1}), drop
    for number in range(2):
        drop.add(f"ratings_{number}.csv", new_ratings(10 * number))
        later, _ = later.next(config)
    assert 1 == len(list(drop.home.past.iterdir()))
    published = query(drop.home.warehouse, "select run_id from publications order by published_at")
    for run_id in (published[0][0], "20050101T000000"):
        with pytest.raises(WarehouseError, match=f"{run_id} is not kept; kept are"):
            rollback(drop.home, CONFIG, run_id=run_id)


def test_the_champion_before_is_kept_however_many_runs_came_since(drop: Drop) -> None:
    one, champion = told(score={"keep_past": 1}), list_models(drop.home, CONFIG).champion
    assert champion is not None
    poor = poor_champion(drop)
    later, _ = drop.next(one)
    promote(drop.home, CONFIG, bundle_id=champion, reason="for a test")
    for number in range(2):
        drop.add(f"ratings_{number}.csv", new_ratings(10 * number))
        later, _ = later.next(one)
    assert 2 == len(list(drop.home.past.iterdir()))
    back = rollback(drop.home, CONFIG)
    assert (poor, champion) == (back.bundle_id, back.bundle_before)


def test_no_past_file_is_kept_where_none_is_asked_for(drop: Drop) -> None:
    none = told(score={"keep_past": 0})
    poor_champion(drop)
    drop.next(none)
    assert [] == list(drop.home.past.iterdir())


def test_a_stage_can_be_run_as_of_a_moment_and_a_run_again(drop: Drop) -> None:
    rows = query(drop.home.predictions, "from predicted_ratings order by all")
    run_id, started_at, digest = query(
        drop.home.warehouse, "select run_id, started_at, data_digest from scoring_runs"
    )[0]
    drop.add("ratings_new.csv", new_ratings(0))
    shutil.copyfile(drop.folder / "ratings_base.csv", drop.folder / "kept")
    lines = (drop.folder / "ratings_base.csv").read_text().splitlines()
    (drop.folder / "ratings_base.csv").write_text("\n".join(lines[:-5]) + "\n")
    later, night = drop.next()
    assert "done" == outcomes(night)["score"]
    assert rows != query(drop.home.predictions, "from predicted_ratings order by all")

    past = home_as_of(drop.home, started_at, CONFIG)
    assert [(len(lines) - 1,)] == query(past.warehouse, "select count(*) from ratings")
    done = reproduce(drop.home, CONFIG, run_id=run_id)
    assert (True, True, True, True) == (
        done.same_data,
        done.same_versions,
        done.same_model,
        done.same_rows,
    )
    again = Home(done.home)
    assert [(digest,)] == query(again.warehouse, "select data_digest from materializations")
    assert rows == query(again.predictions, "from predicted_ratings order by all")
    with pytest.raises(WarehouseError, match="nothing had been taken in"):
        home_as_of(drop.home, parse_moment("1999-01-01"), CONFIG)
    with pytest.raises(ConfigError, match="has not passed yet"):
        home_as_of(drop.home, parse_moment("2999-01-01"), CONFIG)
    forgetful = told(ingest={"history_days": 0.0})
    later.next(forgetful)
    with pytest.raises(WarehouseError, match="have been forgotten"):
        home_as_of(drop.home, parse_moment(f"{started_at + timedelta(milliseconds=1)}"), CONFIG)


def test_status_tells_monitors_how_things_stand(drop: Drop, home: Home) -> None:
    well = status(drop.home, CONFIG)
    assert (0, "ok", ()) == (well.exit_code, well.health, well.broken)
    old = status(drop.home, told(nightly={"max_age_hours": 1e-9}))
    assert (1, "warning") == (old.exit_code, old.health)
    (drop.folder / "ratings_bad.csv").write_text("no,columns\n")
    drop.next()
    assert 1 == status(drop.home, CONFIG).exit_code
    drop.home.predictions.unlink()
    assert 2 == status(drop.home, CONFIG).exit_code
    assert 2 == status(home, CONFIG).exit_code
    (_, why) = status(home, CONFIG).broken
    assert "has no warehouse; run `deeprec ingest SOURCE` first" in why


def test_status_says_that_a_night_died(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # a kill from outside would have to meet the step
        patched.setattr("deeprec.nights.nightly.materialize", killed)
        with pytest.raises(KeyboardInterrupt):
            drop.next()
    with drop.home.lock("night"):
        running = status(drop.home, CONFIG)
    assert (0, True) == (running.exit_code, running.at_work)
    died = status(drop.home, CONFIG)
    assert (1, False) == (died.exit_code, died.at_work)
    assert "the last night died" in died.broken[-1]
    drop.next()
    assert 0 == status(drop.home, CONFIG).exit_code


def test_status_says_who_keeps_it_from_reading(drop: Drop) -> None:
    shell = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    told = [sys.executable, "-c", shell, str(drop.home.warehouse)]
    with subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as analyst:
        assert analyst.stdout
        analyst.stdout.readline()
        found = status(drop.home, CONFIG)
        analyst.communicate(b"\n")
    assert (1, False) == (found.exit_code, found.at_work)
    assert "held by another process" in found.broken[-1]


def test_an_account_that_may_only_read_can_ask(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> bool:
        return False

    # The system lets the tests' account write everywhere where that is root.
    monkeypatch.setattr("deeprec.warehouse.opening.os.access", refused)
    (drop.home.path / ".warehouse.lock").unlink()
    assert "ok" == status(drop.home, CONFIG).health
    assert list_models(drop.home, CONFIG).champion
    assert not (drop.home.path / ".warehouse.lock").exists()


def test_ratings_that_were_replaced_are_due(drop: Drop) -> None:
    assert () == status(drop.home, CONFIG).due
    file = drop.folder / "ratings_base.csv"
    header, first, *others = file.read_text().splitlines()
    user, movie, rating, day = first.split(",")
    changed = f"{user},{movie},{6 - int(rating)},{day}"
    file.write_text("\n".join([header, changed, *others]) + "\n")
    ingest(drop.home, [str(drop.folder)], CONFIG)
    assert status(drop.home, CONFIG).due[0].startswith("vectors of ")


def test_status_tells_what_the_next_night_has_to_do(drop: Drop) -> None:
    from deeprec.ingestion.ingest import ingest  # noqa: PLC0415
    from deeprec.vectors.materialize import materialize  # noqa: PLC0415

    assert () == status(drop.home, CONFIG).due
    drop.add("ratings_new.csv", new_ratings(0))
    ingest(drop.home, [str(drop.folder)], CONFIG)
    (vectors,) = status(drop.home, CONFIG).due
    assert vectors.startswith("vectors of 485 ratings")
    materialize(drop.home, CONFIG)
    waiting = "5 ratings wait to be held against what is published"
    assert (waiting,) == status(drop.home, CONFIG).due


def test_status_sees_that_a_warehouse_is_broken(drop: Drop) -> None:
    with drop.home.warehouse.open("r+b") as file:
        file.write(bytes(8192))
    found = status(drop.home, CONFIG)
    assert (2, False) == (found.exit_code, found.at_work)
    assert "the warehouse cannot be read" in found.broken[-1]


def test_status_answers_while_a_run_is_at_work(drop: Drop) -> None:
    with drop.home.lock("warehouse"):
        found = status(drop.home, CONFIG)
    assert found.at_work
    assert found.published is not None


def test_a_page_opens_offline_and_escapes_what_comes_from_files(drop: Drop) -> None:
    champion = list_models(drop.home, CONFIG).champion
    assert champion is not None
    promote(drop.home, CONFIG, bundle_id=champion, reason="<b>bold</b>")
    drop.add("ratings_new.csv", new_ratings(0))
    _, night = drop.next()
    page = report(drop.home, CONFIG).page
    text = page.read_text()
    assert page == night.page
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold" not in text
    assert "http" not in text
    assert text.count("data:image/png;base64,") >= 3
    with pytest.raises(WarehouseError, match="there was no night"):
        report(drop.home, CONFIG, night="never")


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


def test_of_two_nights_at_once_one_waits_and_finds_the_work_done(drop: Drop) -> None:
    drop.add("ratings_new.csv", new_ratings(0))
    patient = told(warehouse={"lock_timeout_s": 120.0})
    command = [sys.executable, "-c", TWO_AT_ONCE, str(drop.home.path), str(drop.folder)]
    both = [
        subprocess.Popen([*command, patient.model_dump_json()], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    reports = [NightReport.model_validate(json.loads(each.communicate()[0])) for each in both]
    assert {"done"} == {str(each.status) for each in reports}
    assert ["done", "skipped"] == sorted(outcomes(each)["score"] for each in reports)


def test_a_night_that_meets_another_leaves_with_a_clear_word(drop: Drop) -> None:
    at_once = told(warehouse={"lock_timeout_s": 0.1})
    with (
        drop.home.lock("night"),
        pytest.raises(WarehouseError, match="held by another deeprec process"),
    ):
        drop.next(at_once)
