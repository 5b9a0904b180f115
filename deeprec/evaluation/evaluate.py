"""How good a bundle is on held-out ratings, beside two floors.

Predictions are those of the exported model: of its ONNX graph or, where they are products of
codes, of the parts that scoring runs too, which export checks against the network. Evaluation, and
only evaluation, feeds them the part of each user's ratings that the bundle was fitted to.

Shape legend: U users, M movies of the vocabulary, N movies of the warehouse, R held-out ratings, K
some of them.
"""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, computed_field

from deeprec.config.evaluation import EvaluateConfig
from deeprec.config.run import Config
from deeprec.config.scoring import ScoreConfig
from deeprec.errors import BundleError, SplitError
from deeprec.evaluation.measurement import HeldOut, measure
from deeprec.evaluation.ranking import POPULARITY, by_popularity, choose_users, rank
from deeprec.home import Home
from deeprec.metrics.bootstrap import CONFIDENCE
from deeprec.metrics.breakdowns import Group
from deeprec.models.bundles import Bundle, open_bundle
from deeprec.models.factored import scorer_of
from deeprec.models.prediction import Predictor
from deeprec.models.registry import Evaluation, Ranking, newest_bundle, record_evaluations
from deeprec.progress import Progress, silent
from deeprec.ratings import Floats, RatingMatrix
from deeprec.splits import Part
from deeprec.vectors.materialize import SplitRatings, current_digest, read_split
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse, require_warehouse

MODEL = "model"
BIAS = "bias"
GLOBAL_MEAN = "global mean"


class NothingHeldOutError(SplitError):
    """The split leaves no rating of a part to evaluate on."""

    def __init__(self, bundle_id: str, part: Part) -> None:
        super().__init__(f"the split leaves no {part} rating to evaluate on")
        self.bundle_id = bundle_id


class EvaluateReport(BaseModel):
    """The errors of a bundle and of both floors over one part's ratings, whole and in parts.

    `rankings` are of the lists by the bundle and by popularity.
    """

    model_config = ConfigDict(frozen=True)

    bundle_id: str
    part: Part
    figures: tuple[Evaluation, ...]
    rankings: tuple[Ranking, ...] = ()
    groups: tuple[Group, ...] = ()

    def figure(self, predictor: str) -> Evaluation:
        """The figure of one predictor."""
        return next(figure for figure in self.figures if figure.predictor == predictor)

    @property
    def beats_bias(self) -> bool:
        """Whether the model is worth more than its floor."""
        return self.figure(MODEL).rmse < self.figure(BIAS).rmse

    @computed_field  # type: ignore[prop-decorator] # mypy knows of none above a property
    @property
    def verdict(self) -> str:
        """What the figures say of the model, in a sentence."""
        if not self.figures:
            return f"Nothing was measured: the split holds back no {self.part} rating."
        return _verdict(self.figure(MODEL))


def evaluate(home: Home, config: Config, progress: Progress = silent) -> EvaluateReport:
    """Measure a bundle on a held-out part of the split that it was trained under, and record it.

    Raises:
        WarehouseError: nothing was taken in here.
        BundleError: the bundle was trained on other ratings than the warehouse's.
        SplitError: the part holds no rating.
    """
    require_warehouse(home)
    with open_warehouse(home, config.warehouse) as warehouse:
        bundle = _chosen(home, warehouse, config.evaluate.bundle)
        if bundle.manifest.data_digest != current_digest(warehouse):
            raise BundleError(
                f"{bundle.path}: trained on other ratings than the warehouse holds now, so its "
                "held-out ratings cannot be told from those it has seen; train again first"
            )
        ratings = read_split(warehouse, bundle.split, train_days=bundle.config.needs_days)
    report = evaluate_bundle(bundle, ratings, config.evaluate, progress, lists=config.score)
    with open_warehouse(home, config.warehouse) as warehouse:
        record_evaluations(
            warehouse,
            bundle,
            report.part,
            report.figures,
            groups=report.groups,
            rankings=report.rankings,
        )
    return report


def _chosen(home: Home, warehouse: Database, path: Path | None) -> Bundle:
    """The bundle that is told, else the newest, which may not be the one that scores."""
    return open_bundle(path.expanduser().resolve()) if path else newest_bundle(home, warehouse)


def evaluate_held_out(home: Home, config: Config, progress: Progress = silent) -> EvaluateReport:
    """As `evaluate`, but without figures where the split holds nothing back."""
    try:
        return evaluate(home, config, progress)
    except NothingHeldOutError as error:
        return EvaluateReport(
            bundle_id=error.bundle_id, part=Part(config.evaluate.part), figures=()
        )


