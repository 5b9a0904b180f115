"""What every flow is told: plain values that a deployment can hold, checked before any work."""

from dataclasses import dataclass
from pathlib import Path

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.home import Home


@dataclass(frozen=True)
class Project:
    """Where a run works and what it is told."""

    home: Home
    config: Config


def locate_project(home: Path | None, config: Path | None, overrides: tuple[str, ...]) -> Project:
    """The home (`DEEPREC_HOME` without one) and the configuration with overrides applied.

    Raises:
        ConfigError: the configuration or an override cannot be used.
    """
    return Project(Home.locate(home), load_config(config, overrides))
