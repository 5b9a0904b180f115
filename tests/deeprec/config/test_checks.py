"""How badly checks may turn out is told by names that there are."""

from pathlib import Path

import pytest

from deeprec.config.loading import load_config
from deeprec.errors import ConfigError
from deeprec.warehouse import drift
from deeprec.warehouse.checks import NOT_RATED, RATINGS


def test_every_check_can_be_named(tmp_path: Path) -> None:
    quantities = (drift.RATINGS, drift.ACTIVITY, drift.PREDICTIONS)
    names = [*RATINGS, NOT_RATED, *(f"drift.{quantity}" for quantity in quantities)]
    by_set = load_config(None, [f"checks.severity.{name}=off" for name in names])
    assert dict.fromkeys(names, "off") == by_set.checks.severity
    lines = [f'"{name}" = "off"' for name in names]
    (tmp_path / "quoted.toml").write_text("\n".join(["[checks.severity]", *lines]))
    assert by_set.checks == load_config(tmp_path / "quoted.toml").checks
    (tmp_path / "dotted.toml").write_text('[checks.severity]\ndrift.ratings = "warn"\n')
    dotted = load_config(tmp_path / "dotted.toml").checks.severity
    assert {"drift.ratings": "warn"} == dotted


@pytest.mark.parametrize("name", ["ratings/titled_movie", "usable_rows", "drift.rating"])
def test_a_check_that_there_is_not_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"checks.severity: no check is called {name}; there are"):
        load_config(None, [f"checks.severity.{name}=off"])
