"""From a trained predictor to an ONNX file that is known to agree with it.

Shape legend: B users in a batch, U training users, P probe users, M movies.
"""

from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from scipy import sparse
from torch import Tensor, nn

from deeprec.autoencoder import RatingPredictor
from deeprec.batches import DenseBatches
from deeprec.config import ExportConfig
from deeprec.errors import ExportError
from deeprec.inference import PREDICTED, RATED, RATINGS, UNCLIPPED, open_graph
from deeprec.onnx_files import anonymous, checked_opset, quiet_exporter, sync
from deeprec.ratings import RatingScale

_NUM_SAMPLED = 64
_BATCH = 16  # users; several batches, and a short last one, are part of the probe


class ExportReport(BaseModel):
    """How far onnxruntime and torch are apart, in rating units, clipped or not."""

    model_config = ConfigDict(frozen=True)

    opset: int
    largest_difference: float
    tolerance: float
    num_probe_users: int


def export_onnx(
    network: RatingPredictor,
    scale: RatingScale,
    ratings_UM: sparse.csr_array[np.float32],
    path: Path,
    config: ExportConfig,
) -> ExportReport:
    """How well the graph at `path` agrees; the file appears whole and checked, or not at all.

    Args:
        network: the trained predictor, on the CPU; left in eval mode.
        scale: the graph clips to it.
        ratings_UM: training ratings, of which some users are probed; see `probe_users`.
        path: the ONNX file to write.
        config: the opset, and the largest difference allowed.

    Raises:
        ExportError: the graph is invalid, or does not agree with the network.
    """
    network.eval()
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        unfinished.write_bytes(_graph(network, scale, ratings_UM.shape[1], config.opset))
        report = _compare(network, scale, unfinished, probe_users(ratings_UM, scale), config)
        sync(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return report


def probe_users(
    ratings_UM: sparse.csr_array[np.float32], scale: RatingScale
) -> sparse.csr_array[np.float32]:
    """P x M: users to compare on, real and extreme.

    Users spread evenly over the training ones, the one with the most ratings, one without any,
    and two with a single rating, at either end of the scale.
    """
    num_users, num_movies = ratings_UM.shape
    sampled = np.linspace(0, num_users - 1, min(num_users, _NUM_SAMPLED)).astype(np.int64)
    heaviest = np.argmax(np.diff(ratings_UM.indptr))
    ends = np.array([scale.minimum, scale.maximum], dtype=np.float32)
    extreme_PM = sparse.csr_array(
        (ends, np.array([0, num_movies - 1]), np.array([0, 0, 1, 2])), shape=(3, num_movies)
    )
    real_PM = ratings_UM[np.append(sampled, heaviest)]
    return sparse.csr_array(sparse.vstack([real_PM, extreme_PM], format="csr"))


class _Clipped(nn.Module):
    """What is exported: the predictor, and the clip to the scale."""

    def __init__(self, network: RatingPredictor, scale: RatingScale) -> None:
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, ratings_BM: Tensor, rated_BM: Tensor | None = None) -> tuple[Tensor, Tensor]:
        unclipped_BM = self.network(ratings_BM, rated_BM)
        return unclipped_BM.clamp(self.scale.minimum, self.scale.maximum), unclipped_BM


def _graph(network: RatingPredictor, scale: RatingScale, num_movies: int, opset: int) -> bytes:
    """The ONNX file's bytes, which name nothing of the machine they were made on."""
    inputs = [RATINGS, RATED] if network.biases else [RATINGS]
    batch = torch.export.Dim("batch")
    # Of a single row the exporter would freeze the batch; of one tensor given twice, merge inputs.
    examples_BM = tuple(torch.zeros(2, num_movies) for _ in inputs)
    with quiet_exporter():
        program = torch.onnx.export(
            _Clipped(network, scale).eval(),
            examples_BM,
            dynamo=True,
            input_names=inputs,
            output_names=[PREDICTED, UNCLIPPED],
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            opset_version=opset,
            verbose=False,
        )
    assert program is not None, "torch.onnx.export returns a program when dynamo is on"
    return anonymous(program.model_proto)


def _compare(
    network: RatingPredictor,
    scale: RatingScale,
    path: Path,
    probes_PM: sparse.csr_array[np.float32],
    config: ExportConfig,
) -> ExportReport:
    """What onnx and onnxruntime, on the CPU, say of the file at `path`."""
    opset = checked_opset(path, config.opset)
    graph = open_graph(path, "cpu")
    clipped = _Clipped(network, scale).eval()
    batches = DenseBatches(_BATCH, probes_PM.shape[1], torch.device("cpu"))
    differences = []
    for batch in batches.of(probes_PM):
        scores = graph.predict(probes_PM[batch.rows])
        with torch.no_grad():
            predicted_BM, unclipped_BM = clipped(batch.ratings_BM, batch.rated_BM)
        differences.append(np.abs(scores.predicted_BM - predicted_BM.numpy()).max())
        differences.append(np.abs(scores.unclipped_BM - unclipped_BM.numpy()).max())
    largest = float(np.max(differences))
    agrees = largest <= config.tolerance  # not so for NaN, which a `>` would let pass
    if not agrees:
        raise ExportError(
            f"onnxruntime and torch differ by {largest:.3g} rating units on one of "
            f"{probes_PM.shape[0]} probe users; export.tolerance allows {config.tolerance:.3g}. "
            "Nothing was written; a network whose ratings run far off the scale is the usual cause"
        )
    return ExportReport(
        opset=opset,
        largest_difference=largest,
        tolerance=config.tolerance,
        num_probe_users=probes_PM.shape[0],
    )
