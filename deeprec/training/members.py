"""Fitting one model of any kind, and turning it into graphs; needs torch.

Shape legend: U users, M movies, P probe users, C a code.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy import sparse
from torch import Tensor, nn

from deeprec.config.models import (
    AutoencoderConfig,
    BiasConfig,
    KernelRidgeConfig,
    MemberModelConfig,
    RecurrentConfig,
)
from deeprec.config.training import ExportConfig, TrainConfig
from deeprec.errors import ExportError
from deeprec.export.codes import Encoder, Parts, column_codes, export_in_parts, write_products
from deeprec.export.graphs import (
    ExportReport,
    Input,
    agreement,
    clip,
    difference,
    export_onnx,
    probe_users,
    write_graph,
)
from deeprec.export.recurrent import export_recurrent
from deeprec.models.baselines import Biases, fit_biases
from deeprec.models.exported import ENCODER, GRAPH, USERS, open_model
from deeprec.models.inference import (
    COUNTED,
    KERNEL,
    MOVIE_CODES,
    PREDICTED,
    RATED,
    RATINGS,
    SCALE,
    UNCLIPPED,
    USER_CODES,
)
from deeprec.models.kernel_ridge import fit_movie_weights
from deeprec.models.recurrent import write_recurrent_users
from deeprec.networks.autoencoder import Autoencoder, DampedBiases, RatingPredictor
from deeprec.networks.batches import DenseBatches
from deeprec.networks.kernel_layers import MovieKernelRidge, UserKernelRidge
from deeprec.networks.recurrent import RecurrentRecommender
from deeprec.networks.recurrent_start import build_recurrent, require_days
from deeprec.progress import Progress, silent
from deeprec.ratings import Floats, RatingMatrix, RatingScale, digest_by_row
from deeprec.training.epochs import FitResult
from deeprec.training.fit_jobs import FitJob
from deeprec.training.parallel_fit import fit_job
from deeprec.training.recurrent_trainer import fit_recurrent

_DEFAULT_RIDGE = 1.0  # on the code of a user who is folded in, where training had no such penalty
_MOST_UNSOLVED = 0.01  # of what biases leave: far above what our settings leave, below what shows
_NUM_PROBED_AT_ONCE = 64  # movies' dense vectors, when torch works out what a graph should say


@dataclass(frozen=True)
class Material:
    """What a model is fitted to. Only `dev` and `watched` have seen held-out ratings."""

    train: RatingMatrix
    dev: RatingMatrix | None
    watched: RatingMatrix | None
    scale: RatingScale
    biases: Biases
    damping: BiasConfig


@dataclass(frozen=True)
class Keeping:
    """Where an unfinished fit is kept, and who is told how it goes."""

    checkpoint: Path | None = None
    fingerprint: str = ""
    progress: Progress = silent


class Fitted(Protocol):
    """A model that has been fitted."""

    @property
    def result(self) -> FitResult:
        """How its fit went."""

    @property
    def fold_in_ridge(self) -> float:
        """Penalty on the code of a user who is folded in; 0 where nobody is."""

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """Write its files into a folder and prove that they agree with it.

        Raises:
            ExportError: they do not, or their solver does not get as far as the model.
        """


def fit_member(
    model: MemberModelConfig,
    train: TrainConfig,
    material: Material,
    keeping: Keeping,
) -> Fitted:
    """A model of the kind that the configuration names, fitted to the training ratings.

    Raises:
        DeviceError: a device was asked for that cannot be used.
        TrainingError: there is nothing to train on, or the fit diverged.
    """
    if isinstance(model, KernelRidgeConfig):
        return _fit_kernel_ridge(model, material, keeping)
    if isinstance(model, RecurrentConfig):
        return _fit_recurrent(model, train, material, keeping)
    return _fit_autoencoder(model, train, material, keeping)


@dataclass(frozen=True)
class FittedAutoencoder:
    """A network over users' vectors, or over movies'."""

    config: AutoencoderConfig
    network: RatingPredictor
    result: FitResult
    fold_in_ridge: float

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """See `Fitted`."""
        if self.config.orientation == "movies":
            return _export_codes(self, folder, _of_raters(material), config)
        if self.config.has_user_codes:
            parts = Parts(self.network.eval(), self.config, material.biases, material.scale)
            return export_in_parts(parts, material.train, folder, config)
        values_UM = material.train.values_UM
        return export_onnx(self.network, material.scale, values_UM, folder / GRAPH, config)


@dataclass(frozen=True)
class FittedUserKernel:
    """Regressions over users, which come to two linear layers."""

    module: UserKernelRidge
    result: FitResult
    fold_in_ridge: float = 0.0

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """See `Fitted`."""
        values_UM = material.train.values_UM
        return export_onnx(self.module, material.scale, values_UM, folder / GRAPH, config)


@dataclass(frozen=True)
class FittedMovieKernel:
    """Regressions over each user's movies; nothing is fitted but the biases."""

    config: KernelRidgeConfig
    module: MovieKernelRidge
    result: FitResult
    fold_in_ridge: float = 0.0

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """See `Fitted`."""
        num_movies = material.train.num_movies
        inputs = {
            RATINGS: Input(torch.zeros(2, num_movies)),
            RATED: Input(torch.zeros(2, num_movies)),
            KERNEL: Input(torch.zeros(num_movies, num_movies), is_batch=False),
            SCALE: Input(torch.ones(num_movies), is_batch=False),
            COUNTED: Input(torch.ones(2, 1)),
        }
        module = _ClippedKernel(self.module, material.scale).eval()
        opset = write_graph(module, inputs, [PREDICTED, UNCLIPPED], folder / GRAPH, config.opset)
        model = open_model(
            folder, self.config, material.biases, unit=material.scale.unit, device="cpu"
        )
        side = model.movie_side(material.train)
        given = [torch.from_numpy(side[name]) for name in (KERNEL, SCALE)]
        differences, unsolved = [], []
        # Only those who are in the kernel can be taken out of it: the extreme ones are not.
        for counted, probes in ((True, _probe_rows(material)), (False, _probes(material))):
            found_PM = model.predict(probes, side, counted=counted)
            ratings_PM, rated_PM = _dense(probes.values_UM)
            flags_P1 = torch.full((probes.num_users, 1), float(counted))
            told = [ratings_PM, rated_PM, *given, flags_P1]
            with torch.no_grad():
                expected_PM = self.module(*told).numpy()
                unsolved_P1 = self.module.unsolved(*told).numpy()
            differences.append(difference(expected_PM, found_PM, material.scale))
            unsolved.append(unsolved_P1.max())
        self._require_solved(float(np.max(unsolved)))
        largest = float(np.max(differences))  # which is NaN where one is; `max` would lose it
        return agreement(largest, probes.num_users, opset, config, material.scale)

    def _require_solved(self, unsolved: float) -> None:
        if unsolved > _MOST_UNSOLVED:  # what is no number agrees with nothing, as is said then
            told = self.config
            raise ExportError(
                f"after {told.solver_steps} steps the regression over a probe user's movies is not "
                f"solved: {unsolved:.2g} of what biases leave is still to do, {_MOST_UNSOLVED:g} "
                f"may be; raise model.ridge (now {told.ridge:g}), model.count_power (now "
                f"{told.count_power:g}) or model.solver_steps"
            )


