"""How good a bundle is on held-out ratings, measured through its ONNX graph, beside two floors.

Evaluation, and only evaluation, feeds the graph the training part of each user's ratings.

Shape legend: U users, N movies of the warehouse, R held-out ratings.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from deeprec.bundles import Bundle
from deeprec.config import Config, EvaluateConfig
from deeprec.errors import BundleError, SplitError
from deeprec.home import Home
from deeprec.metrics import Errors
from deeprec.prediction import Predictor
from deeprec.progress import Progress, silent
from deeprec.ratings import Floats, RatingMatrix
from deeprec.registry import Evaluation, choose_bundle, record_evaluations
from deeprec.splits import Part
from deeprec.vectors import SplitRatings, current_digest, read_split
from deeprec.warehouse import open_warehouse

MODEL = "model"
BIAS = "bias"
GLOBAL_MEAN = "global mean"


class NothingHeldOutError(SplitError):
    """The split leaves no rating of a part to evaluate on."""

    def __init__(self, bundle_id: str, part: Part) -> None:
        super().__init__(f"the split leaves no {part} rating to evaluate on")
        self.bundle_id = bundle_id


class EvaluateReport(BaseModel):
    """The errors of a bundle and of both floors over one part's ratings."""

    model_config = ConfigDict(frozen=True)

    bundle_id: str
    part: Part
    figures: tuple[Evaluation, ...]

    def figure(self, predictor: str) -> Evaluation:
        """The figure of one predictor."""
        return next(figure for figure in self.figures if figure.predictor == predictor)

    @property
    def beats_bias(self) -> bool:
        """Whether the model is worth more than its floor."""
        return self.figure(MODEL).rmse < self.figure(BIAS).rmse


def evaluate(home: Home, config: Config, progress: Progress = silent) -> EvaluateReport:
    """Measure a bundle on a held-out part of the split that it was trained under, and record it.

    Raises:
        BundleError: the bundle was trained on other ratings than the warehouse's.
        SplitError: the part holds no rating.
    """
    with open_warehouse(home, config.warehouse) as warehouse:
        bundle = choose_bundle(home, warehouse, config.evaluate.bundle)
        if bundle.manifest.data_digest != current_digest(warehouse):
            raise BundleError(
                f"{bundle.path}: trained on other ratings than the warehouse holds now, so its "
                "held-out ratings cannot be told from those it has seen; train again first"
            )
        ratings = read_split(warehouse, bundle.config.split)
    report = evaluate_bundle(bundle, ratings, config.evaluate, progress)
    with open_warehouse(home, config.warehouse) as warehouse:
        record_evaluations(warehouse, bundle, report.part, report.figures)
    return report


def evaluate_held_out(home: Home, config: Config, progress: Progress = silent) -> EvaluateReport:
    """As `evaluate`, but without figures where the split holds nothing back."""
    try:
        return evaluate(home, config, progress)
    except NothingHeldOutError as error:
        return EvaluateReport(
            bundle_id=error.bundle_id, part=Part(config.evaluate.part), figures=()
        )


def evaluate_bundle(
    bundle: Bundle, ratings: SplitRatings, config: EvaluateConfig, progress: Progress = silent
) -> EvaluateReport:
    """The errors of the model, the damped biases and the global mean on the same ratings."""
    part = Part(config.part)
    if part in bundle.manifest.trained_on:
        raise BundleError(
            f"{bundle.path}: was fitted to {part} ratings too (refit = true), so its error on them "
            "says nothing; its figures from before that are in its manifest"
        )
    known = ratings.part(*(Part(name) for name in bundle.manifest.trained_on))
    held_out = ratings.part(part)
    if not held_out.num_ratings:
        raise NothingHeldOutError(bundle.manifest.bundle_id, part)
    predictor = Predictor.over(bundle, bundle.model(config.device), known)
    has_ratings_U = np.diff(held_out.values_UM.indptr) > 0
    train, held_out = known.select_users(has_ratings_U), held_out.select_users(has_ratings_U)
    model_R = np.empty(held_out.num_ratings, dtype=np.float32)
    for entries, rows, unclipped_BN in _batches(predictor, train, held_out, config.batch_size):
        model_R[entries] = unclipped_BN[rows, held_out.values_UM.indices[entries]]
        progress("evaluate", entries.stop, held_out.num_ratings, "ratings")
    predictions = {
        MODEL: model_R,
        BIAS: _bias_predictions_R(predictor, train, held_out),
        GLOBAL_MEAN: np.full_like(model_R, bundle.manifest.global_mean),
    }
    is_cold_R = _is_cold_R(predictor, train, held_out)
    figures = tuple(
        _figure(bundle, name, held_out.values_UM.data, predicted_R, int(is_cold_R.sum()))
        for name, predicted_R in predictions.items()
    )
    return EvaluateReport(bundle_id=bundle.manifest.bundle_id, part=part, figures=figures)


def _batches(
    predictor: Predictor, train: RatingMatrix, held_out: RatingMatrix, batch_size: int
) -> Iterator[tuple[slice, npt.NDArray[np.int64], Floats]]:
    """Each batch of users: its held-out entries, the row of each, and the unclipped scores."""
    indptr = held_out.values_UM.indptr
    for users, scores in predictor.batches(train, batch_size):
        entries = slice(int(indptr[users.start]), int(indptr[users.stop]))
        counts_B = np.diff(indptr[users.start : users.stop + 1])
        yield entries, np.repeat(np.arange(len(counts_B)), counts_B), scores.unclipped_BM


def _rows_R(ratings: RatingMatrix) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(ratings.num_users), np.diff(ratings.values_UM.indptr))


def _bias_predictions_R(
    predictor: Predictor, train: RatingMatrix, held_out: RatingMatrix
) -> Floats:
    """The sum of global mean, user bias and movie bias for every held-out rating."""
    biases, vocabulary = predictor.bundle.biases, predictor.bundle.vocabulary
    user_bias_U = biases.user_bias_U(train.restrict_movies(vocabulary.movie_ids_M).values_UM)
    movie_bias_N = np.zeros(train.num_movies, dtype=np.float32)
    movie_bias_N[predictor.known_N] = biases.movie_bias_M
    own_R, movie_R = user_bias_U[_rows_R(held_out)], movie_bias_N[held_out.values_UM.indices]
    return np.asarray(biases.global_mean + own_R + movie_R, dtype=np.float32)


def _is_cold_R(
    predictor: Predictor, train: RatingMatrix, held_out: RatingMatrix
) -> npt.NDArray[np.bool_]:
    """Which held-out ratings are of a user or a movie without training ratings."""
    cold_user_U = np.diff(train.values_UM.indptr) == 0
    return np.asarray(
        cold_user_U[_rows_R(held_out)] | ~predictor.known_N[held_out.values_UM.indices]
    )


def _figure(
    bundle: Bundle, predictor: str, actual_R: Floats, unclipped_R: Floats, num_cold: int
) -> Evaluation:
    scale = bundle.manifest.scale
    clipped = Errors.of(actual_R, np.clip(unclipped_R, scale.minimum, scale.maximum))
    return Evaluation(
        predictor=predictor,
        num_ratings=clipped.count,
        num_cold=num_cold,
        rmse=clipped.rmse,
        mae=clipped.mae,
        unclipped_rmse=Errors.of(actual_R, unclipped_R).rmse,
    )