def evaluate_bundle(
    bundle: Bundle,
    ratings: SplitRatings,
    config: EvaluateConfig,
    progress: Progress = silent,
    *,
    lists: ScoreConfig | None = None,
) -> EvaluateReport:
    """The errors of the model, the damped biases and the global mean on the same ratings.

    Args:
        bundle: it is measured through its graphs.
        ratings: all of them, divided as the bundle's split has it.
        config: which part, and how.
        progress: told of ratings, and of users where lists are looked at.
        lists: how movies are recommended, to look at that too.

    Raises:
        SplitError: the part holds no rating.
        MetricError: a prediction is missing.
    """
    part = Part(config.part)
    if part in bundle.manifest.trained_on:
        raise BundleError(
            f"{bundle.path}: was fitted to {part} ratings too (refit = true), so its error on them "
            "says nothing; its figures from before that are in its manifest"
        )
    known = known_to(bundle, ratings)
    held_out = HeldOut.of(known, ratings.part(part))
    if not held_out.ratings.num_ratings:
        raise NothingHeldOutError(bundle.manifest.bundle_id, part)
    predictor = Predictor.over(bundle, bundle.model(config.device), known)
    predictions = {
        MODEL: model_predictions_R(predictor, held_out, config, progress),
        BIAS: bias_predictions_R(bundle, held_out),
        GLOBAL_MEAN: np.full_like(held_out.actual_R, bundle.manifest.global_mean),
    }
    scale = bundle.manifest.scale
    figures, groups = measure(held_out, predictions, BIAS, scale, config)
    rankings = _rankings(predictor, held_out, config, lists, progress) if lists else ()
    return EvaluateReport(
        bundle_id=bundle.manifest.bundle_id,
        part=part,
        figures=figures,
        rankings=rankings,
        groups=groups,
    )


def _rankings(
    predictor: Predictor,
    held_out: HeldOut,
    config: EvaluateConfig,
    lists: ScoreConfig,
    progress: Progress,
) -> tuple[Ranking, ...]:
    """The lists by the model and those by popularity; none where nobody liked a movie."""
    chosen = choose_users(held_out, predictor.bundle.manifest.scale, config)
    if not chosen.train.num_users:
        return ()
    num_by_movie_N, size = predictor.num_ratings_N, config.batch_size
    batches = {
        MODEL: scorer_of(predictor).unclipped_batches(chosen.train, size),
        POPULARITY: by_popularity(chosen.train, num_by_movie_N, size),
    }
    return tuple(
        rank(name, scores, chosen, num_by_movie_N, lists, progress=progress)
        for name, scores in batches.items()
    )


def known_to(bundle: Bundle, ratings: SplitRatings) -> RatingMatrix:
    """The ratings that a bundle was fitted to, of all users; what it is fed in a measurement."""
    return ratings.part(*(Part(name) for name in bundle.manifest.trained_on))


def model_predictions_R(
    predictor: Predictor, held_out: HeldOut, config: EvaluateConfig, progress: Progress
) -> Floats:
    """What the bundle says of every held-out rating, unclipped; NaN where it says nothing."""
    values_UN = held_out.ratings.values_UM
    predicted_R = np.full(values_UN.nnz, np.nan, dtype=np.float32)
    scores = scorer_of(predictor).unclipped_cells(held_out.train, values_UN, config.batch_size)
    end = 0
    for unclipped_K in scores:
        start, end = end, end + len(unclipped_K)
        predicted_R[start:end] = unclipped_K
        progress("evaluate", end, values_UN.nnz, "ratings")
    return predicted_R


def bias_predictions_R(bundle: Bundle, held_out: HeldOut) -> Floats:
    """The sum of global mean, user bias and movie bias for every held-out rating."""
    biases, movie_ids_M = bundle.biases, bundle.vocabulary.movie_ids_M
    train = held_out.train
    user_bias_U = biases.user_bias_U(train.restrict_movies(movie_ids_M).values_UM)
    movie_bias_N = np.zeros(train.num_movies, dtype=np.float32)
    movie_bias_N[np.isin(train.movie_ids_M, movie_ids_M)] = biases.movie_bias_M
    own_R = user_bias_U[held_out.user_R]
    movie_R = movie_bias_N[held_out.ratings.values_UM.indices]
    return np.asarray(biases.global_mean + own_R + movie_R, dtype=np.float32)


def _verdict(model: Evaluation) -> str:
    """Whether the model is better than its floor, and how sure that is."""
    low, high = model.minus_bias_low, model.minus_bias_high
    if low is None or high is None:
        return "The ratings of one user cannot tell the model apart from its bias floor."
    by = f"{abs(model.minus_bias):.4f} RMSE"
    interval = f"{CONFIDENCE:.0%} interval over users"
    if high < 0:
        return f"The model beats its bias floor by {by} ({interval}: {-high:.4f} to {-low:.4f})."
    if low > 0:
        return (
            f"The model is NOT better than its bias floor but {by} worse "
            f"({interval}: {low:.4f} to {high:.4f})."
        )
    side = "better" if model.minus_bias < 0 else "worse" if model.minus_bias else "off"
    return (
        f"The model cannot be told apart from its bias floor: it is {by} {side}, within a "
        f"{interval} of {high:.4f} worse to {abs(low):.4f} better."
    )
