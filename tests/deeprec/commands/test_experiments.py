"""The verbs of experiments as typed: the table, JSON alone on stdout, errors in a sentence."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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
note = "as told [sic]"
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


Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_run_prints_its_table_then_json_then_its_page(
    deeprec: Command, arguments: list[str], tmp_path: Path
) -> None:
    shown = deeprec("experiment", "run", *arguments)
    assert 0 == shown.returncode, shown.stderr
    assert "0.876* test, as told [sic]" in " ".join(shown.stdout.split())
    assert "than the bias floor" in shown.stdout
    again = json.loads(deeprec("experiment", "run", *arguments, "--json").stdout)
    assert (0, 1) == (again["num_run"], len(again["skipped"]))
    page = tmp_path / "page.html"
    told = [arguments[0], arguments[-1], f"--output={page}", "--json"]
    written = deeprec("experiment", "report", *told)
    assert str(page) == json.loads(written.stdout)["page"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("seeds", ["0,one", "", "-1", "0,9223372036854775808"])
def test_seeds_are_whole_numbers(deeprec: Command, arguments: list[str], seeds: str) -> None:
    done = deeprec("experiment", "run", *arguments, "--seeds", seeds)
    assert 1 == done.returncode
    expected = f"error: --seeds {seeds}: expected whole numbers below 2^63, such as 0,1,2\n"
    assert expected == done.stderr
