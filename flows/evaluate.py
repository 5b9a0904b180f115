"""evaluate-flow: a bundle's error on held-out ratings, beside its floors."""

from pathlib import Path

from prefect import flow

from deeprec.evaluation.evaluate import EvaluateReport, evaluate_held_out
from flows.artifacts import metrics_page, publish
from flows.parameters import Project, locate_project
from flows.progress import RunProgress
from flows.retries import stage


@flow(name="evaluate-flow", timeout_seconds=2 * 3600)
def evaluate_flow(
    home: Path | None = None, config: Path | None = None, overrides: tuple[str, ...] = ()
) -> EvaluateReport:
    """Measure a bundle on a part of the split that it has not been trained on, if there is one."""
    report = measure(locate_project(home, config, overrides))
    publish(metrics_page(report))
    return report


@stage("evaluate", retry_after_s=30)
def measure(project: Project) -> EvaluateReport:
    """The model, the damped biases and the global mean on the same ratings."""
    return evaluate_held_out(project.home, project.config, RunProgress())
