"""compose.yaml fits together and keeps what is private to itself; no container is started."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import Settings
from ruamel.yaml import YAML
from sqlalchemy import make_url

PROJECT = Path(__file__).parents[2]
DEPLOYMENTS = PROJECT / "deployments"
COMPOSE = DEPLOYMENTS / "compose.yaml"
STACK: dict[str, Any] = YAML(typ="safe").load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
PASSWORD = "p@ss/word: 1"  # noqa: S105 - nobody's
each_service = pytest.mark.parametrize("name", SERVICES)


def ends_by_itself(service: dict[str, Any]) -> bool:
    restart: str = service["restart"]
    return restart == "no"


@each_service
def test_images_are_pinned(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", tag)
    assert "/" not in image
    if image == "deeprec":
        assert VERSION == tag


@each_service
def test_a_service_tells_whether_it_is_well(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    if ends_by_itself(SERVICES[name]):
        assert {"disable": True} == check
    else:
        assert "CMD" == check["test"][0]
    if "-c" in check.get("test", []):
        compile(check["test"][-1], name, "exec")


@each_service
def test_a_service_waits_until_what_it_needs_is_so(name: str) -> None:
    for needed, waiting in SERVICES[name].get("depends_on", {}).items():
        ends = ends_by_itself(SERVICES[needed])
        expected = "service_completed_successfully" if ends else "service_healthy"
        assert expected == waiting["condition"]


def test_the_worker_waits_for_everything() -> None:
    waited_for = {"worker"}
    for _ in SERVICES:
        waited_for |= {on for name in waited_for for on in SERVICES[name].get("depends_on", {})}
    assert SERVICES.keys() == waited_for


@each_service
def test_ports_are_published_to_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_only_the_server_reaches_the_database() -> None:
    assert STACK["networks"]["database"]["internal"]
    in_it = {name for name, service in SERVICES.items() if "database" in service["networks"]}
    assert {"postgres", "server"} == in_it


@each_service
def test_passwords_come_from_outside(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if "PASSWORD" in variable:
            assert value.startswith("${DEEPREC_DATABASE_PASSWORD:?")


def test_the_example_names_every_variable_and_no_secret() -> None:
    example = (DEPLOYMENTS / ".env.example").read_text()
    named = dict(re.findall(r"^(?:# )?(DEEPREC_\w+)=(.*)$", example, re.MULTILINE))
    assert "" == named["DEEPREC_DATABASE_PASSWORD"]
    used = re.findall(r"\$\{(\w+):[-?]([^}]*)\}", COMPOSE.read_text())
    assert named.keys() == {variable for variable, _ in used}
    for variable, default in used:
        if variable != "DEEPREC_DATABASE_PASSWORD":
            assert named[variable] == default


def test_git_never_takes_the_password() -> None:
    assert "/deployments/.env" in (PROJECT / ".gitignore").read_text().splitlines()


@each_service
def test_volumes_are_declared_and_what_is_dropped_is_only_read(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        if volume.startswith("$"):
            assert volume.endswith(":ro")
        else:
            assert volume.partition(":")[0] in STACK["volumes"]


def test_prefect_finds_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES["server"]["environment"].items():
        monkeypatch.setenv(variable, PASSWORD if "PASSWORD" in variable else value)
    found = Settings().server.database.connection_url
    assert found
    url = make_url(found.get_secret_value())
    assert ("postgresql+asyncpg", "prefect") == (url.drivername, url.database)
    assert ("prefect", PASSWORD) == (url.username, url.password)
    assert ("postgres", 5432) == (url.host, url.port)
    assert "postgres" in SERVICES


def test_worker_and_deployments_meet_at_the_server() -> None:
    for name in ("deploy", "worker"):
        assert "http://server:4200/api" == SERVICES[name]["environment"]["PREFECT_API_URL"]
    assert "deeprec" in SERVICES["worker"]["command"]
    assert (PROJECT / SERVICES["deploy"]["command"][1]).is_file()
