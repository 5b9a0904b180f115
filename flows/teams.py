"""prefect.yaml for one of several teams on a server: `python -m flows.teams alpha > alpha.yaml`.

Names of deployments, and queues within a pool, are what teams could take from each other; both
become the team's. Limits are a deployment's or a queue's, so they do too.
"""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from deeprec.errors import ConfigError, DeeprecError
from deeprec.home import Home

PREFECT_FILE = Path(__file__).parents[1] / "deployments" / "prefect.yaml"
_TEAM = re.compile(r"[a-z][a-z0-9-]{0,30}")  # names a queue, a tag and a folder alike


def for_team(deployment: dict[str, Any], team: str, home: Home) -> dict[str, Any]:
    """The deployment under the team's name, in its queue, with its folders whoever runs it."""
    pool = deployment["work_pool"]
    variables = pool.get("job_variables", {})
    environment = variables.get("env", {}) | {"DEEPREC_HOME": str(home.path)}
    parameters = deployment["parameters"]
    if "sources" in parameters:
        drops = [drop_of(team, each) for each in parameters["sources"]]
        parameters = parameters | {"sources": drops}
    return deployment | {
        "name": f"{team}-{deployment['name']}",
        "parameters": parameters,
        "tags": [*deployment["tags"], f"team:{team}"],
        "work_pool": pool
        | {"work_queue_name": team, "job_variables": variables | {"env": environment}},
    }


def drop_of(team: str, everybodys: str) -> str:
    """The team's drop folder: not within everybody's, whose nights would find it there."""
    drop = Path(everybodys)
    return str(drop.parent / "teams" / team / drop.name)


def locate_home(team: str, home: Path | None = None) -> Home:
    """The home given, else the folder of the team's name beside everybody's.

    Raises:
        ConfigError: the name cannot name a queue, a tag and a folder, or is taken.
    """
    if not _TEAM.fullmatch(team):
        raise ConfigError(
            f"{team!r} cannot be a team's name: expected a small letter, "
            "then up to 30 small letters, digits and hyphens"
        )
    everybodys = Home.locate().path
    if home is None and team == everybodys.name:
        raise ConfigError(f"{team}: its home would be everybody's, {everybodys}; give it a --home")
    return Home.locate(home or everybodys.with_name(team))


def print_deployments(
    team: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    home: Annotated[
        Path | None, typer.Option(help="The team's home; else beside everybody's.")
    ] = None,
) -> None:
    """Print prefect.yaml as the team deploys it."""
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.representer.ignore_aliases = lambda _: True
    try:
        place = locate_home(team, home)
    except DeeprecError as error:
        sys.exit(f"error: {error}")
    project = yaml.load(PREFECT_FILE)
    deployments = [for_team(each, team, place) for each in project["deployments"]]
    yaml.dump(project | {"deployments": deployments}, sys.stdout)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(print_deployments)
    app()
