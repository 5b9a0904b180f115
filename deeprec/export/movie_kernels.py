"""Exporting regressions over each user's movies, which take the kernel of all movies as an input.

Shape legend: B users in a batch, M movies, P probe users.
"""

from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from deeprec.config.models import KernelRidgeConfig
from deeprec.config.training import ExportConfig
from deeprec.errors import ExportError
from deeprec.export.graphs import ExportReport, Input, agreement, clip, difference, write_graph
from deeprec.export.opener import Opener
from deeprec.export.probes import met_users, probe_users
from deeprec.models.inference import COUNTED, KERNEL, PREDICTED, RATED, RATINGS, SCALE, UNCLIPPED
from deeprec.models.opening import GRAPH
from deeprec.networks.batches import DenseBatches
from deeprec.networks.kernel_ridge import MovieKernelRidge
from deeprec.ratings import RatingMatrix, RatingScale

_MOST_UNSOLVED = 0.01  # of what biases leave: far above what our settings leave, below what shows


def export_movie_kernel(
    module: MovieKernelRidge,
    opener: Opener,
    train: RatingMatrix,
    folder: Path,
    config: ExportConfig,
) -> ExportReport:
    """Write the graph of these regressions.

    Other arguments as of `movie_codes.export_movie_codes`.

    Raises:
        ExportError: torch differs from the graph, or the steps do not solve a probe user's system.
    """
    inputs = {
        RATINGS: Input(torch.zeros(2, train.num_movies)),
        RATED: Input(torch.zeros(2, train.num_movies)),
        KERNEL: Input(torch.zeros(train.num_movies, train.num_movies), is_batch=False),
        SCALE: Input(torch.ones(train.num_movies), is_batch=False),
        COUNTED: Input(torch.ones(2, 1)),
    }
    clipped = _ClippedKernel(module, opener.scale).eval()
    opset = write_graph(clipped, inputs, [PREDICTED, UNCLIPPED], folder / GRAPH, config.opset)
    model = opener.open(folder)
    side = model.movie_side(train)
    given = [torch.from_numpy(side[name]) for name in (KERNEL, SCALE)]
    differences, unsolved = [], []
    # Only those who are in the kernel can be taken out of it: the extreme ones are not.
    for counted, probes in ((True, met_users(train)), (False, probe_users(train, opener.scale))):
        found_PM = model.predict(probes, side, counted=counted)
        ratings_PM, rated_PM = _dense(probes.values_UM)
        flags_P1 = torch.full((probes.num_users, 1), float(counted))
        told = [ratings_PM, rated_PM, *given, flags_P1]
        with torch.no_grad():
            expected_PM = module(*told).numpy()
            unsolved_P1 = module.unsolved(*told).numpy()
        differences.append(difference(expected_PM, found_PM, opener.scale))
        unsolved.append(unsolved_P1.max())
    _require_solved(opener, float(np.max(unsolved)))
    largest = float(np.max(differences))  # which is NaN where one is; `max` would lose it
    return agreement(largest, probes.num_users, opset, config, opener.scale)


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


def _require_solved(opener: Opener, unsolved: float) -> None:
    told = opener.config
    assert isinstance(told, KernelRidgeConfig), "regressions are configured as such"
    if unsolved > _MOST_UNSOLVED:  # what is no number agrees with nothing, as is said then
        raise ExportError(
            f"after {told.solver_steps} steps the regression over a probe user's movies is not "
            f"solved: {unsolved:.2g} of what biases leave is still to do, {_MOST_UNSOLVED:g} "
            f"may be; raise model.ridge (now {told.ridge:g}), model.count_power (now "
            f"{told.count_power:g}) or model.solver_steps"
        )


def _dense(values_PM: sparse.csr_array[np.float32]) -> tuple[Tensor, Tensor]:
    """P x M, twice: ratings, and which are rated."""
    (batch,) = DenseBatches(values_PM.shape[0], values_PM.shape[1], torch.device("cpu")).of(
        values_PM
    )
    return batch.ratings_BM, batch.rated_BM
