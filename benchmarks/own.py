"""deeprec's own row: the bundle that a configuration trains, measured as it was exported.

Shape legend: U users.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.comparison import Seconds, timed
from benchmarks.machine import installed_version
from benchmarks.report import SystemFigures, answered_by_biases
from deeprec.config.evaluation import EvaluateConfig
from deeprec.config.run import Config, with_bundle
from deeprec.evaluation.evaluate import MODEL, evaluate
from deeprec.home import Home
from deeprec.models.bundles import open_bundle
from deeprec.models.prediction import Predictor
from deeprec.models.registry import Evaluation
from deeprec.progress import Progress
from deeprec.splits import Part
from deeprec.training.train import TrainReport, train
from deeprec.vectors.materialize import SplitRatings


@dataclass(frozen=True)
class _Run:
    trained: TrainReport
    test: Evaluation
    fit: Seconds
    predict: Seconds


def measure_own(
    home: Home, config: Config, ratings: SplitRatings, seeds: Sequence[int], progress: Progress
) -> SystemFigures:
    """Train with each seed, or find what was trained with it, and evaluate on test.

    Training counts with the export, its check and the figures on dev. Predicting counts every
    movie for each user of the test part, as scoring does.
    """
    runs = [_run(home, config, ratings, seed, progress) for seed in seeds]
    all_new = all(run.trained.changed for run in runs)
    notes = [] if all_new else ["trained before: seconds to fit are of its epochs"]
    if num_cold := runs[0].test.num_cold:
        notes.append(answered_by_biases(num_cold))
    return SystemFigures(
        system=f"deeprec {config.name}",
        version=installed_version("deeprec"),
        settings={"members": "+".join(member.name for member in runs[0].trained.members)},
        dev_rmse=tuple(run.trained.dev.figure(MODEL).rmse for run in runs if run.trained.dev),
        test_rmse=tuple(run.test.rmse for run in runs),
        num_test=runs[0].test.num_ratings,
        num_fallback=num_cold,
        fit_s=tuple(run.fit.wall for run in runs),
        fit_cpu_s=tuple(run.fit.cpu for run in runs) if all_new else (),
        predict_s=tuple(run.predict.wall for run in runs),
        predict_cpu_s=tuple(run.predict.cpu for run in runs),
        note="; ".join(notes),
    )


def _run(home: Home, config: Config, ratings: SplitRatings, seed: int, progress: Progress) -> _Run:
    training = config.train.model_copy(update={"seed": seed})
    seeded = config.model_copy(update={"train": training})
    trained, fit = timed(lambda: train(home, seeded, progress))
    if not trained.changed:
        fit = Seconds(wall=sum(epoch.seconds for epoch in trained.epochs), cpu=0)
    evaluation = config.evaluate.model_copy(update={"part": "test"})
    measured = with_bundle(seeded.model_copy(update={"evaluate": evaluation}), trained.bundle)
    report = evaluate(home, measured, progress)
    _, predict = timed(lambda: _predict_test(trained.bundle, ratings, evaluation))
    return _Run(trained, report.figure(MODEL), fit, predict)


def _predict_test(path: Path, ratings: SplitRatings, settings: EvaluateConfig) -> None:
    """Predict once more for nothing but the time: an evaluation does much beside it."""
    bundle = open_bundle(path)
    known = ratings.part(*(Part(name) for name in bundle.manifest.trained_on))
    predictor = Predictor.over(bundle, bundle.model(settings.device), known)
    is_asked_U = np.diff(ratings.part(Part.TEST).values_UM.indptr) > 0
    for _ in predictor.batches(known.select_users(is_asked_U), settings.batch_size):
        pass
