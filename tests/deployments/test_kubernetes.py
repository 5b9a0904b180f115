"""What Kubernetes is given runs unprivileged, within limits, with nothing secret; no cluster."""

import copy
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prefect
import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values, find_placeholders
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "deployments" / "kubernetes"
TEMPLATE: dict[str, Any] = json.loads((FOLDER / "job-template.json").read_text())
VARIABLES: dict[str, Any] = TEMPLATE["variables"]["properties"]
KUSTOMIZATION: dict[str, Any] = YAML(typ="safe").load(FOLDER / "kustomization.yaml")
RESOURCES: list[dict[str, Any]] = [
    document
    for file in KUSTOMIZATION["resources"]
    for document in YAML(typ="safe").load_all(FOLDER / file)
]
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
DOCKERFILE = (PROJECT / "deployments" / "Dockerfile").read_text()
(USER,) = re.findall(r"^USER (\d+):", DOCKERFILE, re.MULTILINE)


def job(**values: object) -> dict[str, Any]:
    """A job as the worker makes it from the template, with a deployment's variables."""
    defaults = {
        name: variable["default"] for name, variable in VARIABLES.items() if "default" in variable
    }
    manifest = copy.deepcopy(TEMPLATE["job_configuration"]["job_manifest"])
    made: dict[str, Any] = apply_values(manifest, defaults | values)
    return made


def named(kind: str) -> set[str]:
    return {each["metadata"]["name"] for each in RESOURCES if each["kind"] == kind}


def pods() -> Iterator[dict[str, Any]]:
    """The specification of every pod that there will be."""
    for each in [*RESOURCES, job()]:
        if each["kind"] in {"Deployment", "Job"}:
            yield each["spec"]["template"]["spec"]


def containers() -> Iterator[dict[str, Any]]:
    for pod in pods():
        yield from pod["containers"]


def paths(value: object, at: str = "") -> Iterator[str]:
    """Where everything stands in a manifest."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from paths(part, f"{at}/{key}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from paths(part, f"{at}/{index}")
    else:
        yield at


def test_every_file_is_applied() -> None:
    there = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert there == set(KUSTOMIZATION["resources"])


def test_an_operator_is_told_to_remove_what_cannot_change() -> None:
    (job_name,) = named("Job")
    remove = f"kubectl --namespace {KUSTOMIZATION['namespace']} delete job {job_name}"
    for file in (FOLDER / "kustomization.yaml", PROJECT / "docs" / "control-plane.md"):
        assert remove in file.read_text()


def test_pods_do_not_run_as_root() -> None:
    assert 3 == len(list(pods()))
    for pod in pods():
        context = pod["securityContext"]
        assert context["runAsNonRoot"]
        assert int(USER) == context["runAsUser"]
        assert {"type": "RuntimeDefault"} == context["seccompProfile"]


def test_containers_are_given_nothing_that_they_do_not_need() -> None:
    for container in containers():
        expected = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert expected == container["securityContext"]


def test_containers_have_requests_and_limits() -> None:
    for container in containers():
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} == container["resources"][kind].keys()


def test_images_are_pinned_to_this_version() -> None:
    for container in containers():
        assert re.fullmatch(rf"deeprec:{re.escape(VERSION)}(-kubernetes)?", container["image"])


def test_there_is_no_secret() -> None:
    assert not named("Secret")
    for container in containers():
        for variable in container.get("env", []):
            assert not re.search("PASSWORD|TOKEN|KEY|AUTH", variable["name"])


def test_only_the_worker_is_let_at_the_cluster() -> None:
    accounts = [pod.get("serviceAccountName") for pod in pods()]
    assert ["worker"] == [account for account in accounts if account]
    assert {"worker"} == named("ServiceAccount") == named("RoleBinding") == named("Role")
    for pod in pods():
        assert ("serviceAccountName" in pod) != (pod.get("automountServiceAccountToken") is False)


def test_what_is_mounted_exists() -> None:
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert volumes.keys() == {mount["name"] for mount in container["volumeMounts"]}
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in named(
                    "PersistentVolumeClaim"
                )


def test_everybodys_and_teams_drop_folders_lie_side_by_side() -> None:
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    mounted = {
        mount["mountPath"]: mount["subPath"]
        for mount in container["volumeMounts"]
        if mount["name"] == "drop" and mount["readOnly"]
    }
    assert {"/opt/deeprec/drop": "drop", "/opt/deeprec/teams": "teams"} == mounted


def test_what_is_named_elsewhere_exists() -> None:
    generated = {each["name"] for each in KUSTOMIZATION["configMapGenerator"]}
    for container in containers():
        for source in container.get("envFrom", []):
            assert source["configMapRef"]["name"] in generated
        for argument in container.get("command", []):
            if argument.startswith("deployments/"):
                assert (PROJECT / argument).is_file()
    assert {KUSTOMIZATION["namespace"]} == named("Namespace")
    assert KUSTOMIZATION["namespace"] == VARIABLES["namespace"]["default"]


def test_the_template_uses_what_it_declares() -> None:
    used = {each.name for each in find_placeholders(TEMPLATE["job_configuration"])}
    assert VARIABLES.keys() == used
    WorkPoolCreate(name="deeprec", type="kubernetes", base_job_template=TEMPLATE)


def test_the_template_has_all_that_prefects_own_has() -> None:
    views = prefect.__module_path__ / "server" / "api" / "collections_data" / "views"
    metadata = json.loads((views / "aggregate-worker-metadata.json").read_text())
    prefects = metadata["prefect-kubernetes"]["kubernetes"]["default_base_job_configuration"]
    ours = set(paths(TEMPLATE["job_configuration"]))
    pod = "/job_manifest/spec/template/spec"
    unused = {"/cluster_config", f"{pod}/serviceAccountName"}
    unused |= {f"{pod}/containers/0/env"}  # a worker puts its own before what stands there
    of_the_job = {f"{pod}/completions", f"{pod}/parallelism"}  # pods have none
    assert unused | of_the_job == set(paths(prefects["job_configuration"])) - ours
    assert {"/job_manifest/spec/completions", "/job_manifest/spec/parallelism"} <= ours


@pytest.mark.parametrize(("values", "expected"), [({}, None), ({"gpus": 1}, 1)])
def test_a_gpu_is_for_those_who_ask(values: dict[str, int], expected: int | None) -> None:
    (container,) = job(**values)["spec"]["template"]["spec"]["containers"]
    assert expected == container["resources"]["limits"].get("nvidia.com/gpu")


def test_a_job_starts_as_many_threads_as_it_may_use_cpus() -> None:
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    (threads,) = [each for each in container["env"] if each["name"] == "OMP_NUM_THREADS"]
    assert {"resourceFieldRef": {"resource": "limits.cpu"}} == threads["valueFrom"]
    assert container["resources"]["limits"]["cpu"]
