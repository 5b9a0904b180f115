"""nightly-flow: what arrived is taken in, checked, learned from and scored, step by step."""

import logging
from collections.abc import Callable
from datetime import date
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from deeprec.night_page import read_view
from deeprec.nightly import NightFailedError, NightReport, Said, run_night
from deeprec.nights import Outcome
from deeprec.scoring import score_on_threads
from flows.artifacts import publish
from flows.night_artifacts import night_pages
from flows.parameters import Project, locate_project
from flows.progress import RunProgress
from flows.retries import unless_mendable
from flows.runners import open_runner
from flows.score import score_shards


@flow(name="nightly-flow", timeout_seconds=24 * 3600)
def nightly_flow(
    sources: tuple[str, ...],
    home: Path | None = None,
    config: Path | None = None,
    overrides: tuple[str, ...] = (),
    night_of: date | None = None,
) -> NightReport:
    """Take in what arrived in the drop folders, and do all that follows from it.

    A night that is started while another runs waits for it, and then finds its work done.
    """
    project = locate_project(home, config, overrides)
    open_runner(project.config.score)  # what is not installed is said before any work
    on_threads = project.config.score.runner == "threads"
    try:
        report = run_night(
            project.home,
            sources,
            project.config,
            RunProgress(),
            night_of=night_of,
            perform=perform_as_task,
            score_shards=score_on_threads if on_threads else score_shards,
        )
    except NightFailedError as failed:
        _tell(project, failed.report)
        raise
    _tell(project, report)
    return report


def perform_as_task(step: str, work: Callable[[], Said]) -> Said:
    """Do a step as a task run of its name; a retry takes up what was interrupted."""

    def do() -> Said:
        outcome, said = work()
        level = logging.WARNING if outcome is Outcome.WARNED else logging.INFO
        get_run_logger().log(level, "%s: %s", outcome, said)
        return outcome, said

    run = task(
        name=step,
        retries=2,
        retry_delay_seconds=30,
        retry_condition_fn=unless_mendable,
        cache_policy=NO_CACHE,
    )(do)
    return run()


def _tell(project: Project, report: NightReport) -> None:
    """Leave the night's pages, and an event that an automation can notify somebody of."""
    for page in night_pages(read_view(project.home, project.config, report.night_id)):
        publish(page)
    bad = [step for step in report.steps if step.outcome in {"failed", "warned"}]
    emit_event(
        event=f"deeprec.night.{report.status}",
        resource={
            "prefect.resource.id": f"deeprec.night.{report.night_id}",
            "prefect.resource.name": f"night of {report.night_of}",
        },
        payload={
            "night_of": str(report.night_of),
            "status": str(report.status),
            "said": "; ".join(f"{step.step}: {step.said}" for step in bad),
            "page": str(report.page),
        },
    )
