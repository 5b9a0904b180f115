"""nightly-flow: what arrived is taken in, checked, learned from and scored, step by step."""

import logging
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from prefect import Flow, flow, get_run_logger
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event

from deeprec.errors import DeeprecError
from deeprec.nights.nightly import NightFailedError, NightReport, Said, run_night
from deeprec.pages.night import read_view
from deeprec.scoring.score import score_on_threads
from deeprec.warehouse.night_ledger import Outcome
from flows.artifacts import publish
from flows.night_artifacts import night_pages
from flows.parameters import Project, locate_project
from flows.progress import RunProgress
from flows.retries import stage
from flows.runners import open_runner
from flows.score import score_shards


def tell_of_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Emit the event of a night that failed: in a step, before the first, or at its timeout.

    A process that is killed cannot say so; Prefect's own event of a crash is for that.
    """
    del flow
    error = state.result(raise_on_failure=False)
    if isinstance(error, NightFailedError):
        _tell(error.report)
        return
    said = str(error) if isinstance(error, DeeprecError) else state.message or repr(error)
    begun = flow_run.expected_start_time or state.timestamp
    night_of = flow_run.parameters.get("night_of") or begun.date()
    _emit(str(flow_run.id), str(night_of), "failed", said)


@flow(name="nightly-flow", timeout_seconds=24 * 3600, on_failure=[tell_of_failure])
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
        _show(project, failed.report)
        raise
    _show(project, report)
    _tell(report)
    return report


def perform_as_task(step: str, work: Callable[[], Said]) -> Said:
    """Do a step as a task run of its name; a retry takes up what was interrupted."""

    def do() -> Said:
        outcome, said = work()
        level = logging.WARNING if outcome is Outcome.WARNED else logging.INFO
        get_run_logger().log(level, "%s: %s", outcome, said)
        return outcome, said

    return stage(step, retry_after_s=30)(do)()


def _show(project: Project, report: NightReport) -> None:
    """Leave the night's pages."""
    for page in night_pages(read_view(project.home, project.config, report.night_id)):
        publish(page)


def _tell(report: NightReport) -> None:
    """Emit the event of a night that has come to its end, or to a step that failed."""
    bad = [step for step in report.steps if step.outcome in {"failed", "warned"}]
    said = "; ".join(f"{step.step}: {step.said}" for step in bad)
    _emit(report.night_id, str(report.night_of), str(report.status), said, str(report.page))


def _emit(night_id: str, night_of: str, status: str, said: str, page: str = "") -> None:
    """Emit an event that an automation can notify somebody of."""
    emit_event(
        event=f"deeprec.night.{status}",
        resource={
            "prefect.resource.id": f"deeprec.night.{night_id}",
            "prefect.resource.name": f"night of {night_of}",
        },
        payload={"night_of": night_of, "status": status, "said": said, "page": page},
    )
