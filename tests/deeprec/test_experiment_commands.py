"""The verbs of experiments as typed: the table, JSON alone on stdout, errors in a sentence."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deeprec.errors import ConfigError
from deeprec.experiment_commands import experiment_app

SYSTEM = """
name = "narrow"
[model]
hidden_layers = [3]
[train]
num_epochs = 1
device = "cpu"
[[published]]
rmse = 0.876
data = "Elsewhere"
protocol = "theirs"
source = "nobody"
"""


@pytest.fixture
def arguments(tmp_path: Path, tiny_sources: list[str]) -> list[str]:
    folder = tmp_path / "tiny-set"
    folder.mkdir()
    (folder / "narrow.toml").write_text(SYSTEM)
    protocol = tmp_path / "quarter.toml"
    protocol.write_text('[split]\nkind = "random"\ntest_fraction = 0.25\n')
    data = [f"--data={source}" for source in tiny_sources]
    return [str(folder), *data, f"--protocol={protocol}", f"--home={tmp_path / 'home'}"]


def test_a_run_prints_its_table_then_json_then_its_page(
    arguments: list[str], tmp_path: Path
) -> None:
    shown = CliRunner().invoke(experiment_app, ["run", *arguments])
    assert 0 == shown.exit_code, shown.output
    assert "0.876* test" in shown.stdout
    assert "than the bias floor" in shown.stdout
    again = CliRunner().invoke(experiment_app, ["run", *arguments, "--json"])
    assert (0, 1) == (json.loads(again.stdout)["num_run"], len(json.loads(again.stdout)["skipped"]))
    page = tmp_path / "page.html"
    told = ["report", arguments[0], arguments[-1], f"--output={page}", "--json"]
    written = CliRunner().invoke(experiment_app, told)
    assert str(page) == json.loads(written.stdout)["page"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_seeds_are_whole_numbers(arguments: list[str]) -> None:
    done = CliRunner().invoke(experiment_app, ["run", *arguments, "--seeds", "0,one"])
    assert isinstance(done.exception, ConfigError)
    assert "expected whole numbers" in str(done.exception)
