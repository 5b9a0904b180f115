"""experiment-flow: every system of a set under one protocol, as a table, pictures and a page."""

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from deeprec.experiments.sets import ExperimentConfig
from deeprec.home import Home
from flows.artifacts import Page, publish
from flows.experiment_artifacts import experiment_page
from flows.progress import RunProgress
from flows.retries import stage

if TYPE_CHECKING:
    from deeprec.experiments.experiment import ExperimentReport


@flow(name="experiment-flow", timeout_seconds=7 * 24 * 3600)
def experiment_flow(
    experiment: str,
    sources: tuple[str, ...],
    protocol: str,
    *,
    home: Path | None = None,
    seeds: tuple[int, ...] = (0,),
    only: tuple[str, ...] = (),
    overrides: tuple[str, ...] = (),
) -> "ExperimentReport":
    """Run the cells that have not been run, and show how the systems of the set stand."""
    told = ExperimentConfig(
        experiment=experiment,
        sources=sources,
        protocol=protocol,
        seeds=seeds,
        only=only,
        overrides=overrides,
    )
    located = Home.locate(home)
    report = run_cells(located, told)
    publish(write_page(located, experiment))
    return report


@stage("experiment", retry_after_s=60)
def run_cells(home: Home, told: ExperimentConfig) -> "ExperimentReport":
    """A retry goes on with the cells that are missing."""
    from deeprec.experiments.experiment import run_experiment  # noqa: PLC0415 - torch takes 3 s

    return run_experiment(home, told, RunProgress())


@task(name="report", cache_policy=NO_CACHE)
def write_page(home: Home, experiment: str) -> Page:
    """The page that opens offline as a file, and what it shows as an artifact."""
    from deeprec.experiments.cells import experiments_home  # noqa: PLC0415 - as above
    from deeprec.pages.experiment import write_report  # noqa: PLC0415 - draws
    from deeprec.pages.experiment_sections import read_page  # noqa: PLC0415

    cells_home = experiments_home(home)
    written = write_report(cells_home, experiment)
    return experiment_page(read_page(cells_home, experiment), written.page)
