"""Clusters that run already, on hosts of their own, some of which are lost in mid run.

Hosts are network namespaces that reach each other by a bridge in the first one's; the machine's own
network is left alone.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest

from deeprec.home import Home

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.timeout(400)]

PROJECT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("cluster_program.py")
HUB, STEADY, CUT_OFF, STOPPED = range(4)  # the flow, its server and the scheduler are at the hub
SCHEDULER = "tcp://10.213.0.1:8786"
API = "http://10.213.0.1:4200/api"
NUM_SHARDS = 100  # of one user each
SETTINGS = ("score.shard_cells=14",)
Contents = Callable[[Path], list[list[tuple[Any, ...]]]]
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests" / "flows")]),
    "OMP_NUM_THREADS": "1",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "of-this-test-alone-0123456789abcdef",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "11s",  # the least that Dask takes
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "15s",
}
NIGHT_ON_THREADS = """
import sys
from pathlib import Path
from cluster_program import SETTINGS, write_ratings
from deeprec.config.loading import load_config
from deeprec.home import Home
from deeprec.nights.nightly import run_night
folder = Path(sys.argv[1])
write_ratings(folder / "drop")
config = load_config(None, (*SETTINGS, *sys.argv[2:]))
run_night(Home(folder / "home"), [str(folder / "drop")], config)
"""
SCORE_ON_DASK = """
import sys
from pathlib import Path
from cluster_program import score
from deeprec.home import Home
score(Home(Path(sys.argv[1])), "dask", *sys.argv[2:])
"""


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Hosts:
    """Hosts by number; number N has the address 10.213.0.(N + 1)."""

    folder: Path
    environment: dict[str, str] = field(default_factory=ENVIRONMENT.copy)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def name(self, number: int) -> str:
        return f"deeprec-{os.getpid()}-{number}"

    def build(self, num_hosts: int) -> None:
        for number in range(num_hosts):
            ip("netns", "add", self.name(number))
            self.at(number, "link", "set", "lo", "up")
        self.at(HUB, "link", "add", "bridge", "type", "bridge")
        self.at(HUB, "addr", "add", "10.213.0.1/24", "dev", "bridge")
        self.at(HUB, "link", "set", "bridge", "up")
        for number in range(1, num_hosts):
            peer = ("peer", "name", "eth0", "netns", self.name(number))
            self.at(HUB, "link", "add", f"port{number}", "type", "veth", *peer)
            self.at(HUB, "link", "set", f"port{number}", "master", "bridge", "up")
            self.at(number, "addr", "add", f"10.213.0.{number + 1}/24", "dev", "eth0")
            self.at(number, "link", "set", "eth0", "up")

    def at(self, number: int, *arguments: str) -> None:
        ip("-netns", self.name(number), *arguments)

    def begin(self, number: int, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A Python process on a host, with a log and a Prefect home of its own."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.name(number), sys.executable, *arguments],
                env=os.environ | self.environment | {"PREFECT_HOME": str(self.folder / name)},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.processes[name]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def signal(self, number: int, what: signal.Signals) -> None:
        """Signal all processes of a host, which are those that this test has begun there."""
        for pid in ip("netns", "pids", self.name(number)).split():
            os.kill(int(pid), what)

    def remove(self) -> None:
        for made in Path("/run/netns").glob(self.name(0).removesuffix("0") + "*"):
            self.signal(int(made.name.rsplit("-", 1)[1]), signal.SIGKILL)
            ip("netns", "delete", made.name)
        for process in self.processes.values():
            process.wait()


@pytest.fixture
def hosts(tmp_path: Path, migrated: Path) -> Iterator[Hosts]:
    """Hosts that are yet to be built; they and what runs on them end with the test."""
    if not sys.platform.startswith("linux") or os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need Linux, root and the command `ip`")
    made = Hosts(tmp_path)
    shutil.copytree(migrated, tmp_path / "server")
    try:
        yield made
    finally:
        made.remove()


def build(hosts: Hosts, num_hosts: int) -> None:
    """Build them, or skip where namespaces are forbidden, as in many containers."""
    try:
        hosts.build(num_hosts)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr}")


def require(package: str, extra: str) -> None:
    if not importlib.util.find_spec(package):
        pytest.skip(f"{package} is not installed: pip install 'deeprec[{extra}]'")


def begin_dask(hosts: Hosts, workers: tuple[int, ...], api: str = API) -> None:
    """A Prefect server and a scheduler at the hub, a worker at some other hosts."""
    hosts.environment["PREFECT_API_URL"] = api
    at = str(urlsplit(api).hostname)
    hosts.begin(HUB, "server", "-m", "prefect", "server", "start", "--host", at)
    hosts.begin(HUB, "scheduler", "-m", "dask", "scheduler", "--no-dashboard")
    for number in workers:
        told = ("--nthreads", "1", "--no-dashboard", "--local-directory", f"scratch{number}")
        hosts.begin(number, f"worker{number}", "-m", "dask", "worker", SCHEDULER, *told)


def wait_until(is_so: Callable[[], bool], what: str, within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def snapshot(home: Home) -> dict[str, str]:
    """Every file of a home, with what is in it."""
    return {
        str(path.relative_to(home.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.path.rglob("*")
        if path.is_file()
    }


def score_on_threads(hosts: Hosts) -> tuple[Home, Path]:
    """A home of which nothing is published any more, and what was."""
    folder = hosts.folder
    night = [sys.executable, "-c", NIGHT_ON_THREADS, str(folder), *SETTINGS]
    subprocess.run(night, env=os.environ | hosts.environment, check=True, capture_output=True)
    home = Home(folder / "home")
    return home, home.predictions.rename(folder / "threads.duckdb")


def begin_flow(hosts: Hosts, home: Home) -> subprocess.Popen[bytes]:
    told = (*SETTINGS, f"score.runner_address={SCHEDULER}")
    return hosts.begin(HUB, "flow", "-c", SCORE_ON_DASK, str(home.path), *told)


def test_workers_that_cannot_reach_the_server_of_prefect_score_all_the_same(
    hosts: Hosts, contents: Contents
) -> None:
    require("prefect_dask", "dask")
    build(hosts, 2)
    begin_dask(hosts, (STEADY,), "http://127.0.0.1:4200/api")
    home, expected = score_on_threads(hosts)
    wait_until(lambda: "dashboard" in hosts.log("server"), "the server did not start")
    flow = begin_flow(hosts, home)
    assert 0 == flow.wait(timeout=200), hosts.log("flow")
    assert "Error logging to API" in hosts.log(f"worker{STEADY}")
    assert contents(expected) == contents(home.predictions)


def test_a_run_ends_whole_that_loses_hosts_and_finds_them_again(
    hosts: Hosts, contents: Contents
) -> None:
    require("prefect_dask", "dask")
    build(hosts, 4)
    begin_dask(hosts, (STEADY, CUT_OFF, STOPPED))
    home, expected = score_on_threads(hosts)
    wait_until(lambda: "dashboard" in hosts.log("server"), "the server did not start")

    def num_scored() -> int:
        return len(list(home.shards.glob("run_id=*/shard=*/ledger.json")))

    flow = begin_flow(hosts, home)
    wait_until(lambda: num_scored() >= 10 or flow.poll() is not None, "no shard was scored")
    hosts.at(HUB, "link", "set", f"port{CUT_OFF}", "down")
    hosts.signal(STOPPED, signal.SIGSTOP)
    assert 10 <= num_scored() < NUM_SHARDS
    wait_until(lambda: flow.poll() is not None, "the flow did not end")
    assert 0 == flow.returncode, hosts.log("flow")

    said = hosts.log("scheduler")
    for host, joined, lost in ((STEADY, 1, 0), (CUT_OFF, 1, 1), (STOPPED, 1, 1)):
        address = f"worker addr: tcp://10.213.0.{host + 1}:"
        assert joined == said.count(f"Register {address}")
        assert lost == said.count(f"Remove {address}")
    found = contents(home.predictions)
    assert list(range(NUM_SHARDS)) == [row[0] for row in found[-1]]
    assert contents(expected) == found

    published = snapshot(home)
    hosts.at(HUB, "link", "set", f"port{CUT_OFF}", "up")
    hosts.signal(STOPPED, signal.SIGCONT)
    given_up = [hosts.processes[f"worker{number}"] for number in (CUT_OFF, STOPPED)]
    wait_until(lambda: all(each.poll() is not None for each in given_up), "workers did not end")
    assert published == snapshot(home)
    assert [] == [*home.runs.glob("*"), *home.shards.glob("*")]


def test_a_ray_cluster_that_runs_already_publishes_what_threads_do(
    hosts: Hosts, contents: Contents, tmp_path: Path
) -> None:
    require("prefect_ray", "ray")
    build(hosts, 1)  # with no other network Ray keeps to loopback
    with TemporaryDirectory(prefix="ray") as folder:  # sockets' paths must be short
        told = (
            f"start --head --block --port 6379 --ray-client-server-port 10001 --num-cpus 2 "
            f"--temp-dir {folder} --include-dashboard false --disable-usage-stats"
        )
        ray = str(Path(sys.executable).with_name("ray"))
        hosts.begin(HUB, "head", ray, *told.split())
        ways = ("as_driver=127.0.0.1:6379", "as_client=ray://127.0.0.1:10001")
        flow = hosts.begin(HUB, "flow", str(PROGRAM), str(tmp_path), "threads", *ways)
        assert 0 == flow.wait(timeout=280), hosts.log("flow")
        hosts.remove()
    expected = contents(tmp_path / "threads.duckdb")
    assert expected == contents(tmp_path / "as_driver.duckdb")
    assert expected == contents(tmp_path / "as_client.duckdb")
    assert 2 == hosts.log("flow").count('"left": []}')
