"""When a night's parts are done on a cluster: discrete events, from what each part costs.

Steps before and after scoring are done by one process. Workers score shards: each opens the run's
file to see what is in it, computes, and commits; the file is one worker's at a time, and who finds
it taken tries again after a moment. Workers die at a rate: one that dies comes back after a while,
and what it was at is begun anew (training, which in truth resumes, too). Some shards, and some
steps, straggle.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Seconds = npt.NDArray[np.float64]

_SECONDS_AN_HOUR = 3600
_TRY_AGAIN_S = 0.05  # what `filelock` waits before it looks again whether a lock is free
_INSTANT = 1e-9  # seconds that rounding may leave of a phase


class Costs(BaseModel):
    """Seconds of each part of a night; of computing, those of one core."""

    model_config = ConfigDict(frozen=True)

    steps_s: tuple[float, ...]  # before scoring: ingest, materialize, train
    prepare_s: float
    publish_s: float
    start_s: float  # of a worker: Python, imports, the model
    open_s: float  # of a shard, with the run's file held
    compute_s: float
    commit_s: float  # with the run's file held

    def __str__(self) -> str:
        return (
            "| prepare, s | publish, s | start, s | open, s | compute, s | commit, s |\n"
            "|---:|---:|---:|---:|---:|---:|\n"
            f"| {self.prepare_s:.2f} | {self.publish_s:.2f} | {self.start_s:.2f} "
            f"| {self.open_s:.3f} | {self.compute_s:.3f} | {self.commit_s:.3f} |"
        )


class Cluster(BaseModel):
    """Who works, and what goes wrong."""

    model_config = ConfigDict(frozen=True)

    num_workers: int
    num_cores: int  # shared by all workers; no worker uses more than one
    deaths_an_hour: float = 0.0  # of each worker
    restart_s: float = 0.0  # until the place of a dead worker is taken
    straggling: float = 0.0  # share of shards and steps
    slowdown: float = 1.0  # times as long as others


@dataclass
class _Phase:
    """A stretch of a worker's time; `left` counts a core's seconds where it computes or commits."""

    kind: Literal["away", "waiting", "alone", "file"]
    left: float


@dataclass
class _Worker:
    """What a worker has still to do before it can take a shard, or of the shard it has."""

    dies_in: float
    phases: deque[_Phase] = field(default_factory=deque)
    has_shard: bool = False

    @property
    def at(self) -> str:
        """The kind of its phase; it may have none."""
        return self.phases[0].kind if self.phases else "idle"


class _Scoring:
    """The scoring of a night under way, from one event to the next."""

    def __init__(
        self, costs: Costs, cluster: Cluster, num_shards: int, rng: np.random.Generator
    ) -> None:
        self._costs, self._cluster, self._rng = costs, cluster, rng
        self._num_waiting = self._num_missing = num_shards
        self._holder: _Worker | None = None  # of the file
        self._workers = [
            _Worker(_life(cluster, rng), deque([_Phase("alone", costs.start_s)]))
            for _ in range(cluster.num_workers)
        ]

    def seconds(self) -> float:
        """Until the last shard is in."""
        clock = 0.0
        while self._num_missing:
            clock += self._advance()
        return clock

    def _advance(self) -> float:
        """Go on to the next event; the seconds until then."""
        for worker in self._workers:
            self._give_shard(worker)
            self._try_file(worker)
        working = [worker for worker in self._workers if worker.at in {"alone", "file"}]
        resting = [worker for worker in self._workers if worker.at in {"away", "waiting"}]
        alive = [worker for worker in self._workers if worker.at != "away"]
        speed = min(1.0, self._cluster.num_cores / max(len(working), 1))
        step = min(
            [worker.phases[0].left / speed for worker in working]
            + [worker.phases[0].left for worker in resting]
            + [worker.dies_in for worker in alive]
        )
        for worker in working:
            worker.phases[0].left -= step * speed
        for worker in resting:
            worker.phases[0].left -= step
        for worker in alive:
            worker.dies_in -= step
        for worker in self._workers:
            self._settle(worker)
        return step

    def _give_shard(self, worker: _Worker) -> None:
        """Let a worker that has nothing to do take a shard, if one is left."""
        if not worker.phases and self._num_waiting:
            self._num_waiting -= 1
            worker.has_shard = True
            costs, slow = self._costs, _slowdown(self._cluster, self._rng)
            worker.phases += [
                _Phase("file", slow * costs.open_s),
                _Phase("alone", slow * costs.compute_s),
                _Phase("file", slow * costs.commit_s),
            ]

    def _try_file(self, worker: _Worker) -> None:
        """Let a worker that wants the file have it, or wait a moment."""
        if worker.at == "file" and self._holder is None:
            self._holder = worker
        elif worker.at == "file" and self._holder is not worker:
            worker.phases.appendleft(_Phase("waiting", _TRY_AGAIN_S))

    def _settle(self, worker: _Worker) -> None:
        """Note a death or the end of a phase."""
        if worker.at != "away" and worker.dies_in <= _INSTANT:
            self._free_file(worker)
            self._num_waiting += worker.has_shard
            worker.has_shard = False
            worker.phases = deque(
                [
                    _Phase("away", self._cluster.restart_s),
                    _Phase("alone", self._costs.start_s),
                ]
            )
        elif worker.phases and worker.phases[0].left <= _INSTANT:
            ended = worker.phases.popleft().kind
            if ended == "file":
                self._free_file(worker)
            elif ended == "away":
                worker.dies_in = _life(self._cluster, self._rng)
            if worker.has_shard and not worker.phases:
                worker.has_shard = False
                self._num_missing -= 1

    def _free_file(self, worker: _Worker) -> None:
        if self._holder is worker:
            self._holder = None


def _life(cluster: Cluster, rng: np.random.Generator) -> float:
    """Seconds that a worker lives, drawn without memory."""
    if not cluster.deaths_an_hour:
        return float("inf")
    return float(rng.exponential(_SECONDS_AN_HOUR / cluster.deaths_an_hour))


def _slowdown(cluster: Cluster, rng: np.random.Generator) -> float:
    return cluster.slowdown if rng.random() < cluster.straggling else 1.0


def _step_seconds(costs: Costs, cluster: Cluster, step_s: float, rng: np.random.Generator) -> float:
    """Seconds of a step that one process does, and begins anew where it dies."""
    wanted, clock = step_s * _slowdown(cluster, rng), 0.0
    while (lived := _life(cluster, rng)) < wanted:
        clock += lived + cluster.restart_s
        wanted = step_s * _slowdown(cluster, rng) + costs.start_s
    return clock + wanted


def night_seconds(
    costs: Costs, cluster: Cluster, num_shards: int, rng: np.random.Generator
) -> float:
    """Seconds from the first file to publication, of one night."""
    step_seconds = partial(_step_seconds, costs, cluster, rng=rng)
    before = sum(step_seconds(step_s) for step_s in (*costs.steps_s, costs.prepare_s))
    scoring = _Scoring(costs, cluster, num_shards, rng).seconds()
    return before + scoring + step_seconds(costs.publish_s)


def simulate_nights(
    costs: Costs, cluster: Cluster, num_shards: int, num_nights: int = 1, seed: int = 0
) -> Seconds:
    """Seconds of each of so many nights.

    Args:
        costs: of the parts.
        cluster: who works, and what goes wrong.
        num_shards: to be scored.
        num_nights: to draw.
        seed: of deaths and stragglers.
    """
    rng = np.random.default_rng([seed, cluster.num_workers])
    return np.array([night_seconds(costs, cluster, num_shards, rng) for _ in range(num_nights)])
