"""A night: what arrived is taken in, checked, learned from, scored; what is worse is kept out.

Each step is skipped when its inputs did not change, and says so. A night that was killed is simply
run again: every step takes up what was interrupted. A step that fails ends the night; what is
published stays.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config
from deeprec.errors import BundleError, DeeprecError, SplitError
from deeprec.home import Home
from deeprec.ingestion.ingest import IngestReport, ingest
from deeprec.models.bundles import open_bundle
from deeprec.models.registry import (
    ModelStatus,
    find_champion,
    find_status,
    find_unjudged,
    make_champion,
    record_status,
)
from deeprec.nights.challenge import ChallengeReport, challenge, why_unfit
from deeprec.pages.night import write_night_page
from deeprec.progress import Progress, silent
from deeprec.scoring.runs import is_published
from deeprec.scoring.score import ScoreShards, score, score_on_threads
from deeprec.scoring.vetting import check_drift, largest_drift
from deeprec.vectors.materialize import data_digest, is_made_of, materialize, record_made
from deeprec.warehouse.checks import CheckResult, check_ratings, record_checks, require_healthy
from deeprec.warehouse.database import Database
from deeprec.warehouse.drift import profile_ratings
from deeprec.warehouse.live import measure_arrivals
from deeprec.warehouse.night_ledger import NightStep, Outcome, begin_night, end_night, record_step
from deeprec.warehouse.opening import open_warehouse

_SECONDS_A_DAY = 86_400
_BY = "nightly"
_CHECKS = "checks"  # made of the ratings that went through them last

Said = tuple[Outcome, str]
Perform = Callable[[str, Callable[[], Said]], Said]


class NightReport(BaseModel):
    """What a night did, step by step, and where its page is."""

    model_config = ConfigDict(frozen=True)

    night_id: str
    night_of: date
    status: Outcome
    page: Path
    steps: tuple[NightStep, ...]


class NightFailedError(DeeprecError):
    """A step of a night failed; what was published before stays."""

    def __init__(self, step: str, error: DeeprecError, report: NightReport) -> None:
        super().__init__(f"the night failed at {step}: {error}")
        self.report = report


def perform_at_once(step: str, work: Callable[[], Said]) -> Said:
    """Do a step here and now."""
    del step
    return work()


def run_night(
    home: Home,
    sources: Sequence[str],
    config: Config,
    progress: Progress = silent,
    *,
    night_of: date | None = None,
    perform: Perform = perform_at_once,
    score_shards: ScoreShards = score_on_threads,
) -> NightReport:
    """Take in what arrived in some folders, and do all that follows from it.

    Args:
        home: one night at a time; another that is started meanwhile waits, then finds it done.
        sources: drop folders, whose files are the ratings: one that is gone takes its along.
        config: of the whole night.
        progress: told by each step of its own.
        night_of: the day that live errors are entered under; today's, in UTC.
        perform: how a step is done, as by a Prefect task.
        score_shards: scores every shard, here or on other machines.

    Raises:
        NightFailedError: a step failed; the report says which, and what was done before.
        WarehouseError: another night holds the home for too long.
    """
    with home.lock("night", config.warehouse.lock_timeout_s):
        day = night_of or datetime.now(UTC).date()
        night = _Night(home, tuple(sources), config, progress, day, score_shards)
        return night.run(perform)


@dataclass
class _Night:
    """A night under way."""

    home: Home
    sources: tuple[str, ...]
    config: Config
    progress: Progress
    night_of: date
    score_shards: ScoreShards
    night_id: str = ""
    steps: list[NightStep] = field(default_factory=list)
    reason_to_train: str = ""
    trained: str = ""

    def run(self, perform: Perform) -> NightReport:
        """All steps, up to the first that fails."""
        with self._warehouse() as warehouse:
            self.night_id = begin_night(warehouse, self.night_of)
        work = {
            "take in": self._take_in,
            "check": self._check,
            "refresh": self._refresh,
            "measure": self._measure,
            "decide": self._decide,
            "train": self._train,
            "challenge": self._challenge,
            "score": self._score,
        }
        for step, do in work.items():
            started = time.monotonic()
            try:
                outcome, said = perform(step, do)
            except DeeprecError as error:
                self._note(step, Outcome.FAILED, str(error), started)
                raise NightFailedError(step, error, self._end()) from error
            except Exception as error:
                self._note(step, Outcome.FAILED, f"{type(error).__name__}: {error}", started)
                self._end()
                raise
            self._note(step, outcome, said, started)
        return self._end()

    def _note(self, step: str, outcome: Outcome, said: str, started: float) -> None:
        seconds = time.monotonic() - started
        noted = NightStep(step=step, outcome=outcome, said=said, seconds=seconds)
        with self._warehouse() as warehouse:
            record_step(warehouse, self.night_id, len(self.steps), noted)
        self.steps.append(noted)

    def _end(self) -> NightReport:
        with self._warehouse() as warehouse:
            status = end_night(warehouse, self.night_id, self.steps)
        page = write_night_page(self.home, self.config, self.night_id)
        return NightReport(
            night_id=self.night_id,
            night_of=self.night_of,
            status=status,
            page=page,
            steps=tuple(self.steps),
        )

    def _warehouse(self) -> AbstractContextManager[Database]:
        return open_warehouse(self.home, self.config.warehouse)

    def _take_in(self) -> Said:
        """New, changed and gone files; broken ones are held back until they are mended."""
        told = self.config.ingest.model_copy(update={"forget_gone": True, "hold_back": True})
        report = ingest(
            self.home, self.sources, self.config.model_copy(update={"ingest": told}), self.progress
        )
        return _taken_in(report)

    def _check(self) -> Said:
        """Whether the ratings can be used at all, and how far they have drifted."""
        config = self.config.checks
        with self._warehouse() as warehouse:
            digest = data_digest(warehouse)
            if is_made_of(warehouse, _CHECKS, digest):
                return Outcome.SKIPPED, "the ratings are those that were checked last"
            num_ratings, num_before = warehouse.row("vectors/counts")[2:]
            num_arrived = max(0, num_ratings - num_before) if num_before else 0
            warehouse.run("nights/record_arrivals", night_id=self.night_id, num_arrived=num_arrived)
            (since,) = warehouse.row("nights/last_success")
            results = check_ratings(
                warehouse,
                config,
                now=datetime.now(UTC).replace(tzinfo=None),
                since=since,
                night_id=self.night_id,
                num_arrived=num_arrived,
            )
            results += check_drift(warehouse, profile_ratings(warehouse), config)
            record_checks(warehouse, self.night_id, results)
        require_healthy(results, "the ratings")
        with self._warehouse() as warehouse, warehouse.transaction():
            record_made(warehouse, _CHECKS, digest)
        return _checked(results)

    def _refresh(self) -> Said:
        """Vectors and split of the ratings as they are now."""
        report = materialize(self.home, self.config, self.progress)
        if not report.changed:
            return Outcome.SKIPPED, "vectors and split are those of the ratings"
        users = f"{report.num_users_rebuilt:,} of {report.num_users:,} users' vectors built"
        return Outcome.DONE, f"{users}, {report.num_ratings:,} ratings divided"

    def _measure(self) -> Said:
        """What was published, held against the ratings that came since."""
        with self._warehouse() as warehouse:
            (num_arrived,) = warehouse.row("live/num_arrived")
            if not num_arrived:
                return Outcome.SKIPPED, "no rating came that could have been predicted"
            with warehouse.transaction():
                live = measure_arrivals(self.home, warehouse, self.night_of, self.config.warehouse)
        if live.rmse is None:
            return Outcome.DONE, f"{num_arrived:,} ratings came, none of them had been predicted"
        return Outcome.DONE, (
            f"live RMSE {live.rmse:.4f} over {live.num_predicted:,} of {live.num_ratings:,} "
            "ratings that came"
        )

    def _decide(self) -> Said:
        """Whether there is a reason to train."""
        with self._warehouse() as warehouse:
            self.reason_to_train, why_not = self._reason(warehouse)
        if self.reason_to_train:
            return Outcome.DONE, f"train: {self.reason_to_train}"
        return Outcome.DONE, f"do not train: {why_not}"

    def _reason(self, warehouse: Database) -> tuple[str, str]:
        """Why to train, empty where nothing speaks for it; and what speaks against."""
        champion, told = find_champion(warehouse), self.config.nightly
        last = warehouse.rows("models/last_trained")
        if not champion or not last:
            return "there is no champion yet", ""
        if unfit := why_unfit(open_bundle(self.home.models / champion), warehouse):
            return f"the champion cannot score these ratings: {unfit}", ""
        ((_, trained_at),) = last
        age = datetime.now(UTC).replace(tzinfo=None) - trained_at
        days = age.total_seconds() / _SECONDS_A_DAY
        num_ratings, num_new = warehouse.row("nights/num_new_since", moment=trained_at)
        drift = largest_drift(warehouse)
        if days >= told.train_every_days:
            return f"the last training is {days:.1f} days old", ""
        if num_new >= told.train_at_new_fraction * num_ratings:
            return f"{num_new:,} of {num_ratings:,} ratings are new since the last training", ""
        if drift >= told.train_at_psi:
            return f"ratings have drifted by {drift:.2f}", ""
        return "", (
            f"the last training is {days:.1f} of {told.train_every_days:g} days old, "
            f"{num_new / max(num_ratings, 1):.1%} of ratings are new, drift is {drift:.2f}"
        )

    def _train(self) -> Said:
        """A challenger, unless one of an earlier night was never judged."""
        if not self.reason_to_train:
            with self._warehouse() as warehouse:
                self.trained = find_unjudged(warehouse, _BY) or ""
            waiting = f": {self.trained} waits to be judged" if self.trained else ""
            return Outcome.SKIPPED, f"there is no reason to train{waiting}"
        from deeprec.training.train import train  # noqa: PLC0415 - torch takes seconds and much memory

        report = train(self.home, self.config, self.progress, by=_BY)
        with self._warehouse() as warehouse:
            unjudged = find_status(warehouse, report.bundle_id) is ModelStatus.CANDIDATE
        self.trained = report.bundle_id if unjudged else ""
        verb = "trained" if report.changed else "already trained from these inputs:"
        figure = f", {report.dev.verdict}" if report.dev else ""
        return (
            Outcome.DONE if report.changed else Outcome.SKIPPED,
            f"{verb} {report.bundle_id}{figure}",
        )

    def _challenge(self) -> Said:
        """The challenger against the champion."""
        if not self.trained:
            return Outcome.SKIPPED, "there is no challenger that was not judged before"
        try:
            if said := self._judge_by_fitness():
                return said
            report = challenge(self.home, self.trained, self.config, _BY, self.progress)
        except (BundleError, SplitError) as error:
            return Outcome.WARNED, f"{self.trained} waits to be judged: {error}"
        return _challenged(report)

    def _judge_by_fitness(self) -> Said | None:
        """What became of the challenger where one of the two cannot score these ratings."""
        models = self.home.models
        with self._warehouse() as warehouse, warehouse.transaction():
            champion = find_champion(warehouse)
            if champion == self.trained:
                return Outcome.SKIPPED, f"{champion} is champion already"
            if unfit := why_unfit(open_bundle(models / self.trained), warehouse):
                why = f"it cannot score these ratings: {unfit}"
                record_status(warehouse, self.trained, ModelStatus.REJECTED, _BY, why)
                return Outcome.WARNED, f"{self.trained} is rejected: {why}"
            if champion and (unfit := why_unfit(open_bundle(models / champion), warehouse)):
                why = f"the champion before cannot score these ratings: {unfit}"
                make_champion(warehouse, self.trained, _BY, why)
                return Outcome.WARNED, f"{self.trained} is champion: {why}"
        return None

    def _score(self) -> Said:
        """Everybody's predictions by the champion, published unless they are already."""
        with self._warehouse() as warehouse:
            if not self.config.score.bundle and not find_champion(warehouse):
                return Outcome.WARNED, (
                    "there is no champion to score with; mend the configuration, or promote one "
                    "by hand: `deeprec models promote BUNDLE --reason WHY`"
                )
        if is_published(self.home, self.config):
            return Outcome.SKIPPED, "what is published is of these ratings and this champion"
        report = score(self.home, self.config, self.progress, self.score_shards)
        return Outcome.DONE, (
            f"published run {report.run_id}: {report.num_predictions:,} predictions by "
            f"{report.bundle_id}, {report.num_users_scored:,} users scored, "
            f"{report.num_users_carried_over:,} carried over"
        )