@dataclass(frozen=True)
class FittedRecurrent:
    """A network over dated ratings, step by step."""

    network: RecurrentRecommender
    result: FitResult
    fold_in_ridge: float = 0.0

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """See `Fitted`."""
        train = material.train
        days_R = require_days(train.values_UM, train.days_R)
        write_recurrent_users(folder, train.user_ids_U)
        return export_recurrent(self.network, train.values_UM, days_R, folder, config)


def _fit_recurrent(
    model: RecurrentConfig, train: TrainConfig, material: Material, keeping: Keeping
) -> FittedRecurrent:
    values_UM, days_R = material.train.values_UM, material.train.days_R
    network = build_recurrent(
        model, values_UM, days_R, material.biases, train.seed, unit=material.scale.unit
    )
    result = fit_recurrent(
        network,
        values_UM,
        days_R,
        material.dev.values_UM if material.dev else None,
        train,
        material.scale,
        watched_UM=material.watched.values_UM if material.watched else None,
        checkpoint=keeping.checkpoint,
        fingerprint=keeping.fingerprint,
        progress=keeping.progress,
    )
    return FittedRecurrent(network, result)


def _fit_autoencoder(
    model: AutoencoderConfig, train: TrainConfig, material: Material, keeping: Keeping
) -> FittedAutoencoder:
    def rows(ratings: RatingMatrix | None) -> sparse.csr_array[np.float32] | None:
        return None if ratings is None else _rows(ratings, model)

    if model.orientation == "movies":
        material = _of_raters(material)
    train_UN = _rows(material.train, model)
    network = build_network(model, material, train.seed)
    job = FitJob(
        network=network,
        train_UN=train_UN,
        dev_UN=rows(material.dev),
        watched_UN=rows(material.watched),
        settings=train,
        scale=material.scale,
        checkpoint=keeping.checkpoint,
        fingerprint=keeping.fingerprint,
    )
    result = fit_job(job, keeping.progress)
    return FittedAutoencoder(model, network, result, train.l2 or _DEFAULT_RIDGE)


