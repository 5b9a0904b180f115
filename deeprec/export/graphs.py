"""From a fitted module to an ONNX file, and the proof that onnxruntime agrees with torch.

Shape legend: B rows in a batch, U training users, P probe users, M movies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from scipy import sparse
from torch import Tensor, nn

from deeprec.config.training import ExportConfig
from deeprec.errors import ExportError
from deeprec.export.onnx_files import anonymous, checked_opset, quiet_exporter, sync
from deeprec.export.probes import probe_vectors
from deeprec.models.inference import BATCH, PREDICTED, RATED, RATINGS, UNCLIPPED, open_graph
from deeprec.networks.batches import DenseBatches
from deeprec.ratings import Floats, RatingScale

_BATCH = 16  # users; several batches, and a short last one, are part of the probe


class ExportReport(BaseModel):
    """How far onnxruntime and torch are apart, in rating units, clipped or not."""

    model_config = ConfigDict(frozen=True)

    opset: int
    largest_difference: float
    tolerance: float
    num_probe_users: int


class VectorModule(Protocol):
    """A torch module from users' vectors to unclipped predictions."""

    @property
    def needs_rated(self) -> bool:
        """Whether it takes a second input that says what is rated."""

    def eval(self) -> object:
        """Itself, without dropout."""

    def __call__(self, ratings_BM: Tensor, rated_BM: Tensor | None) -> Tensor:
        """B x M."""


@dataclass(frozen=True)
class Input:
    """One input of a graph: an example, and whether its first axis is the batch."""

    example: Tensor
    is_batch: bool = True


def export_onnx(
    network: VectorModule,
    scale: RatingScale,
    ratings_UM: sparse.csr_array[np.float32],
    path: Path,
    config: ExportConfig,
    *,
    in_parts: nn.Module | None = None,
    between: Sequence[str] = (),
) -> ExportReport:
    """How well the graph at `path` agrees; the file appears whole and checked, or not at all.

    Args:
        network: the fitted module, on the CPU; left in eval mode.
        scale: the graph clips to it.
        ratings_UM: training ratings, of which some users are probed; see `probe_vectors`.
        path: the ONNX file to write.
        config: the opset, and the largest difference allowed.
        in_parts: the same function, to be written in the network's place, for it also has as
            outputs what lies between its parts.
        between: the names of those.

    Raises:
        ExportError: the graph is invalid, or does not agree with the network.
    """
    network.eval()
    clipped = _Clipped(network, scale).eval()
    # Of a single row the exporter would freeze the batch; of one tensor given twice, merge inputs.
    names = [RATINGS, RATED] if network.needs_rated else [RATINGS]
    inputs = {name: Input(torch.zeros(2, ratings_UM.shape[1])) for name in names}
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        outputs = [PREDICTED, UNCLIPPED, *between]
        opset = write_graph(in_parts or clipped, inputs, outputs, unfinished, config.opset)
        probes_PM = probe_vectors(ratings_UM, scale)
        largest = _largest_difference(clipped, unfinished, probes_PM)
        report = agreement(largest, probes_PM.shape[0], opset, config, scale)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return report


def write_graph(
    module: nn.Module,
    inputs: Mapping[str, Input],
    outputs: Sequence[str],
    path: Path,
    opset: int,
) -> int:
    """The opset of the file that was written, which onnx has found valid.

    Args:
        module: in eval mode, on the CPU; takes the inputs in their order.
        inputs: by name.
        outputs: the names of what it returns.
        path: the file; it is on disk when this returns.
        opset: the one wanted.

    Raises:
        ExportError: torch cannot write this opset.
    """
    batch = torch.export.Dim(BATCH)
    with quiet_exporter():
        program = torch.onnx.export(
            module,
            tuple(given.example for given in inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} if g.is_batch else None for g in inputs.values()),
            opset_version=opset,
            verbose=False,
        )
    assert program is not None, "torch.onnx.export returns a program when dynamo is on"
    path.write_bytes(anonymous(program.model_proto))
    found = checked_opset(path, opset)
    sync(path)
    return found


def agreement(
    largest_difference: float,
    num_probe_users: int,
    opset: int,
    config: ExportConfig,
    scale: RatingScale,
) -> ExportReport:
    """The report of an export whose graph agrees.

    Raises:
        ExportError: it does not.
    """
    tolerance = config.tolerance * scale.unit
    agrees = largest_difference <= tolerance  # not so for NaN, which a `>` would let pass
    if not agrees:
        raise ExportError(
            f"onnxruntime and torch differ by {largest_difference:.3g} rating units on one of "
            f"{num_probe_users} probe users; export.tolerance allows {tolerance:.3g}. "
            "Nothing was written; a network whose ratings run far off the scale is the usual cause"
        )
    return ExportReport(
        opset=opset,
        largest_difference=largest_difference,
        tolerance=tolerance,
        num_probe_users=num_probe_users,
    )


def difference(expected_PM: Floats, found_PM: Floats, scale: RatingScale) -> float:
    """The largest difference of two sets of unclipped predictions, before and after the clip."""
    limits = scale.minimum, scale.maximum
    clipped = np.abs(np.clip(expected_PM, *limits) - np.clip(found_PM, *limits)).max()
    return float(np.max([np.abs(expected_PM - found_PM).max(), clipped]))


class _Clipped(nn.Module):
    """What is exported: the module, and the clip to the scale."""

    def __init__(self, network: VectorModule, scale: RatingScale) -> None:
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, ratings_BM: Tensor, rated_BM: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return clip(self.network(ratings_BM, rated_BM), self.scale)


def clip(unclipped_BM: Tensor, scale: RatingScale) -> tuple[Tensor, Tensor]:
    """The two outputs of every graph that predicts: on the scale, and as they were."""
    return unclipped_BM.clamp(scale.minimum, scale.maximum), unclipped_BM


def _largest_difference(
    clipped: _Clipped, path: Path, probes_PM: sparse.csr_array[np.float32]
) -> float:
    """How far onnxruntime, on the CPU, and torch are apart over the probe users."""
    graph = open_graph(path, "cpu")
    batches = DenseBatches(_BATCH, probes_PM.shape[1], torch.device("cpu"))
    differences = []
    for batch in batches.of(probes_PM):
        scores = graph.predict(probes_PM[batch.rows])
        with torch.no_grad():
            predicted_BM, unclipped_BM = clipped(batch.ratings_BM, batch.rated_BM)
        differences.append(np.abs(scores.predicted_BM - predicted_BM.numpy()).max())
        differences.append(np.abs(scores.unclipped_BM - unclipped_BM.numpy()).max())
    return float(np.max(differences))
