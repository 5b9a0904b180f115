import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from deeprec.home import Home
from deeprec.splits import RandomSplit

Command = Callable[..., subprocess.CompletedProcess[str]]
TINY = [
    "--set=model.hidden_layers=[6, 4]",
    "--set=train.num_epochs=2",
    "--set=name=tiny",
    "--set=train.device=cpu",
]


def test_the_pipeline_runs_from_files_to_tables(tiny_sources: list[str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    told = ["pipeline", *tiny_sources, "--home", str(home), "--json", *TINY]
    command = [sys.executable, "-m", "deeprec.cli", *told]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    ingested, materialized, trained, evaluated, scored = map(json.loads, done.stdout.splitlines())
    assert 41 == ingested["num_users"] == materialized["num_users"] == scored["num_users"]
    assert 2 == len(trained["epochs"])
    assert {"model", "bias", "global mean"} == {
        figure["predictor"] for figure in evaluated["figures"]
    }
    assert str(home / "predictions.duckdb") == scored["path"]


def test_a_sample_is_what_was_asked_for(deeprec: Command, tmp_path: Path) -> None:
    arguments = ["--users", "90", "--movies", "20", "--seed", "3", "--layout", "netflix-combined"]
    done = deeprec("sample", str(tmp_path / "new"), "--ratings", "0.5e3", "--json", *arguments)
    report = json.loads(done.stdout)
    assert (500, 20, 3) == (report["num_ratings"], report["num_movies"], report["seed"])
    assert (tmp_path / "new" / "combined_data_1.txt").is_file()
    again = deeprec("sample", str(tmp_path / "new"))
    assert (1, True) == (again.returncode, "already exists" in again.stderr)
    wrong = deeprec("sample", str(tmp_path / "other"), "--ratings", "1.5")
    assert (2, True) == (wrong.returncode, "1.5 is no whole number" in wrong.stderr)


def test_each_verb_gives_json_to_stdout_and_nothing_else(
    deeprec: Command, trained_home: Home
) -> None:
    for verb in ("materialize", "train", "evaluate", "score"):
        arguments = [TINY[0], "--set=train.num_epochs=3", *TINY[2:]]
        done = deeprec(verb, "--json", *arguments, DEEPREC_HOME=str(trained_home.path))
        assert 0 == done.returncode, done.stderr
        assert isinstance(json.loads(done.stdout), dict)


def test_a_protocol_goes_with_any_configuration(
    deeprec: Command, trained_home: Home, tmp_path: Path
) -> None:
    protocol = tmp_path / "protocol.toml"
    protocol.write_text(
        '[split]\nseed = 3\n[protocol]\nname = "mine"\ndev_from = "train"\n'
        "train = { users = 40, ratings = 5 }\n"
    )
    arguments = ["--home", str(trained_home.path), "--protocol", str(protocol), *TINY]
    shown = deeprec("materialize", *arguments, COLUMNS="120")
    assert 0 == shown.returncode, shown.stderr
    assert "the split has other counts than mine was published with: train ratings" in shown.stderr
    table = [line.split() for line in shown.stdout.splitlines()]
    assert ["part", "what", "published", "found", "agrees"] in table
    assert ["train", "users", "40", "40", "yes"] in table
    trained = deeprec("train", "--json", *arguments)
    assert RandomSplit(seed=3).split_id == json.loads(trained.stdout)["split_id"], trained.stderr
    assert 0 == deeprec("evaluate", *arguments).returncode


def test_a_report_reads_well(deeprec: Command, trained_home: Home) -> None:
    done = deeprec("evaluate", "--home", str(trained_home.path), COLUMNS="120")
    assert 0 == done.returncode, done.stderr
    assert "global mean" in done.stdout
    assert "rmse" in done.stdout
    assert "bias floor" in done.stdout
    assert "by calibration" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest", "/nowhere/at/all"], "/nowhere/at/all"),
        (["materialize"], "deeprec ingest"),
        (["train"], "deeprec ingest"),
        (["evaluate"], "deeprec ingest"),
        (["score"], "deeprec ingest"),
        (["train", "--set", "train.num_epoch=3"], "did you mean train.num_epochs?"),
        (["train", "--config", "absent.toml"], "no such configuration file"),
    ],
)
def test_an_error_that_can_be_mended_is_a_sentence(
    deeprec: Command, arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = deeprec(*arguments, "--home", str(tmp_path / "home"), COLUMNS="400")
    assert 1 == done.returncode
    assert "" == done.stdout
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_asking_for_a_gpu_that_is_not_there_is_a_sentence(
    deeprec: Command, trained_home: Home
) -> None:
    done = deeprec(
        "score",
        "--home",
        str(trained_home.path),
        "--set",
        "score.device=cuda",
        COLUMNS="400",
        CUDA_VISIBLE_DEVICES="-1",
    )
    assert 1 == done.returncode
    assert "NVIDIA GPU" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_pipeline_goes_on_with_the_model_that_it_was_asked_for(
    deeprec: Command, tiny_sources: list[str], tmp_path: Path
) -> None:
    for name in ("tiny", "other", "tiny"):
        arguments = ["--home", str(tmp_path / "home"), "--json", *TINY, f"--set=name={name}"]
        done = deeprec("pipeline", *tiny_sources, *arguments)
        assert 0 == done.returncode, done.stderr
        _, _, *later = map(json.loads, done.stdout.splitlines())
        assert {later[0]["bundle_id"]} == {report["bundle_id"] for report in later}
        assert later[0]["bundle_id"].startswith(name)
    assert not later[0]["changed"]


def test_the_pipeline_publishes_where_nothing_is_held_out(
    deeprec: Command, tiny_sources: list[str], tmp_path: Path
) -> None:
    arguments = ["--home", str(tmp_path / "home"), "--json", *TINY, "--set=split.test_fraction=0"]
    done = deeprec("pipeline", *tiny_sources, *arguments)
    assert 0 == done.returncode, done.stderr
    *_, evaluated, scored = map(json.loads, done.stdout.splitlines())
    assert ([], 41) == (evaluated["figures"], scored["num_users"])


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from deeprec.cli import main
main()
"""


def test_a_full_disk_is_a_sentence_and_loses_nothing(deeprec: Command, tmp_path: Path) -> None:
    rows = [f"{user},{movie},{1 + user % 5}" for user in range(300) for movie in range(100)]
    source = tmp_path / "ratings.csv"
    source.write_text("\n".join(["user_id,movie_id,rating", *rows]) + "\n")
    arguments = ["ingest", str(source), "--home", str(tmp_path / "home")]
    full = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments], check=False, capture_output=True, text=True
    )
    assert 1 == full.returncode
    assert full.stderr.splitlines()[-1].startswith("error: DuckDB could not go on")
    assert "Traceback" not in full.stderr
    done = deeprec(*arguments, "--json")
    assert 30_000 == json.loads(done.stdout)["num_ratings"]


@pytest.mark.parametrize("home", ["file", "file/inside", "n" * 500, "~nobody-of-that-name/x"])
def test_a_home_that_cannot_be_one_is_named(
    deeprec: Command, tiny_sources: list[str], tmp_path: Path, home: str
) -> None:
    (tmp_path / "file").write_text("I am no folder")
    place = home if home.startswith("~") else str(tmp_path / home)
    done = deeprec("ingest", *tiny_sources, "--home", place)
    assert 1 == done.returncode
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["materialize"],
        ["train"],
        ["evaluate"],
        ["score"],
        ["score", "--as-of", "2026-01-31"],
        ["report"],
        ["report", "--night", "20260131"],
        ["reproduce"],
        ["models", "list"],
        ["models", "promote", "any", "--reason", "any"],
        ["models", "rollback"],
    ],
)
def test_what_needs_ratings_makes_no_home_that_was_mistyped(
    deeprec: Command, tmp_path: Path, arguments: list[str]
) -> None:
    done = deeprec(*arguments, "--home", str(tmp_path / "mistyped"), COLUMNS="400")
    assert 1 == done.returncode
    assert "has no warehouse; run `deeprec ingest SOURCE` first" in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_moment_that_is_empty_is_not_the_present(deeprec: Command, tmp_path: Path) -> None:
    done = deeprec("score", "--as-of", "", "--home", str(tmp_path), COLUMNS="400")
    assert 1 == done.returncode
    assert done.stderr.startswith("error: '': expected a day as 2026-01-31")


def test_it_says_which_version_it_is(deeprec: Command) -> None:
    assert f"deeprec {version('deeprec')}\n" == deeprec("--version").stdout


def test_without_a_verb_it_shows_them(deeprec: Command) -> None:
    done = deeprec("--help")
    for verb in ("ingest", "materialize", "train", "evaluate", "score", "pipeline"):
        assert verb in done.stdout
