"""What an experiment is told: a folder of systems, each a configuration, and one protocol.

Both are named as files of `deployments/config`, or by a path of one's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import ConfigError
from deeprec.shipped import config_root
from deeprec.splits import FileSplit, LastKSplit, RandomSplit, Seed, Split, TimeSplit

# Data sets that figures are published for, by (ratings, users who have any); what else is taken in
# is never beside a published figure of another data set.
_KNOWN_DATA = {
    (100_000, 943): "ML-100K",
    (1_000_209, 6_040): "ML-1M",
    (10_000_054, 69_878): "ML-10M",
    (100_480_507, 480_189): "Netflix",
}


class ExperimentConfig(BaseModel):
    """One run of an experiment: which systems, on which data, how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str = Field(description="name or path of a set")
    sources: tuple[str, ...] = Field(min_length=1, description="folders, files or globs of ratings")
    protocol: str = Field(description="name or path; its split replaces that of every system")
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, description="one cell a system and seed")
    only: tuple[str, ...] = Field((), description="names of systems; all where there is none")
    overrides: tuple[str, ...] = Field((), description="section.key=value, of every system")


@dataclass(frozen=True)
class ExperimentSet:
    """The systems of an experiment under one protocol, in the order of their files."""

    name: str
    protocol: str
    systems: tuple[Config, ...]

    def select(self, only: Sequence[str]) -> tuple[Config, ...]:
        """The systems of these names; all of them when there is no name.

        Raises:
            ConfigError: a name is none of theirs.
        """
        names = [config.name for config in self.systems]
        unknown = [name for name in only if name not in names]
        if unknown:
            raise ConfigError(
                f"{self.name} has no system {', '.join(unknown)}; it has {', '.join(names)}"
            )
        return tuple(config for config in self.systems if not only or config.name in only)


def load_systems(
    experiment: str, overrides: Sequence[str] = (), protocol: Path | None = None
) -> tuple[Config, ...]:
    """The systems of a set, each with the protocol's split and with overrides applied.

    Raises:
        ConfigError: no such set, one without systems, two systems of a name, or a wrong key.
    """
    folder = find_set(experiment)
    systems = tuple(
        load_config(file, overrides, protocol) for file in sorted(folder.glob("*.toml"))
    )
    names = [config.name for config in systems]
    if not systems or len(set(names)) < len(names):
        found = ", ".join(names) or "none"
        raise ConfigError(f"{folder}: expected systems of different names, found {found}")
    return systems


def load_set(experiment: str, overrides: Sequence[str], protocol: str) -> ExperimentSet:
    """A set under a protocol; both by name or by path, errors as of `load_systems`."""
    file = find_protocol(protocol)
    systems = load_systems(experiment, overrides, file)
    stated = systems[0].protocol
    return ExperimentSet(find_set(experiment).name, stated.name if stated else file.stem, systems)


def find_set(experiment: str) -> Path:
    """The folder of a set: `experiments/NAME` of the named configurations, or a path."""
    return _find(experiment, config_root() / "experiments" / experiment, "experiment set")


def find_protocol(protocol: str) -> Path:
    """The file of a protocol: `protocols/NAME.toml` of the named configurations, or a path."""
    return _find(protocol, config_root() / "protocols" / f"{protocol}.toml", "protocol")


def with_seed(config: Config, seed: int) -> Config:
    """The same system with another seed, also of its split where that draws at all.

    A split that does not draw keeps its own seed, so that all its cells share one split.
    """
    split = config.split
    if _draws(split):
        split = split.model_copy(update={"seed": seed})
    train = config.train.model_copy(update={"seed": seed})
    return config.model_copy(update={"split": split, "train": train})


def name_data(num_ratings: int, num_users: int) -> str:
    """A data set's usual name, told by its counts; the counts themselves where it has none."""
    counted = f"{num_ratings:,} ratings of {num_users:,} users"
    return _KNOWN_DATA.get((num_ratings, num_users), counted)


def _draws(split: Split) -> bool:
    """Whether another seed would divide the ratings otherwise."""
    if isinstance(split, TimeSplit):
        return not split.dev_through and split.dev_fraction > 0
    return isinstance(split, RandomSplit | LastKSplit) or (
        isinstance(split, FileSplit) and split.dev_fraction > 0
    )


def _find(told: str, named: Path, what: str) -> Path:
    """What is told, as a path where there is one of that name, else as a name."""
    for path in (named, Path(told).expanduser()):
        if path.exists():
            return path.resolve()
    known = sorted(file.stem for file in named.parent.glob("*") if not file.name.startswith("."))
    raise ConfigError(
        f"{told}: no such {what}; expected a path, or one of {', '.join(known) or 'none'}"
    )
