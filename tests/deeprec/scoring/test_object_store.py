"""Shards in an S3-speaking server on loopback: the same rows, whatever became of it meanwhile.

The server is moto's, in a process of its own, which writes down what it is sent: killed and started
again, it holds what it held before.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from socket import create_server
from typing import Any

import duckdb
import pytest

from deeprec import places
from deeprec.config.models import KernelRidgeConfig
from deeprec.config.run import Config, with_bundle
from deeprec.errors import ConfigError, StoreError, UnreachableError, WarehouseError
from deeprec.home import Home
from deeprec.places import open_place
from deeprec.scoring.plans import ScoringPlan, run_place, shard_files
from deeprec.scoring.publishing import publish_run
from deeprec.scoring.runs import clear_runs, prepare_run
from deeprec.scoring.score import score, score_shard
from deeprec.training.train import train
from deeprec.warehouse.database import open_database

if not all(map(find_spec, ("s3fs", "moto", "flask", "flask_cors"))):
    pytest.skip("needs an S3 server: pip install 'deeprec[test]'", allow_module_level=True)

TABLES = ("predicted_ratings", "recommendations", "movies", "users")
SECRET, TOKEN = "made-up/SECRET+3f9c1b7e", "made-up-TOKEN-5d2a8f"
AT = "s3://shards/some/prefix"
CLI = (sys.executable, "-m", "deeprec.cli")
READY_WITHIN_S = 60


@dataclass
class Server:
    """Moto on a port of its own, which it keeps."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it answers and holds what it held before."""
        recording = self.folder / "requests.jsonl"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            env=os.environ
            | {"MOTO_ENABLE_RECORDING": "true", "MOTO_RECORDER_FILEPATH": str(recording)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._answers("GET", "/moto-api/data.json"):
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if recording.exists():
            self.tell("recorder/replay-recording")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def tell(self, command: str, body: str = "") -> None:
        assert self._answers("POST", f"/moto-api/{command}", body)

    def _answers(self, method: str, path: str, body: str = "") -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    started = Server(tmp_path_factory.mktemp("moto"), port)
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "made-up-id",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with use_environment(**variables):
        try:
            started.start()
            places.open_store().mkdir("shards")
            yield started
        finally:
            started.kill()


@pytest.fixture
def at(server: Server) -> Iterator[str]:
    """A prefix with nothing under it."""
    del server
    yield AT
    open_place("s3://shards/some").clear()


@pytest.fixture
def away() -> str:
    """The address of a server that is not there."""
    with create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def use_environment(**variables: str | None) -> Iterator[None]:
    """Have the store opened anew, with some variables set, or not set."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            if value is None:
                patch.delenv(name)
            else:
                patch.setenv(name, value)
        places._open_store.cache_clear()
        yield
    places._open_store.cache_clear()


def with_score(config: Config, at: str, **settings: object) -> Config:
    told = config.score.model_copy(update={"shards": "parquet", "shards_at": at, **settings})
    return config.model_copy(update={"score": told})


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    """Every row, as our own commands read them."""
    with open_database(path, read_only=True) as file:
        rows = [
            file._connection.execute(f"select * from {table} order by all").fetchall()
            for table in TABLES
        ]
        shards = "select * exclude (scored_at) from scoring_shards order by shard"
        return [*rows, file._connection.execute(shards).fetchall()]


def objects(at: str = "s3://shards") -> list[str]:
    return sorted(places.open_store().find(at))


def undisturbed(home: Home, config: Config, folder: Path) -> list[list[tuple[Any, ...]]]:
    """What is published where every shard goes into the run's file."""
    return contents(score(Home(shutil.copytree(home.path, folder)), config).path)


@pytest.fixture(scope="module")
def expected(
    _trained: Path, tiny_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> list[list[tuple[Any, ...]]]:
    folder = tmp_path_factory.mktemp("undisturbed") / "home"
    return undisturbed(Home(_trained), tiny_config, folder)


def scored_run(home: Home, config: Config) -> ScoringPlan:
    plan = prepare_run(home, config)
    for shard in range(plan.num_shards):
        score_shard(plan.location, shard)
    return plan


def test_what_is_published_is_what_threads_publish(
    trained_home: Home, tiny_config: Config, at: str, expected: list[Any]
) -> None:
    report = score(trained_home, with_score(tiny_config, at))
    assert expected == contents(report.path)
    assert [] == objects()


def test_codes_travel_as_predictions_do(
    trained_home: Home, tiny_config: Config, at: str, tmp_path: Path
) -> None:
    config = with_score(tiny_config, at, storage="factored")
    in_duckdb = with_score(tiny_config, "", storage="factored", shards="duckdb")
    expected = undisturbed(trained_home, in_duckdb, tmp_path / "undisturbed")
    plan = scored_run(trained_home, config)
    assert expected == contents(publish_run(trained_home, plan.run_dir, config).path)


LONG = pytest.mark.long
WORKER = """
import json, os, sys
from deeprec.scoring import delivery
from deeprec.scoring.score import score_shard
fetched, get = [], delivery._get
delivery._get = lambda place, name: fetched.append(name) or get(place, name)
for shard in sys.argv[2:]:
    score_shard(sys.argv[1], int(shard))
print(json.dumps(fetched))
"""


# Kernel ridge has a side to deliver too, and takes long to export.
@pytest.mark.parametrize("kind", ["autoencoder", pytest.param("kernel_ridge", marks=LONG)])
def test_a_worker_needs_nothing_but_a_url_and_numbers(
    trained_home: Home, tiny_config: Config, at: str, kind: str, tmp_path: Path
) -> None:
    home = trained_home
    if kind == "kernel_ridge":
        config = tiny_config.model_copy(update={"model": KernelRidgeConfig()})
        tiny_config = with_bundle(config, train(home, config).bundle)
    expected = undisturbed(home, tiny_config, tmp_path / "undisturbed")
    config = with_score(tiny_config, at)
    plan = prepare_run(home, config)
    hidden = home.path.rename(tmp_path / "nowhere")
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WORKER, plan.location, *map(str, range(plan.num_shards))],
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert 1 == done.stdout.count("manifest.json")
    assert [] == list((tmp_path / "temporary").iterdir())
    hidden.rename(home.path)
    assert expected == contents(publish_run(home, plan.run_dir, config).path)


def test_a_view_is_read_by_our_own_commands_and_its_objects_kept_as_long(
    trained_home: Home, tiny_config: Config, at: str, expected: list[Any]
) -> None:
    config = with_score(tiny_config, at, publish="view", keep_past=1)
    runs = [score(trained_home, config).run_id for _ in range(2)]
    (kept,) = trained_home.past.iterdir()
    assert expected == contents(kept)
    assert [f"run_id={run}" for run in runs] == open_place(at).names()
    shards = [f"shard={shard:05}" for shard in range(5)]
    assert [shards] * 2 == [open_place(f"{at}/run_id={run}").names() for run in runs]
    with duckdb.connect(str(kept), read_only=True) as elsewhere:
        (view,) = elsewhere.execute("select sql from duckdb_views() where not internal").fetchone()  # type: ignore[misc]
    assert f"{at}/run_id={runs[0]}/shard=00000/" in view
    score(trained_home, with_score(tiny_config, "", keep_past=1))
    assert [f"run_id={runs[1]}"] == open_place(at).names()


def truncate(url: str) -> None:
    store = places.open_store()
    store.pipe_file(url, store.cat_file(url)[:-100])


def swap_for_another(url: str) -> None:
    store = places.open_store()
    folder = url.rpartition("/")[0].rpartition("/")[0]
    (other,) = store.glob(f"{folder}/shard=00003/predictions-*.parquet")
    store.copy(other, url)


def remove(url: str) -> None:
    places.open_store().rm_file(url)


@pytest.mark.parametrize("harm", [truncate, swap_for_another, remove])
def test_a_harmed_object_is_found_and_its_shard_scored_again(
    trained_home: Home,
    tiny_config: Config,
    at: str,
    expected: list[Any],
    harm: Callable[[str], None],
) -> None:
    config = with_score(tiny_config, at)
    plan = scored_run(trained_home, config)
    entry = shard_files(plan).entry(2)
    assert entry is not None
    harm(shard_files(plan).url(entry, "predictions"))
    report = publish_run(trained_home, plan.run_dir, config)
    assert expected == contents(report.path)


def test_a_harmed_input_is_refused_and_put_there_anew(
    trained_home: Home, tiny_config: Config, at: str, expected: list[Any]
) -> None:
    config = with_score(tiny_config, at)
    plan = prepare_run(trained_home, config)
    truncate(f"{plan.location}/vectors/00001.parquet")
    truncate(f"{plan.location}/bundle/model.onnx")
    with pytest.raises(StoreError, match=r"model\.onnx: is not what was put there; start scoring"):
        score_shard(plan.location, 0)
    assert plan.run_id == prepare_run(trained_home, config).run_id
    remove(f"{plan.location}/vectors/00001.parquet")
    with pytest.raises(StoreError, match=r"vectors/00001\.parquet: is gone"):
        score_shard(plan.location, 1)
    assert expected == contents(score(trained_home, config).path)


def test_an_input_named_outside_its_folder_is_refused(
    trained_home: Home, tiny_config: Config, at: str
) -> None:
    plan = prepare_run(trained_home, with_score(tiny_config, at))
    run_place(plan).put("inputs.json", b'{"../../escaped": "0"}')
    with pytest.raises(StoreError, match="which is no input of a run"):
        score_shard(plan.location, 0)


def test_repeated_and_late_workers_leave_no_trace(
    trained_home: Home, tiny_config: Config, at: str, expected: list[Any]
) -> None:
    config = with_score(tiny_config, at, incremental=False)
    plan = scored_run(trained_home, config)
    files = shard_files(plan)
    assert score_shard(plan.location, 1).skipped
    late = files.entry(1)
    assert late is not None
    rows = files.read(late)
    files.write(late, rows)  # two were at it
    assert expected == contents(publish_run(trained_home, plan.run_dir, config).path)
    assert [] == objects()
    with pytest.raises(StoreError, match="no such run; it has been published"):
        score_shard(plan.location, 1)
    files.write(late, rows)  # it was at it already, and comes in after publishing
    assert 4 == len(objects())
    open_place(at).put("run_id=of-another-home/shard=00000/ledger.json", b"{}")
    assert expected == contents(score(trained_home, config).path)
    assert ["shards/some/prefix/run_id=of-another-home/shard=00000/ledger.json"] == objects()


KILLED = """
import os, signal, sys
from deeprec import places
from deeprec.scoring.score import score_shard
put, left = places.ObjectPlace.put, int(sys.argv[2])
def die_before_an_object(*arguments):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    put(*arguments)
places.ObjectPlace.put = die_before_an_object
score_shard(sys.argv[1], 0)
"""


def test_a_worker_killed_before_its_ledger_leaves_a_shard_that_is_not_scored(
    trained_home: Home, tiny_config: Config, at: str, expected: list[Any], tmp_path: Path
) -> None:
    config = with_score(tiny_config, at)
    plan = prepare_run(trained_home, config)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, plan.location, "3"],
        env=os.environ | {"TMPDIR": str(tmp_path)},  # it leaves its copy of the bundle there
        check=False,
    )
    assert -signal.SIGKILL == killed.returncode
    assert 3 == len(run_place(plan).names("shard=00000"))
    assert shard_files(plan).entry(0) is None
    assert expected == contents(score(trained_home, config).path)
    assert [] == objects()


