"""The rows of floors and peers: each in the settings it may be run with, measured like the others.

The settings are data, in `settings/`, with where they come from beside them.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.comparison import Candidates, Comparison, timed
from benchmarks.machine import installed_version
from benchmarks.peers import Settings, builder, distribution
from benchmarks.peers.floors import DampedBiases, GlobalMean
from benchmarks.report import SystemFigures, answered_by_biases
from deeprec.config.models import BiasConfig
from deeprec.errors import ConfigError

_SETTINGS = Path(__file__).parent / "settings"


def settings_of(config_name: str) -> Path:
    """The file of peers' settings for a configuration: one that its name ends with, else `default`.

    So `champion-ml-1m` takes `ml-1m.toml`, too.
    """
    fitting = [path for path in _SETTINGS.glob("*.toml") if config_name.endswith(path.stem)]
    return max(fitting, key=lambda path: len(path.stem), default=_SETTINGS / "default.toml")


def read_settings(path: Path, peers: Sequence[str]) -> Mapping[str, tuple[Settings, ...]]:
    """The settings that each peer may be run with, at least one.

    Raises:
        ConfigError: the file cannot be read, or says nothing of a peer; or there is no such peer.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
    for name in peers:
        distribution(name)
        if not found.get(name):
            raise ConfigError(f"{path}: no settings for {name}; expected a list of one or more")
    return {name: tuple(found[name]) for name in peers}


def measure_floors(comparison: Comparison, biases: BiasConfig) -> list[SystemFigures]:
    """The rows of the global mean and of deeprec's damped biases."""
    mean = Candidates("global mean", "deeprec", lambda _, seed: GlobalMean(seed=seed), ({},))
    damped = Candidates(
        "damped biases",
        "deeprec",
        lambda settings, seed: DampedBiases.model_validate({**settings, "seed": seed}),
        (biases.model_dump(),),
    )
    return [_measure(comparison, candidates) for candidates in (mean, damped)]


def measure_peer(
    comparison: Comparison, name: str, settings: tuple[Settings, ...]
) -> SystemFigures:
    """A peer's row; without figures if it cannot be imported here.

    Raises:
        ConfigError: a setting that the peer does not have or take.
    """
    try:
        candidates = Candidates(name, distribution(name), builder(name), settings)
    except ImportError as error:
        note = f"left out: {error}; pip install 'deeprec[bench]' brings it"
        return SystemFigures(system=name, note=note)
    return _measure(comparison, candidates)


def _measure(comparison: Comparison, candidates: Candidates) -> SystemFigures:
    chosen, choosing = timed(lambda: comparison.choose(candidates))
    others = (comparison.fit(candidates, chosen.settings, seed) for seed in comparison.seeds[1:])
    runs = [comparison.finish(fitted) for fitted in (chosen, *others)]
    notes = []
    if len(candidates.settings) > 1 and comparison.parts.dev.num_ratings:
        notes.append(f"best of {len(candidates.settings)} on dev, chosen in {choosing.wall:.0f} s")
    first = runs[0].test
    if first.num_fallback:
        notes.append(answered_by_biases(first.num_fallback))
    return SystemFigures(
        system=candidates.system,
        version=installed_version(candidates.package),
        settings=dict(chosen.settings),
        dev_rmse=tuple(run.dev.errors.rmse for run in runs if run.dev.errors.count),
        test_rmse=tuple(run.test.errors.rmse for run in runs),
        num_test=first.errors.count,
        num_fallback=first.num_fallback,
        fit_s=tuple(run.fit.wall for run in runs),
        fit_cpu_s=tuple(run.fit.cpu for run in runs),
        predict_s=tuple(run.test.seconds.wall for run in runs),
        predict_cpu_s=tuple(run.test.seconds.cpu for run in runs),
        note="; ".join(notes),
    )
