"""How systems are compared: settings chosen on dev, test ratings met once, for the final figure.

Shape legend: U users, M movies, R held-out ratings.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from benchmarks.peers import Peer, Predict, Settings
from benchmarks.peers.adapter import triples
from deeprec.metrics.accuracy import Errors
from deeprec.ratings import RatingMatrix, RatingScale
from deeprec.splits import Part
from deeprec.vectors.materialize import SplitRatings

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Parts:
    """A split, the same rows for everybody; `final` is what the last fit before test sees."""

    train: RatingMatrix
    dev: RatingMatrix
    final: RatingMatrix
    test: RatingMatrix
    scale: RatingScale

    @classmethod
    def of(cls, ratings: SplitRatings, scale: RatingScale, *, peers_see_dev: bool) -> "Parts":
        """The parts of a split; peers who see dev are fitted to train and dev at the end."""
        seen = [Part.TRAIN, Part.DEV] if peers_see_dev else [Part.TRAIN]
        return cls(
            train=ratings.part(Part.TRAIN),
            dev=ratings.part(Part.DEV),
            final=ratings.part(*seen),
            test=ratings.part(Part.TEST),
            scale=scale,
        )

    @property
    def peers_see_dev(self) -> bool:
        """Whether the last fit sees more than the first."""
        return self.final.num_ratings > self.train.num_ratings


@dataclass(frozen=True)
class Candidates:
    """One system in the settings that it may be run with; the first are the documented ones."""

    system: str
    package: str
    build: Callable[[Settings, int], Peer]
    settings: tuple[Settings, ...]


@dataclass(frozen=True)
class Seconds:
    """How long something took: on the clock, and of all cores' time."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Measured:
    """Errors over held-out ratings, how many the fallback answered, how long predicting took."""

    errors: Errors
    num_fallback: int
    seconds: Seconds


@dataclass(frozen=True)
class Fitted:
    """A system that was fitted to train, and what it is worth on dev."""

    settings: Settings
    peer: Peer
    predict: Predict
    fit: Seconds
    dev: Measured


@dataclass(frozen=True)
class Run:
    """One seed's figures, and the time its last fit took."""

    dev: Measured
    test: Measured
    fit: Seconds


@dataclass(frozen=True)
class Comparison:
    """What every system is measured by.

    `fallback` answers where a system does not and either user or movie had no rating to learn from.
    """

    parts: Parts
    seeds: tuple[int, ...]
    fallback: Peer

    def choose(self, candidates: Candidates) -> Fitted:
        """The one with the lowest dev error; the first where there is nothing to choose by."""
        seed, given = self.seeds[0], candidates.settings
        if not self.parts.dev.num_ratings:
            return self.fit(candidates, given[0], seed)
        fitted = (self.fit(candidates, settings, seed) for settings in given)
        return min(fitted, key=lambda each: each.dev.errors.rmse)

    def fit(self, candidates: Candidates, settings: Settings, seed: int) -> Fitted:
        """Fit to train, measure on dev."""
        peer = candidates.build(settings, seed)
        predict, seconds = timed(lambda: peer.fit(self.parts.train))
        dev = self.measure(predict, self.parts.train, self.parts.dev)
        return Fitted(settings, peer, predict, seconds, dev)

    def finish(self, fitted: Fitted) -> Run:
        """Fit again where dev may be seen, and measure on test."""
        predict, seconds = fitted.predict, fitted.fit
        if self.parts.peers_see_dev:
            predict, seconds = timed(lambda: fitted.peer.fit(self.parts.final))
        return Run(fitted.dev, self.measure(predict, self.parts.final, self.parts.test), seconds)

    def measure(self, predict: Predict, fitted: RatingMatrix, held_out: RatingMatrix) -> Measured:
        """Errors of predictions clipped to the scale.

        Raises:
            MetricError: a prediction is missing that the fallback may not give.
        """
        user_R, movie_R, rating_R = triples(held_out)
        predicted_R, seconds = timed(lambda: predict(user_R, movie_R))
        is_new_U = np.diff(fitted.values_UM.indptr) == 0
        is_new_M = np.bincount(fitted.values_UM.indices, minlength=fitted.num_movies) == 0
        unknown_R = np.isnan(predicted_R) & (is_new_U[user_R] | is_new_M[movie_R])
        if unknown_R.any():
            answer = self.fallback.fit(fitted)
            predicted_R[unknown_R] = answer(user_R[unknown_R], movie_R[unknown_R])
        scale = self.parts.scale
        clipped_R = np.clip(predicted_R, scale.minimum, scale.maximum)
        return Measured(Errors.of(rating_R, clipped_R), int(unknown_R.sum()), seconds)


def timed(work: Callable[[], _Result]) -> tuple[_Result, Seconds]:
    """What the work comes to, and how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, Seconds(time.perf_counter() - wall, time.process_time() - cpu)
