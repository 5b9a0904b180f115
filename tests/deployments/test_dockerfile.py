"""The image's build steps fit the project; no image is built."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[2]
DEPLOYMENTS = PROJECT / "deployments"
TEXT = (DEPLOYMENTS / "Dockerfile").read_text()
PAGE = (PROJECT / "docs" / "control-plane.md").read_text()
UNCOMMENTED = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)
STEPS: list[tuple[str, str]] = [
    (keyword, " ".join(rest.split()))
    for keyword, rest in re.findall(
        r"^([A-Z]+) (.+)$", UNCOMMENTED.replace("\\\n", " "), re.MULTILINE
    )
]
PYPROJECT: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"].keys()
IGNORED = (DEPLOYMENTS / "Dockerfile.dockerignore").read_text().splitlines()
SCRIPTS = sorted(path.relative_to(PROJECT) for path in DEPLOYMENTS.rglob("*.sh"))


def steps(keyword: str) -> list[str]:
    return [rest for found, rest in STEPS if found == keyword]


def commands() -> list[str]:
    return [re.sub(r"--mount=\S+ ", "", step) for step in steps("RUN")]


def test_the_base_is_pinned_to_the_python_that_is_tested() -> None:
    (base,) = steps("FROM")
    oldest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert re.fullmatch(rf"python:{re.escape(oldest)}\.\d+-slim-[a-z]+", base)


@pytest.mark.parametrize("step", steps("COPY"))
def test_what_is_copied_is_there_and_in_the_context(step: str) -> None:
    *sources, _ = step.split()
    for source in sources:
        assert (PROJECT / source).exists(), source
        assert f"!{source}" in IGNORED


def test_nothing_else_is_in_the_context() -> None:
    lines = [line for line in IGNORED if line and not line.startswith("#")]
    copied = {source for step in steps("COPY") for source in step.split()[:-1]}
    assert "*" == lines[0]
    assert copied == {line[1:] for line in lines if line.startswith("!")}
    assert lines.index("deployments/.env") > lines.index("!deployments")


def test_packages_are_those_that_are_tested_together() -> None:
    installs = [command for command in commands() if "pip install" in command]
    assert installs
    for command in installs:
        assert "--constraint constraints.txt" in command
        assert "--no-cache-dir" in command
        assert '".[${EXTRAS}]"' in command


def test_every_set_of_extras_that_is_named_exists() -> None:
    (default,) = [step.removeprefix("EXTRAS=") for step in steps("ARG")]
    compose = YAML(typ="safe").load(DEPLOYMENTS / "compose.yaml")["x-deeprec"]
    composed = compose["build"]["args"]["EXTRAS"].removeprefix("${DEEPREC_EXTRAS:-").rstrip("}")
    documented = re.findall(r"EXTRAS=([\w,]+)", TEXT + PAGE)
    documented += re.findall(r"^#   ([a-z]+(?:,[a-z]+)*)  ", TEXT, re.MULTILINE)
    assert default in documented
    for extras in [composed, *documented]:
        assert set() == set(extras.split(",")) - EXTRAS


@pytest.mark.parametrize("command", commands())
def test_a_shell_can_read_every_step(command: str) -> None:
    subprocess.run(["sh", "-n", "-c", command], check=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_shell_can_read_every_script(script: Path) -> None:
    subprocess.run(["sh", "-n", script], cwd=PROJECT, check=True)


def test_the_image_does_not_run_as_root() -> None:
    (user,) = steps("USER")
    (name,) = {match[1] for match in re.finditer(r"useradd .*--uid (\d+)", " ".join(commands()))}
    assert f"{name}:{name}" == user
    keywords = [keyword for keyword, _ in STEPS]
    assert keywords.index("USER") < keywords.index("CMD")


def test_the_worker_serves_what_the_health_check_asks() -> None:
    (check,), (command,) = steps("HEALTHCHECK"), steps("CMD")
    *_, code = json.loads(check.partition("CMD ")[2])
    compile(code, "HEALTHCHECK", "exec")
    assert "--with-healthcheck" in json.loads(command)


def test_no_host_is_named_but_this_one() -> None:
    assert {"127.0.0.1"} == set(re.findall(r"https?://([^:/'\"]+)", TEXT))


def test_what_is_copied_is_all_that_is_needed(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.mkdir()
    for step in steps("COPY"):
        for source in step.split()[:-1]:
            copy = shutil.copytree if (PROJECT / source).is_dir() else shutil.copy
            copy(PROJECT / source, image / source)
    environment = os.environ | {"PYTHONPATH": str(image), "DEEPREC_HOME": str(tmp_path / "home")}
    for arguments in ("sample ratings --ratings 500", "ingest ratings", "materialize"):
        command = [sys.executable, "-m", "deeprec.cli", *arguments.split()]
        subprocess.run(command, cwd=image, env=environment, check=True)