def build_network(model: AutoencoderConfig, material: Material, seed: int) -> RatingPredictor:
    """The network of a configuration, with its initial weights and fitted biases."""
    options = model.model_dump(exclude={"kind", "orientation", "center"})
    train_UN = _rows(material.train, model)
    autoencoder = Autoencoder(train_UN.shape[1], seed=seed, **options)
    if model.center == "none":
        return RatingPredictor(autoencoder, unit=material.scale.unit)
    biases = _damped(_row_biases(model, material))
    return RatingPredictor(autoencoder, biases, material.scale.unit)


def _rows(ratings: RatingMatrix, model: AutoencoderConfig) -> sparse.csr_array[np.float32]:
    """A row a vector: users, or movies."""
    if model.orientation == "users":
        return ratings.values_UM
    return sparse.csr_array(ratings.values_UM.T)


def _of_raters(material: Material) -> Material:
    """The same without users who have no training ratings.

    Where users are columns, nothing would move their weights from where chance has put them. They
    are folded in like new ones once they have rated.
    """
    is_rater_U = np.diff(material.train.values_UM.indptr) > 0

    def of(ratings: RatingMatrix | None) -> RatingMatrix | None:
        return None if ratings is None else ratings.select_users(is_rater_U)

    train = material.train.select_users(is_rater_U)
    return replace(material, train=train, dev=of(material.dev), watched=of(material.watched))


def _row_biases(model: AutoencoderConfig, material: Material) -> Biases:
    """Biases of the columns, by which a row's own follows from its ratings."""
    if model.orientation == "users":
        return material.biases
    damping = material.damping
    return fit_biases(_rows(material.train, model), damping.movie_damping, damping.user_damping)


def _damped(biases: Biases) -> DampedBiases:
    """The same biases as a part of a network."""
    column_bias_N = torch.from_numpy(biases.movie_bias_M)
    return DampedBiases(biases.global_mean, column_bias_N, biases.user_damping)


def _fit_kernel_ridge(
    model: KernelRidgeConfig, material: Material, keeping: Keeping
) -> FittedUserKernel | FittedMovieKernel:
    result = FitResult(epochs=(), best_epoch=0, device="cpu")
    biases, unit = _damped(material.biases), material.scale.unit
    if model.orientation == "movies":
        module = MovieKernelRidge(
            biases, model.rated_weight, model.ridge, model.solver_steps, unit=unit
        )
        return FittedMovieKernel(model, module, result)
    weights = fit_movie_weights(
        material.train.values_UM, material.biases, model, keeping.progress, unit
    )
    linear = UserKernelRidge(
        biases,
        torch.from_numpy(weights.residual_MM),
        torch.from_numpy(weights.rated_MM),
        model.rated_weight,
        model.count_power,
        unit=unit,
    )
    return FittedUserKernel(linear, result)


class _Product(nn.Module):
    """Codes of users and of movies in, predicted ratings out."""

    def __init__(self, scale: RatingScale) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, users_BC: Tensor, movies_MC: Tensor) -> tuple[Tensor, Tensor]:
        return clip(users_BC @ movies_MC.T, self.scale)


class _ClippedKernel(nn.Module):
    """Regressions over a user's movies, and the clip to the scale."""

    def __init__(self, module: MovieKernelRidge, scale: RatingScale) -> None:
        super().__init__()
        self.module = module
        self.scale = scale

    def forward(
        self,
        ratings_BM: Tensor,
        rated_BM: Tensor,
        kernel_MM: Tensor,
        scale_M: Tensor,
        counted_B1: Tensor,
    ) -> tuple[Tensor, Tensor]:
        return clip(self.module(ratings_BM, rated_BM, kernel_MM, scale_M, counted_B1), self.scale)


