"""materialize-flow: ratings into user vectors and a split."""

from pathlib import Path

from prefect import flow

from deeprec.vectors.materialize import MaterializeReport, materialize
from flows.artifacts import publish, split_page
from flows.parameters import Project, locate_project
from flows.progress import RunProgress
from flows.retries import stage


@flow(name="materialize-flow", timeout_seconds=2 * 3600)
def materialize_flow(
    home: Path | None = None, config: Path | None = None, overrides: tuple[str, ...] = ()
) -> MaterializeReport:
    """Bring user vectors and the configured split up to date with the ratings."""
    report = build_vectors(locate_project(home, config, overrides))
    publish(split_page(report))
    return report


@stage("materialize", retry_after_s=30)
def build_vectors(project: Project) -> MaterializeReport:
    """Does nothing when the vectors and the split are those of the ratings."""
    return materialize(project.home, project.config, RunProgress())
