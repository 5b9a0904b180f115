"""The accuracy benchmark as a person runs it, on made-up ratings, with the peers that are here."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.peers import PEERS, builder
from benchmarks.report import AccuracyReport
from deeprec.samples.sample import write_sample
from deeprec.splits import Part

Command = Callable[..., subprocess.CompletedProcess[str]]
CONFIG = """
name = "tiny"
split = { test_fraction = 0.2, dev_fraction = 0.1 }
model = { hidden_layers = [6, 4] }
train = { num_epochs = 2, device = "cpu" }
evaluate = { device = "cpu" }
"""
SETTINGS = """
surprise-svd = [{ n_factors = 4, n_epochs = 1 }, { n_factors = 4, n_epochs = 10 }]
surprise-svdpp = [{ n_factors = 2, n_epochs = 2 }]
lenskit-als = [{ embedding_size = 3, epochs = 2 }]
myfm-mf = [{ rank = 2, n_iter = 10, n_kept_samples = 5 }]
myfm-svdpp = [{ rank = 2, n_iter = 10, n_kept_samples = 5 }]
"""


def accuracy(python: Command, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command on the folder's sample, with the folder's configuration and settings."""
    told = [str(folder / "sample"), *arguments]
    for option in ("home", "config", "settings"):
        told += [f"--{option}", str(folder / option)]
    return python("-m", "benchmarks.accuracy", *told)


def is_installed(peer: str) -> bool:
    try:
        builder(peer)
    except ImportError:
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("accuracy")
    write_sample(place / "sample", num_users=60, num_movies=30, num_ratings=800)
    (place / "config").write_text(CONFIG)
    (place / "settings").write_text(SETTINGS)
    return place


@pytest.fixture(scope="module")
def done(python: Command, folder: Path) -> subprocess.CompletedProcess[str]:
    return accuracy(python, folder, "--seeds", "0,1", "--json", str(folder / "report.json"))


@pytest.fixture(scope="module")
def report(folder: Path, done: subprocess.CompletedProcess[str]) -> AccuracyReport:
    assert 0 == done.returncode, done.stderr
    return AccuracyReport.model_validate_json((folder / "report.json").read_text())


def test_there_is_a_row_for_every_system(report: AccuracyReport) -> None:
    names = [figures.system for figures in report.systems]
    assert ["global mean", "damped biases", *PEERS, "deeprec tiny"] == names


def test_all_are_measured_on_the_same_test_ratings_with_every_seed(report: AccuracyReport) -> None:
    measured = [figures for figures in report.systems if figures.test_rmse]
    assert {report.counts[Part.TEST]} == {figures.num_test for figures in measured}
    assert {2} == {len(figures.test_rmse) for figures in measured}
    assert {2} == {len(figures.dev_rmse) for figures in measured}
    assert {"global mean", "damped biases", "deeprec tiny"} <= {row.system for row in measured}


def test_the_table_has_what_the_report_has(
    done: subprocess.CompletedProcess[str], report: AccuracyReport
) -> None:
    mean = sum(report.systems[1].test_rmse) / 2
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| damped biases")]
    assert f"{mean:.4f} +- 0.0000" in row
    assert f"{report.counts[Part.TEST]} test" in done.stdout
    assert report.machine.versions["numpy"] in done.stdout


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_has_figures_or_a_reason(report: AccuracyReport, peer: str) -> None:
    (figures,) = [row for row in report.systems if row.system == peer]
    if not is_installed(peer):
        assert not figures.test_rmse
        assert "pip install 'deeprec[bench]'" in figures.note
        pytest.skip(f"{peer} is not installed here; its row says so")
    assert 2 == len(figures.test_rmse)
    assert figures.version


def test_settings_are_the_best_on_dev(report: AccuracyReport) -> None:
    if not is_installed("surprise-svd"):
        pytest.skip("the peer with two settings is not installed here")
    (figures,) = [row for row in report.systems if row.system == "surprise-svd"]
    assert 10 == figures.settings["n_epochs"]
    assert "best of 2 on dev" in figures.note


def test_what_cannot_be_run_is_one_sentence(python: Command, folder: Path) -> None:
    done = accuracy(python, folder, "--peers", "netflix")
    assert 1 == done.returncode
    assert "error: netflix: no such peer; there are surprise-svd" in done.stderr
    assert "Traceback" not in done.stderr