def test_a_place_that_is_away_when_it_is_cleared_fails_nothing(
    away: str, caplog: pytest.LogCaptureFixture, server: Server
) -> None:
    del server
    with use_environment(AWS_ENDPOINT_URL=away):
        clear_runs(open_place(AT), ["ended"])
    assert "put there is left over: s3://shards/some/prefix: the store does not" in caplog.text


def test_a_run_of_other_inputs_or_another_place_clears_the_one_before(
    trained_home: Home, tiny_config: Config, at: str, tmp_path: Path
) -> None:
    first = prepare_run(trained_home, with_score(tiny_config, at))
    second = prepare_run(trained_home, with_score(tiny_config, at, top_n=3))
    assert [f"run_id={second.run_id}"] == open_place(at).names()
    third = prepare_run(trained_home, with_score(tiny_config, str(tmp_path / "at"), top_n=3))
    assert [] == open_place(at).names()
    assert [f"run_id={third.run_id}"] == open_place(str(tmp_path / "at")).names()
    assert 3 == len({first.run_id, second.run_id, third.run_id})


def test_a_run_goes_on_with_the_rest_once_the_server_is_back(
    trained_home: Home,
    tiny_config: Config,
    expected: list[Any],
    server: Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.tell("recorder/reset-recording")
    places.open_store().mkdir("remembered")
    config = with_score(tiny_config, "s3://remembered/prefix")
    plan = prepare_run(trained_home, config)
    score_shard(plan.location, 3)
    server.kill()
    with pytest.raises(UnreachableError, match=rf"{plan.location}.*the store does not answer"):
        score_shard(plan.location, 2)
    with pytest.raises(UnreachableError, match="what is done is kept"):
        score(trained_home, config)
    assert not trained_home.predictions.exists()
    server.start()
    skipped: list[bool] = []

    def score_shards(plan: ScoringPlan, progress: object) -> None:
        del progress
        skipped.extend(
            score_shard(plan.location, shard).skipped for shard in range(plan.num_shards)
        )

    report = score(trained_home, config, score_shards=score_shards)
    places.open_store().mkdir("shards")
    assert plan.run_id == report.run_id
    assert [False, False, False, True, False] == skipped
    assert expected == contents(report.path)
    assert "" == caplog.text


def test_a_view_over_a_store_that_is_away_is_said_in_a_sentence(
    trained_home: Home, tiny_config: Config, at: str, away: str
) -> None:
    report = score(trained_home, with_score(tiny_config, at, publish="view"))
    with (
        use_environment(AWS_ENDPOINT_URL=away),
        open_database(report.path, read_only=True) as file,
        pytest.raises(WarehouseError, match=r"could not read the store .* EndpointConnection"),
    ):
        file.row("scores/rows/totals")


def test_no_secret_is_ever_written_down(
    trained_home: Home,
    tiny_config: Config,
    at: str,
    away: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "deeprec")
    caplog.set_level(logging.INFO)
    config = with_score(tiny_config, at)
    plan = scored_run(trained_home, config)
    told = [places.open_store().cat_file(name) for name in objects()]
    told += [file.read_bytes() for file in trained_home.path.rglob("*") if file.is_file()]
    publish_run(trained_home, plan.run_dir, config)
    told += [file.read_bytes() for file in trained_home.path.rglob("*") if file.is_file()]
    settings = ("--set", "score.shards=parquet", "--set", f"score.shards_at={at}")
    failed = subprocess.run(
        [*CLI, "score", "--home", str(trained_home.path), *settings],
        env=os.environ | {"AWS_ENDPOINT_URL": away},
        capture_output=True,
        check=False,
    )
    assert 1 == failed.returncode
    assert b"the store does not answer" in failed.stdout + failed.stderr
    told += [caplog.text.encode(), failed.stdout, failed.stderr]
    assert any(b"run_id" in content for content in told)
    for secret in (SECRET, TOKEN):
        assert not any(secret.encode() in content for content in told)


def test_a_bucket_that_is_not_there_is_told_before_anything_is_done(
    trained_home: Home, tiny_config: Config, server: Server
) -> None:
    del server
    config = with_score(tiny_config, "s3://no-such-bucket/prefix")
    with pytest.raises(StoreError, match="s3://no-such-bucket: no such bucket; make it"):
        score(trained_home, config)
    assert not trained_home.runs.exists()


def test_credentials_that_may_not_are_told_in_a_sentence(server: Server, at: str) -> None:
    server.tell("reset-auth", "0")  # from now on it asks who somebody is
    try:
        for ask in (open_place(at).prepare, open_place(at).names, open_place(at).clear):
            with pytest.raises(StoreError, match=f"{at.rpartition('/some')[0]}.* does not let"):
                ask()
        with pytest.raises(StoreError, match=f"{at}/name: the store does not let"):
            open_place(at).put("name", b"")
    finally:
        server.tell("reset-auth", "inf")


def test_no_credentials_are_told_in_a_sentence(server: Server, tmp_path: Path) -> None:
    del server
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    with (
        use_environment(HOME=str(tmp_path), **dict.fromkeys(names)),
        pytest.raises(StoreError, match="s3://shards: there are no credentials here; set AWS_"),
    ):
        open_place(AT).prepare()


def test_an_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with use_environment(), pytest.raises(ConfigError, match=r"pip install 'deeprec\[s3\]'"):
        open_place(AT).prepare()


def test_a_password_in_an_endpoint_is_refused_and_not_repeated() -> None:
    with (
        use_environment(AWS_ENDPOINT_URL=f"http://somebody:{SECRET}@127.0.0.1:1"),
        pytest.raises(ConfigError, match="AWS_ENDPOINT_URL: holds a user or") as refused,
    ):
        open_place(AT).prepare()
    assert SECRET not in str(refused.value)