def _export_codes(
    fitted: FittedAutoencoder, folder: Path, material: Material, config: ExportConfig
) -> ExportReport:
    """Write encoder, product and the users' codes of a network over movies' vectors."""
    network = fitted.network.eval()
    num_users, num_movies = material.train.values_UM.shape
    names = [RATINGS, RATED] if network.needs_rated else [RATINGS]
    vectors = {name: Input(torch.zeros(2, num_users)) for name in names}
    encoder = Encoder(network).eval()
    write_graph(encoder, vectors, [MOVIE_CODES], folder / ENCODER, config.opset)
    codes_UC = column_codes(network)
    num_codes = codes_UC.shape[1]
    codes = {
        USER_CODES: Input(torch.zeros(2, num_codes)),
        MOVIE_CODES: Input(torch.zeros(num_movies, num_codes), is_batch=False),
    }
    product = _Product(material.scale).eval()
    opset = write_graph(product, codes, [PREDICTED, UNCLIPPED], folder / GRAPH, config.opset)
    write_products(folder, config)
    write_user_codes(folder, material.train, codes_UC)
    model = open_model(
        folder,
        fitted.config,
        material.biases,
        fold_in_ridge=fitted.fold_in_ridge,
        unit=material.scale.unit,
        device="cpu",
    )
    probes = _probe_rows(material)
    found_PM = model.predict(probes, model.movie_side(material.train), counted=True)
    expected_PM = _by_transpose(network, material.train, probes)
    largest = difference(expected_PM, found_PM, material.scale)
    return agreement(largest, probes.num_users, opset, config, material.scale)


def write_user_codes(folder: Path, users: RatingMatrix, codes_UC: Floats) -> None:
    """Put the codes of the users known at training into a bundle that is being filled.

    Args:
        folder: the bundle's, or a member's within it.
        users: with the ratings that the codes were learned from.
        codes_UC: a code each.
    """
    flat = pa.array(codes_UC.ravel())
    columns = {
        "user_id": users.user_ids_U,
        "code": pa.FixedSizeListArray.from_arrays(flat, codes_UC.shape[1]),
        "digest": digest_by_row(users.values_UM),
    }
    pq.write_table(pa.table(columns), folder / USERS)


@torch.no_grad()
def _by_transpose(network: RatingPredictor, train: RatingMatrix, probes: RatingMatrix) -> Floats:
    """P x M: all movies' vectors through the network, of which the probes' columns are kept."""
    vectors_MU = sparse.csr_array(train.values_UM.T)
    columns_P = torch.from_numpy(np.searchsorted(train.user_ids_U, probes.user_ids_U))
    batches = DenseBatches(_NUM_PROBED_AT_ONCE, train.num_users, torch.device("cpu"))
    kept = [
        network(batch.ratings_BM, batch.rated_BM)[:, columns_P] for batch in batches.of(vectors_MU)
    ]
    return np.ascontiguousarray(torch.cat(kept).numpy().T)


def _probes(material: Material) -> RatingMatrix:
    """Real and extreme users, whom a model need not have met."""
    values_PM = probe_users(material.train.values_UM, material.scale)
    ids_P = np.arange(values_PM.shape[0], dtype=np.int64)
    return RatingMatrix(ids_P, material.train.movie_ids_M, values_PM)


def _probe_rows(material: Material) -> RatingMatrix:
    """Users that the model has met: spread evenly, the one with most ratings, one with fewest."""
    counts_U = np.diff(material.train.values_UM.indptr)
    (met,) = np.nonzero(counts_U)
    spread = np.linspace(0, len(met) - 1, min(len(met), _NUM_PROBED_AT_ONCE)).astype(int)
    places = [*spread, counts_U[met].argmax(), counts_U[met].argmin()]
    chosen_U = np.zeros(len(counts_U), dtype=bool)
    chosen_U[met[places]] = True
    return material.train.select_users(chosen_U)


def _dense(values_PM: sparse.csr_array[np.float32]) -> tuple[Tensor, Tensor]:
    """The same as two tensors: ratings, and which are rated."""
    (batch,) = DenseBatches(values_PM.shape[0], values_PM.shape[1], torch.device("cpu")).of(
        values_PM
    )
    return batch.ratings_BM, batch.rated_BM
