"""Kernel ridge regressions, over users or over each user's movies, and turning them into graphs.

Shape legend: U users, M movies, P probe users, B users in a batch.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from deeprec.config.models import KernelRidgeConfig
from deeprec.config.training import ExportConfig
from deeprec.errors import ExportError
from deeprec.export.graphs import (
    ExportReport,
    Input,
    agreement,
    clip,
    difference,
    export_onnx,
    write_graph,
)
from deeprec.models.inference import COUNTED, KERNEL, PREDICTED, RATED, RATINGS, SCALE, UNCLIPPED
from deeprec.models.kernel_ridge import fit_movie_weights
from deeprec.models.opening import GRAPH, open_model
from deeprec.networks.batches import DenseBatches
from deeprec.networks.kernel_layers import MovieKernelRidge, UserKernelRidge
from deeprec.networks.predictor import DampedBiases
from deeprec.ratings import RatingScale
from deeprec.training.epochs import FitResult
from deeprec.training.material import Keeping, Material, met_probes, probes_of

_MOST_UNSOLVED = 0.01  # of what biases leave: far above what our settings leave, below what shows


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
        for counted, probes in ((True, met_probes(material)), (False, probes_of(material))):
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


def _dense(values_PM: sparse.csr_array[np.float32]) -> tuple[Tensor, Tensor]:
    """The same as two tensors: ratings, and which are rated."""
    (batch,) = DenseBatches(values_PM.shape[0], values_PM.shape[1], torch.device("cpu")).of(
        values_PM
    )
    return batch.ratings_BM, batch.rated_BM
