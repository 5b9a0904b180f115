"""Every deployment fits the flow that it names; nothing here needs a server."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import Flow, load_flow_from_entrypoint
from ruamel.yaml import YAML

from deeprec.config.loading import load_config
from deeprec.experiments.sets import load_systems

PROJECT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = YAML(typ="safe").load(PROJECT / "deployments" / "prefect.yaml")[
    "deployments"
]
FLOW_FILES = {
    "ingest",
    "materialize",
    "train",
    "evaluate",
    "score",
    "pipeline",
    "nightly",
    "experiment",
}
each_deployment = pytest.mark.parametrize(
    "deployment", DEPLOYMENTS, ids=lambda d: f"{d['entrypoint']}/{d['name']}"
)


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    return load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)


def test_every_flow_is_deployed() -> None:
    assert FLOW_FILES == {deployment["entrypoint"].split(".")[1] for deployment in DEPLOYMENTS}


def test_no_two_deployments_share_flow_and_name() -> None:
    names = [(flow_of(deployment).name, deployment["name"]) for deployment in DEPLOYMENTS]
    assert len(names) == len(set(names))


@each_deployment
def test_parameters_are_those_of_the_flow(deployment: dict[str, Any]) -> None:
    signature = inspect.signature(flow_of(deployment).fn)
    assert set() == set(deployment["parameters"]) - set(signature.parameters)


@each_deployment
def test_a_scheduled_run_needs_no_more_parameters(deployment: dict[str, Any]) -> None:
    if deployment.get("schedules"):
        inspect.signature(flow_of(deployment).fn).bind(**deployment["parameters"])


@each_deployment
def test_the_configuration_is_there_and_valid(deployment: dict[str, Any]) -> None:
    parameters = deployment["parameters"]
    if "experiment" in parameters:
        assert load_systems(parameters["experiment"])
        return
    path = PROJECT / parameters["config"]
    assert path.stem == load_config(path).name


@each_deployment
def test_every_schedule_is_a_cron_that_prefect_reads(deployment: dict[str, Any]) -> None:
    for schedule in deployment.get("schedules", []):
        assert CronSchedule(**schedule).timezone == "UTC"


@each_deployment
def test_runs_of_a_deployment_wait_for_each_other(deployment: dict[str, Any]) -> None:
    expected = {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert expected == deployment["concurrency_limit"]


@each_deployment
def test_a_person_is_told_what_it_is_for(deployment: dict[str, Any]) -> None:
    assert deployment["description"]
    assert deployment["tags"]
    assert deployment["work_pool"] == {"name": "deeprec"}


def test_the_night_has_a_schedule_and_nothing_else_has() -> None:
    (night,) = [d for d in DEPLOYMENTS if d.get("schedules")]
    assert "flows.nightly.nightly_flow" == night["entrypoint"]
    assert ["0 2 * * *"] == [schedule["cron"] for schedule in night["schedules"]]
