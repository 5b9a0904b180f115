"""Putting a finished run where analysts find it: one file, replaced whole by rename.

A reader that has the old file open keeps it; whoever opens the name next gets the new one.

Shape legend: N movies of the warehouse.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.models.bundles import open_bundle
from deeprec.models.registry import find_champion_before
from deeprec.scoring.gathering import gather_shards
from deeprec.scoring.past_runs import keep_published, kept_runs, prune, replace_published
from deeprec.scoring.plans import ScoringPlan, read_plan, shards_place
from deeprec.scoring.run_folders import MOVIES
from deeprec.scoring.runs import clear_runs, settle_run
from deeprec.scoring.scores_file import SCORES, Totals, open_scores, stored_totals
from deeprec.scoring.vetting import vet_against_ratings, vet_drift, vet_scores
from deeprec.warehouse.checks import record_checks, require_healthy
from deeprec.warehouse.database import Database
from deeprec.warehouse.drift import record_profiles
from deeprec.warehouse.live import settle_arrivals
from deeprec.warehouse.opening import open_warehouse

_COUNTS = ("num_recommendations", "num_bias_users", "num_bias_movies", "num_predictions")


class ScoreReport(BaseModel):
    """What has been published."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    bundle_id: str
    data_digest: str
    path: Path
    num_shards: int
    num_users: int
    num_users_scored: int
    num_users_carried_over: int
    num_movies: int
    num_predictions: int
    num_recommendations: int
    num_bias_users: int
    num_bias_movies: int
    seconds: float


def publish_run(home: Home, run_dir: Path, config: Config) -> ScoreReport:
    """Check that a run is whole and right, and put its file in the published one's place.

    The file that was published is kept, to roll back to. Before it goes, the ratings that came
    since are held against it.

    Raises:
        WarehouseError: a shard is missing, or rows are not users x movies; nothing is published.
        CheckError: a blocking check has failed; nothing is published.
    """
    plan = read_plan(run_dir)
    if (run_dir / SCORES).exists():
        if plan.config.shards == "parquet":
            gather_shards(plan)
        _finish(home, plan, config)
        replace_published(home, run_dir / SCORES)
    with open_warehouse(home, config.warehouse) as warehouse:  # a second try may come here at once
        settle_run(warehouse, plan, "published")
        _prune(home, warehouse, config.score.keep_past)
        _prune_shards(home, warehouse, plan)
        counts = dict(
            zip(_COUNTS, warehouse.row("scores/run_counts", run_id=plan.run_id), strict=True)
        )
    shutil.rmtree(run_dir, ignore_errors=True)
    return ScoreReport(
        run_id=plan.run_id,
        bundle_id=plan.bundle_id,
        data_digest=plan.data_digest,
        path=home.predictions,
        num_shards=plan.num_shards,
        num_users=plan.num_users,
        num_users_scored=plan.num_scored,
        num_users_carried_over=plan.num_users - plan.num_scored,
        num_movies=plan.num_movies,
        seconds=(datetime.now(UTC) - plan.started_at).total_seconds(),
        **counts,
    )


def _finish(home: Home, plan: ScoringPlan, config: Config) -> None:
    """Complete the file that is to be published, enter what it holds, and vet it."""
    scale = open_bundle(plan.bundle).manifest.scale
    with open_scores(plan) as scores:
        totals = _checked_whole(scores, plan)
        _write_movies(scores, plan)
        found = (*scores.row("scores/counts"), totals.num_predictions)
        counts = dict(zip(_COUNTS, found, strict=True))
        results, predictions = vet_scores(scores, plan, totals, scale, config.checks)
        with open_warehouse(home, config.warehouse) as warehouse:
            results += vet_against_ratings(scores, warehouse, plan, config.checks)
            drift, profiles = vet_drift(warehouse, plan, predictions, config.checks)
            results += drift
            record_checks(warehouse, plan.run_id, results)
            require_healthy(results, str(plan.run_dir))
            with warehouse.transaction():
                settle_arrivals(home, warehouse, datetime.now(UTC).date(), config.warehouse)
            warehouse.run("scores/record_counts", run_id=plan.run_id, **counts)
            record_profiles(warehouse, plan.run_id, profiles)
            runs = warehouse.table("scores/runs")
            keep_published(home, config.warehouse)
        scores.run_with("scores/create_scoring_runs", runs, run_id=plan.run_id)
        scores.checkpoint()


def _prune(home: Home, warehouse: Database, num_kept: int) -> None:
    """Keep the newest past files, and the newest of the champion before this one."""
    published = [(run_id, bundle_id) for run_id, bundle_id, *_ in _publications(warehouse)]
    newest_first = list(dict.fromkeys(run_id for run_id, _ in published))
    champion_before = find_champion_before(warehouse)
    of_that = [run_id for run_id, bundle_id in published if bundle_id == champion_before]
    prune(home, newest_first, num_kept, of_that[:1] if num_kept else ())


def _prune_shards(home: Home, warehouse: Database, plan: ScoringPlan) -> None:
    """Remove the shards of all runs but those whose published file is a view of them.

    Of this home's runs alone: others may have theirs in the same place.
    """
    published = kept_runs(home) | {plan.run_id}
    runs = warehouse.rows("scores/shards_at")
    for shards_at in {at for _, at, _ in runs}:
        here = {run_id: publish for run_id, at, publish in runs if at == shards_at}
        viewed = {run for run, publish in here.items() if run in published and publish == "view"}
        clear_runs(shards_place(home, shards_at), here.keys() - viewed, viewed)


def _publications(warehouse: Database) -> list[tuple[Any, ...]]:
    """Run, bundle, time and by whom, newest first."""
    return warehouse.rows("scores/publications")[::-1]


def _checked_whole(scores: Database, plan: ScoringPlan) -> Totals:
    """What is there: every shard, user and movie, or nothing is published.

    Raises:
        WarehouseError: some are missing.
    """
    num_shards, num_users = scores.row("scores/progress")
    if num_shards != plan.num_shards:
        raise WarehouseError(
            f"{plan.run_dir}: {num_shards} of {plan.num_shards} shards are scored; nothing was "
            "published: run `deeprec score` again to go on"
        )
    totals = stored_totals(scores, plan.config.form)
    expected = (plan.num_users, plan.num_users * plan.num_movies)
    if (num_users, totals.num_predictions) != expected:
        raise WarehouseError(
            f"{plan.run_dir}: {num_users:,} of {plan.num_users:,} users, with "
            f"{totals.num_predictions:,} of {expected[1]:,} predictions; nothing was published: "
            "run `deeprec score` again to go on"
        )
    return totals


def _write_movies(scores: Database, plan: ScoringPlan) -> None:
    """Every movie with its title, how often it was rated in training, and what predicts it."""
    movies = pq.read_table(plan.run_dir / MOVIES)
    vocabulary = open_bundle(plan.bundle).vocabulary
    num_ratings_N = vocabulary.num_ratings_N(movies["movie_id"].to_numpy())
    batch = movies.append_column("num_train_ratings", [num_ratings_N])
    scores.run_with("scores/create_movies", batch)
