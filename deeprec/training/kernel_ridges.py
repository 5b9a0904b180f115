"""Kernel ridge regressions, over users or over each user's movies.

Shape legend: U users, M movies.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from deeprec.config.models import KernelRidgeConfig
from deeprec.config.training import ExportConfig
from deeprec.errors import TrainingError
from deeprec.export.graphs import ExportReport, export_onnx
from deeprec.export.movie_kernels import export_movie_kernel
from deeprec.export.opener import Opener
from deeprec.models.kernel_ridge import fit_movie_weights
from deeprec.models.opening import GRAPH
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.kernel_ridge import MovieKernelRidge, UserKernelRidge
from deeprec.training.epochs import FitResult
from deeprec.training.material import Keeping, Material

_WEIGHTS_A_PAIR = 2 * 4  # bytes of two float32
_MOST_GRAPH_BYTES = 2**31 - 2**24  # of a protobuf message, less what a graph has beside weights


@dataclass(frozen=True)
class FittedUserKernel:
    """Regressions over users, which come to two linear layers."""

    module: UserKernelRidge
    result: FitResult
    fold_in_ridge: float = 0.0

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """See `members.Fitted`."""
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
        """See `members.Fitted`."""
        opener = Opener(self.config, material.biases, material.scale)
        return export_movie_kernel(self.module, opener, material.train, folder, config)


def fit_kernel_ridge(
    model: KernelRidgeConfig, material: Material, keeping: Keeping
) -> FittedUserKernel | FittedMovieKernel:
    """See `members.fit_member`: one is solved for all users, one for each when he is scored."""
    result = FitResult(epochs=(), best_epoch=0, device="cpu")
    biases, unit = DampedBiases.of(material.biases), material.scale.unit
    if model.orientation == "movies":
        module = MovieKernelRidge(
            biases, model.rated_weight, model.ridge, model.solver_steps, unit=unit
        )
        return FittedMovieKernel(model, module, result)
    _require_small_graph(material.train.num_movies)
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


def _require_small_graph(num_movies: int) -> None:
    """Refuse what no ONNX file could hold once it is fitted."""
    if _WEIGHTS_A_PAIR * num_movies**2 >= _MOST_GRAPH_BYTES:
        most = math.isqrt(_MOST_GRAPH_BYTES // _WEIGHTS_A_PAIR)
        raise TrainingError(
            f"a kernel_ridge over users has two weights a pair of movies, and its ONNX file holds "
            f"those of {most:,} at most; there are {num_movies:,}: use model.orientation = "
            '"movies", or an autoencoder'
        )
