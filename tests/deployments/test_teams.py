"""Several teams on one server take nothing from each other: names, queues, homes."""

import time
from itertools import permutations
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pytest
from ruamel.yaml import YAML

from deeprec.errors import ConfigError
from deeprec.home import Home
from deeprec.samples.sample import write_sample
from flows import teams
from flows.teams import for_team, locate_home, print_deployments

PREFECT_FILE = Path(__file__).parents[2] / "deployments" / "prefect.yaml"
DEPLOYMENTS: list[dict[str, Any]] = YAML(typ="safe").load(PREFECT_FILE)["deployments"]
WITHIN_S = 120
END_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Server(Protocol):
    """The fixture of tests/conftest.py."""

    def deploy(self, team: str = ...) -> None: ...

    def api(self, method: str, path: str, body: object = ...) -> Any: ...  # noqa: ANN401 - JSON

    def worker_log(self) -> str: ...


def test_teams_share_no_name_queue_or_home(tmp_path: Path) -> None:
    teams = {team: Home(tmp_path / team) for team in ("alpha", "beta")}
    everybodys = [(each["entrypoint"], each["name"]) for each in DEPLOYMENTS]
    theirs = [for_team(each, team, home) for team, home in teams.items() for each in DEPLOYMENTS]
    names = [*everybodys, *((each["entrypoint"], each["name"]) for each in theirs)]
    assert 3 * len(DEPLOYMENTS) == len(set(names))
    for each in theirs:
        (team,) = [tag.removeprefix("team:") for tag in each["tags"] if tag.startswith("team:")]
        assert each["name"].startswith(f"{team}-")
        assert team == each["work_pool"]["work_queue_name"]
        expected = {"env": {"DEEPREC_HOME": str(teams[team].path)}}
        assert expected == each["work_pool"]["job_variables"]


@pytest.mark.parametrize(
    ("everybodys", "alphas"),
    [("drop", "teams/alpha/drop"), ("/data/drop", "/data/teams/alpha/drop")],
)
def test_no_drop_folder_lies_in_another(everybodys: str, alphas: str, tmp_path: Path) -> None:
    (night,) = [each for each in DEPLOYMENTS if "sources" in each["parameters"]]
    night = night | {"parameters": night["parameters"] | {"sources": [everybodys]}}
    drops = [
        Path(source)
        for team in ("alpha", "beta")
        for source in for_team(night, team, Home(tmp_path))["parameters"]["sources"]
    ]
    assert Path(alphas) == drops[0]
    drops.append(Path(everybodys))
    for one, other in permutations(drops, 2):
        assert not one.is_relative_to(other)


def test_all_else_is_what_everybody_deploys(tmp_path: Path) -> None:
    changed = {"name", "tags", "work_pool", "parameters"}
    for deployment in DEPLOYMENTS:
        theirs = for_team(deployment, "alpha", Home(tmp_path))
        for key in deployment.keys() - changed:
            assert deployment[key] == theirs[key]
        assert "deeprec" == theirs["work_pool"]["name"]
        for name in deployment["parameters"].keys() - {"sources"}:
            assert deployment["parameters"][name] == theirs["parameters"][name]


def test_what_is_printed_can_be_deployed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_deployments("alpha", tmp_path)
    printed = YAML(typ="safe").load(capsys.readouterr().out)
    assert [for_team(each, "alpha", Home(tmp_path)) for each in DEPLOYMENTS] == printed[
        "deployments"
    ]


def test_what_an_operator_has_added_is_printed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    added = "pull:\n  - prefect.deployments.steps.set_working_directory: {directory: /srv}\n"
    file = tmp_path / "prefect.yaml"
    file.write_text(PREFECT_FILE.read_text() + added)
    monkeypatch.setattr(teams, "PREFECT_FILE", file)
    print_deployments("alpha", tmp_path)
    printed = YAML(typ="safe").load(capsys.readouterr().out)
    assert YAML(typ="safe").load(added)["pull"] == printed["pull"]


def test_a_teams_home_is_beside_everybodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPREC_HOME", str(tmp_path / "home"))
    assert Home(tmp_path / "alpha") == locate_home("alpha")
    assert Home(tmp_path / "elsewhere") == locate_home("home", tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="would be everybody's"):
        locate_home("home")


@pytest.mark.parametrize("name", ["", "Alpha", "-a", "a/b", "..", "a b", "a" * 32])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a team's name"):
        locate_home(name)


@pytest.mark.long
@pytest.mark.server
@pytest.mark.timeout(600)
def test_a_team_works_in_its_own_home(home: Home, server: Server, tmp_path: Path) -> None:
    everybodys, alphas = tmp_path / "everybodys", tmp_path / "alphas"
    write_sample(everybodys, num_users=60, num_movies=20, num_ratings=300)
    write_sample(alphas, num_users=60, num_movies=20, num_ratings=400)
    server.deploy("alpha")
    runs = [
        start(server, "ingest-flow/manual", everybodys),
        start(server, "ingest-flow/alpha-manual", alphas),
    ]
    ends = [how_it_ended(server, run_id) for run_id in runs]
    assert [("COMPLETED", "default"), ("COMPLETED", "alpha")] == ends, server.worker_log()
    assert 300 == count_ratings(home)
    assert 400 == count_ratings(Home(home.path.with_name("alpha")))


def start(server: Server, deployment: str, sample: Path) -> str:
    found = server.api("GET", f"/deployments/name/{deployment}")
    parameters = {"sources": [str(sample)]}
    body = {"parameters": found["parameters"] | parameters}
    run_id: str = server.api("POST", f"/deployments/{found['id']}/create_flow_run", body)["id"]
    return run_id


def how_it_ended(server: Server, run_id: str) -> tuple[str, str]:
    """The run's last state and the queue that it came by."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        run = server.api("GET", f"/flow_runs/{run_id}")
        if run["state_type"] in END_STATES:
            return run["state_type"], run["work_queue_name"]
        time.sleep(0.5)
    pytest.fail(f"a run has not ended within {WITHIN_S} s\n{server.worker_log()}")


def count_ratings(home: Home) -> int:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        (count,) = connection.execute("select count(*) from ratings").fetchall()[0]
        return int(count)
