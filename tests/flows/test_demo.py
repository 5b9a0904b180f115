"""The pipeline on a server of its own, as a person runs it: killed, run again, left alone."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deeprec.home import Home
from deeprec.samples.sample import write_sample

pytestmark = pytest.mark.server

WITHIN_S = 150
DEMO = ("-m", "flows.demo", "--home")
START_SERVER = """
import sys, time
from pathlib import Path
from deeprec.home import Home
from flows.embedded import start_server
server = start_server(Home(Path(sys.argv[1])))
server.wait_until_ready()
print(server.port, flush=True)
time.sleep(600)
"""
SCORE_WITHOUT_TORCH = """
import sys
from pathlib import Path
from deeprec.home import Home
from flows.embedded import start_server
sys.modules["torch"] = None
start_server(Home(Path(sys.argv[1]))).wait_until_ready()
from flows.score import score_flow
print(score_flow(Path(sys.argv[1])).num_predictions)
"""


class User:
    """Someone with a home folder and a Prefect server of his own, both to be left alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "HOME": str(folder),
            "PREFECT_API_URL": "http://127.0.0.1:9/api",  # nobody answers there
            "PREFECT_PROFILE": "of-the-user",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> str:
        """What the program prints; it must succeed."""
        with self.start(*arguments) as process:
            try:
                out, err = process.communicate(timeout=WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, f"{out}\n{err}"
        return out


@pytest.fixture
def user(tmp_path: Path) -> User:
    folder = tmp_path / "user"
    folder.mkdir()
    return User(folder)


def wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(otherwise)
        time.sleep(0.1)


def answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    """What Prefect has recorded of the home's runs."""
    with closing(sqlite3.connect(home.prefect / "prefect.db")) as record:
        return record.execute(query).fetchall()


def artifact_kinds(home: Home) -> set[str]:
    """The kinds of pages, which are the first words of their keys."""
    keys = rows(home, "select key from artifact where key is not null")
    return {key.split("-")[0] for (key,) in keys}


def test_the_server_ends_with_the_process_that_started_it(
    user: User, home: Home, migrated: Path
) -> None:
    shutil.copytree(migrated, home.prefect)
    with user.start("-c", START_SERVER, str(home.path)) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        assert answers(port)
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not answers(port), "the server outlived its process")
    assert [] == list(user.folder.iterdir())


@pytest.mark.timeout(600)
def test_a_demo_that_was_killed_is_finished_by_the_next(
    user: User, home: Home, migrated: Path
) -> None:
    shutil.copytree(migrated, home.prefect)
    write_sample(home.path / "sample", num_users=80, num_movies=30, num_ratings=900)
    with user.start(*DEMO, str(home.path)) as process:
        wait_until(home.models.is_dir, "the demo has not come to train")
        process.send_signal(signal.SIGKILL)
    assert not home.predictions.exists()

    shown = user.run(*DEMO, str(home.path))
    assert str(home.predictions) in shown
    assert "select" in shown
    assert 10 == shown.count("Synthetic Film")
    assert {"data", "split", "model", "metrics", "scores"} == artifact_kinds(home)
    assert 1 == len(list(home.models.glob("demo-*")))
    assert [] == list(user.folder.iterdir())


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_demo_on_a_new_server_is_repeated_by_the_next_and_scored_again_without_torch(
    user: User, home: Home
) -> None:
    sample = write_sample(home.path / "sample", num_users=80, num_movies=30, num_ratings=900)
    shown = user.run(*DEMO, str(home.path))
    (bundle,) = home.models.glob("demo-*")
    assert shown == user.run(*DEMO, str(home.path))
    assert [bundle] == list(home.models.glob("demo-*"))
    assert f"{sample.num_users * 30}\n" == user.run("-c", SCORE_WITHOUT_TORCH, str(home.path))
    assert [] == list(user.folder.iterdir())


def test_what_a_person_must_mend_is_told_in_a_sentence_and_not_tried_again(
    user: User, home: Home, migrated: Path
) -> None:
    shutil.copytree(migrated, home.prefect)
    (home.path / "sample").mkdir(parents=True)
    with user.start(*DEMO, str(home.path)) as process:
        _, err = process.communicate(timeout=WITHIN_S)
    sentence = err.strip().splitlines()[-1]
    assert 1 == process.returncode
    assert sentence.startswith("error: ")
    assert str(home.path / "sample") in sentence
    assert "Traceback" not in err
    assert {(1,)} == set(rows(home, "select run_count from task_run"))
    messages = [message for (message,) in rows(home, "select message from flow_run_state")]
    ending = sentence.removeprefix("error: ")
    assert any(message and message.endswith(ending) for message in messages)