def _taken_in(report: IngestReport) -> Said:
    """What became of the sources, in a sentence."""
    held_back = [held for source in report.sources for held in source.held_back]
    passed_over = [path for source in report.sources for path in source.passed_over]
    if not report.changed and not held_back and not passed_over:
        return Outcome.SKIPPED, "no file is new, changed or gone"
    num_new = sum(source.num_files - source.num_files_unchanged for source in report.sources)
    num_gone = sum(source.num_files_gone for source in report.sources)
    num_read = sum(source.rows_read for source in report.sources)
    num_rejected = sum(source.rows_rejected for source in report.sources)
    said = (
        f"{num_new:,} files new or changed, {num_gone:,} gone; "
        f"{num_read:,} rows read, {num_rejected:,} rejected; {report.num_ratings:,} ratings in all"
    )
    if held_back:
        why = "; ".join(held.reason for held in held_back)
        said += f". Held back, mend and they come with the next night: {why}"
    if passed_over:
        others = ", ".join(map(str, passed_over))
        said += f". Not read, by their names; name them as sources, or move them away: {others}"
    return Outcome.WARNED if held_back or passed_over else Outcome.DONE, said


def _checked(results: Sequence[CheckResult]) -> Said:
    warnings = [result for result in results if result.num_rows]
    if not warnings:
        return Outcome.DONE, f"{len(results)} checks, all healthy"
    return Outcome.WARNED, f"{len(results)} checks; " + "; ".join(map(str, warnings))


def _challenged(report: ChallengeReport) -> Said:
    became = "is champion" if report.is_promoted else "is rejected"
    return Outcome.DONE, f"{report.challenger} {became}: {report.reason}"
