"""ingest-flow: rating files into the warehouse."""

from pathlib import Path

from prefect import flow

from deeprec.ingestion.ingest import IngestReport, ingest
from flows.artifacts import ingest_page, publish
from flows.parameters import Project, locate_project
from flows.progress import RunProgress
from flows.retries import stage


@flow(name="ingest-flow", timeout_seconds=6 * 3600)
def ingest_flow(
    sources: tuple[str, ...],
    home: Path | None = None,
    config: Path | None = None,
    overrides: tuple[str, ...] = (),
) -> IngestReport:
    """Take rating files into the warehouse; files that are in it unchanged are left alone."""
    report = take_in(locate_project(home, config, overrides), sources)
    publish(ingest_page(report))
    return report


@stage("ingest", retry_after_s=30)
def take_in(project: Project, sources: tuple[str, ...]) -> IngestReport:
    """One transaction a source, so a retry goes on where the last attempt ended."""
    return ingest(project.home, sources, project.config, RunProgress())
