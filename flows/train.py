"""train-flow: vectors into a sealed bundle."""

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow

from flows.artifacts import model_page, publish
from flows.parameters import Project, locate_project
from flows.progress import RunProgress
from flows.retries import stage

if TYPE_CHECKING:
    from deeprec.training.train import TrainReport


@flow(name="train-flow", timeout_seconds=48 * 3600)
def train_flow(
    home: Path | None = None, config: Path | None = None, overrides: tuple[str, ...] = ()
) -> "TrainReport":
    """Train on the split's training part and seal what was best on dev as a bundle."""
    report = fit_and_export(locate_project(home, config, overrides))
    publish(model_page(report))
    return report


@stage("train", retry_after_s=60)
def fit_and_export(project: Project) -> "TrainReport":
    """A retry resumes from the last checkpoint."""
    from deeprec.training.train import train  # noqa: PLC0415 - torch takes 3 s and much memory

    return train(project.home, project.config, RunProgress())
