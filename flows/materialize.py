"""materialize-flow: ratings into user vectors and a split."""

from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from deeprec.vectors import MaterializeReport, materialize
from flows.artifacts import publish, split_page
from flows.parameters import Project, locate_project
from flows.progress import RunProgress
from flows.retries import unless_mendable


@flow(name="materialize-flow", timeout_seconds=2 * 3600)
def materialize_flow(
    home: Path | None = None, config: Path | None = None, overrides: tuple[str, ...] = ()
) -> MaterializeReport:
    """Bring user vectors and the configured split up to date with the ratings."""
    report = build_vectors(locate_project(home, config, overrides))
    publish(split_page(report))
    return report


@task(
    name="materialize",
    retries=2,
    retry_delay_seconds=30,
    retry_condition_fn=unless_mendable,
    cache_policy=NO_CACHE,
)
def build_vectors(project: Project) -> MaterializeReport:
    """Does nothing when the vectors and the split are those of the ratings."""
    return materialize(project.home, project.config, RunProgress())
