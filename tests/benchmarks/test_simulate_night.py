"""Simulated nights: those that a pencil can check, and those that must follow from others."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.simulate_night import MeasuredRun, ShardTimes
from benchmarks.simulation import Cluster, Costs, simulate_nights

ROOT = Path(__file__).parents[2]
COSTS = Costs(
    steps_s=(10, 20), prepare_s=3, publish_s=4, start_s=1, open_s=1, compute_s=6, commit_s=2
)
A_MOMENT = 2.0  # of tries for a file that all want at the same instant; a round takes 6 s
FREE_FILE = COSTS.model_copy(update={"open_s": 0, "commit_s": 0})
BAD_LUCK = {"deaths_an_hour": 20.0, "restart_s": 30.0, "straggling": 0.1, "slowdown": 4.0}


def cluster(num_workers: int, **more: float) -> Cluster:
    return Cluster.model_validate({"num_workers": num_workers, "num_cores": num_workers} | more)


def seconds(costs: Costs, workers: Cluster, num_shards: int) -> float:
    (night,) = simulate_nights(costs, workers, num_shards)
    return float(night)


def test_one_worker_does_everything_in_turn() -> None:
    assert 10 + 20 + 3 + (1 + 4 * 9) + 4 == pytest.approx(seconds(COSTS, cluster(1), 4))


def test_workers_that_never_meet_at_the_file_share_the_shards() -> None:
    for num_workers, rounds in ((2, 6), (3, 4), (4, 3), (12, 1), (20, 1)):
        expected = 37 + 1 + rounds * 6
        found = seconds(FREE_FILE, cluster(num_workers), 12)
        assert expected == pytest.approx(found, abs=A_MOMENT)


def test_workers_beyond_the_cores_only_have_more_to_start() -> None:
    found = seconds(FREE_FILE, cluster(2, num_cores=2), 12)
    assert 37 + (1 + 36) == pytest.approx(found, abs=A_MOMENT)
    found = seconds(FREE_FILE, cluster(4, num_cores=2), 12)
    assert 37 + (2 + 36) == pytest.approx(found, abs=A_MOMENT)


def test_the_file_bounds_what_workers_can_bring() -> None:
    many = seconds(COSTS, cluster(50), 100)
    assert 37 + 1 + 100 * (1 + 2) <= many < seconds(COSTS, cluster(2), 100)


def test_a_second_worker_finds_the_file_taken_and_looks_again() -> None:
    # It opens after 1 s of the other's and, with 2 s of commit, one 0.05 s late at most each time.
    alone = seconds(COSTS, cluster(1), 1)
    assert alone + 1 <= seconds(COSTS, cluster(2), 2) <= alone + 1 + 1 + 2 * 0.05 + 1e-6


def test_a_seed_decides_everything() -> None:
    unlucky = cluster(3, **BAD_LUCK)
    first, again, other = (simulate_nights(COSTS, unlucky, 9, 20, seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize(
    "luck",
    [
        {"deaths_an_hour": 20.0, "restart_s": 30.0},
        {"straggling": 0.1, "slowdown": 4.0},
    ],
)
def test_bad_luck_costs_time_and_more_of_it_more(luck: dict[str, float]) -> None:
    lucky = seconds(COSTS, cluster(3), 9)
    unlucky = simulate_nights(COSTS, cluster(3, **luck), 9, 300)
    frequent = {name: value * 2 for name, value in luck.items()}
    assert lucky == pytest.approx(unlucky.min())
    assert lucky < unlucky.mean() < simulate_nights(COSTS, cluster(3, **frequent), 9, 300).mean()


def test_everything_straggles_where_all_of_it_does() -> None:
    slow = cluster(1, straggling=1.0, slowdown=3.0)
    assert 3 * 37 + 1 + 3 * 4 * 9 == pytest.approx(seconds(COSTS, slow, 4))


def test_unit_costs_are_read_off_a_run_of_one_worker() -> None:
    # Started at 100, opens its model for 5 s in the first shard; each opens for 1 s twice,
    # computes for 6 and commits for 2.
    shards = [
        ShardTimes(shard=0, began=102, ended=102 + 15),
        *(ShardTimes(shard=n, began=107 + 10 * n, ended=117 + 10 * n) for n in (1, 2, 3)),
    ]
    run = MeasuredRun(
        num_workers=1,
        prepare_s=3,
        workers_began=100,
        shards=tuple(shards),
        committing={0: 102 + 5 + 8, 1: 117 + 8, 2: 127 + 8, 3: 137 + 8},
        open_s=1,
        publish_s=4,
    )
    costs = run.costs()
    assert (2 + 5, 1, 6, 3) == (costs.start_s, costs.open_s, costs.compute_s, costs.commit_s)
    assert pytest.approx(run.seconds) == seconds(costs, cluster(1), 4) == 3 + 47 + 4


def test_the_command_prints_a_row_for_each_number_of_workers() -> None:
    command = [sys.executable, "-m", "benchmarks.simulate_night", "--nights=20", "--workers=1,4"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[-2:]]
    assert ["1", "4"] == [row[0] for row in rows]
    for _, _, *percentiles in rows:
        assert sorted(percentiles, key=float) == percentiles


@pytest.mark.long
def test_the_command_holds_what_is_simulated_against_what_is_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.simulate_night", "--measure", str(tmp_path / "h")]
    done = subprocess.run(
        [*command, "--size=300,60,3000"], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert 0 == done.returncode, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[-3:]]
    assert ["1", "2", "4"] == [row[0] for row in rows]
    assert pytest.approx(float(rows[0][-1]), abs=0.05) == 1  # the run that the costs are of
