"""score-flow: every user's predicted ratings, published for SQL. Needs no torch."""

from collections.abc import Mapping
from pathlib import Path

from prefect import flow, task, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.settings import PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED, temporary_settings

from deeprec.models.bundles import installed_versions
from deeprec.progress import Progress
from deeprec.scoring import score as scoring
from deeprec.scoring.plans import ScoringPlan
from deeprec.scoring.publishing import ScoreReport
from deeprec.scoring.shards import ShardReport
from flows.artifacts import publish, scores_page
from flows.parameters import Project, locate_project
from flows.progress import RunProgress
from flows.retries import stage, unless_mendable
from flows.runners import open_runner, require_cluster, require_versions, workers


@flow(name="score-flow", timeout_seconds=8 * 3600)
def score_flow(
    home: Path | None = None, config: Path | None = None, overrides: tuple[str, ...] = ()
) -> ScoreReport:
    """Predict every movie for every user and publish it whole, in the place of the last run."""
    project = locate_project(home, config, overrides)
    open_runner(project.config.score)  # first: what is not installed is said at once
    require_cluster(project.config.score)
    report = predict(project)
    publish(scores_page(report))
    return report


@stage("score", retry_after_s=10)
def predict(project: Project) -> ScoreReport:
    """A retry goes on with the shards that are missing."""
    return scoring.score(project.home, project.config, RunProgress(), score_shards)


def score_shards(plan: ScoringPlan, progress: Progress) -> None:
    """Every shard as a task run; a worker is told where the run is, and a number.

    One that cannot reach Prefect's server scores all the same: what it reports there is lost.
    """
    told = {
        "location": unmapped(plan.location),
        "shard": range(plan.num_shards),
        "versions": unmapped(installed_versions()),
    }
    unasked = {PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False}  # travels with the tasks
    with temporary_settings(unasked), workers(plan.config) as runner:
        shards = runner.map(score_shard, told)  # type: ignore[arg-type] # each runner takes it
        for done, _ in enumerate(as_completed(list(shards)), start=1):
            progress("score", done, plan.num_shards, "shards")
        shards.result()


@task(
    task_run_name="score-shard-{shard}",
    retries=3,
    retry_delay_seconds=10,
    retry_condition_fn=unless_mendable,
    cache_policy=NO_CACHE,
)
def score_shard(location: str, shard: int, versions: Mapping[str, str]) -> ShardReport:
    """Users go from where the run is to where its shards are; only numbers pass through Prefect."""
    require_versions(versions)
    return scoring.score_shard(location, shard)
