"""Exporting a network over users' vectors whose predictions are products of codes: its parts.

Shape legend: B rows of a batch, M movies, H units of the first layer, C a code, P probe users.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deeprec.config.training import ExportConfig
from deeprec.export.codes import Encoder, column_codes, unit_after_products, write_products
from deeprec.export.graphs import ExportReport, agreement, clip, difference, export_onnx
from deeprec.export.onnx_files import cut
from deeprec.export.opener import Opener
from deeprec.export.probes import probe_users
from deeprec.models.first_layer import FirstLayer
from deeprec.models.inference import FIRST_LAYER, USER_BIAS, USER_CODES, open_graph
from deeprec.models.opening import GRAPH
from deeprec.models.vector_models import MOVIE_WEIGHTS, USER_ENCODER, USER_WEIGHTS
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import RatingMatrix, RatingScale


class _InParts(nn.Module):
    """A network as what lies between its parts, and the product that its last layer is."""

    weight_MC: Tensor

    def __init__(self, network: RatingPredictor, scale: RatingScale) -> None:
        super().__init__()
        self.encoder = Encoder(network)
        self.register_buffer("weight_MC", torch.from_numpy(column_codes(network)))
        self.activation = network.autoencoder.output_activation
        self.unit = unit_after_products(network)
        self.scale = scale

    def forward(self, ratings_BM: Tensor, rated_BM: Tensor | None = None) -> tuple[Tensor, ...]:
        first = self.encoder.first_layer(ratings_BM, rated_BM)
        codes_BC = self.encoder.after_first(*first)
        output_BM = self.activation(codes_BC @ self.weight_MC.T)
        if self.unit != 1:
            output_BM = output_BM * self.unit
        predicted = clip(output_BM, self.scale)
        return *predicted, codes_BC, *first


def export_user_codes(
    network: RatingPredictor,
    opener: Opener,
    train: RatingMatrix,
    folder: Path,
    config: ExportConfig,
) -> ExportReport:
    """Write the whole graph; and its first layer, from there to the codes, and on to the ratings.

    Arguments as of `movie_codes.export_movie_codes`; the network's columns are the movies.

    Raises:
        ExportError: torch differs from the graph, or the graph from its parts.
    """
    between = [FIRST_LAYER] if network.biases is None else [FIRST_LAYER, USER_BIAS]
    report = export_onnx(
        network,
        opener.scale,
        train.values_UM,
        folder / GRAPH,
        config,
        in_parts=_InParts(network, opener.scale).eval(),
        between=[USER_CODES, *between],
    )
    cut(folder / GRAPH, between, [USER_CODES], folder / USER_ENCODER)
    write_products(folder, config)
    _first_layer(network).write(folder / USER_WEIGHTS)
    np.save(folder / MOVIE_WEIGHTS, column_codes(network))
    apart = _parts_differ(opener, train, folder)
    largest = float(np.max([report.largest_difference, apart]))
    return agreement(largest, report.num_probe_users, report.opset, config, opener.scale)


@torch.no_grad()
def _first_layer(network: RatingPredictor) -> FirstLayer:
    """Its weights, as they count."""
    autoencoder = network.autoencoder
    weight_MH = network.in_units(autoencoder.first_weight())
    rated_weight_MH = autoencoder.rated_weights_IH[0] if autoencoder.has_rated else weight_MH[:0]
    return FirstLayer(
        weight_MH=np.ascontiguousarray(weight_MH.numpy()),
        offset_H=autoencoder.encoder_biases_H[0].numpy(),
        rated_weight_MH=rated_weight_MH.numpy(),
    )


def _parts_differ(opener: Opener, train: RatingMatrix, folder: Path) -> float:
    """How far what the parts that were written say is from what the whole graph says."""
    probes = probe_users(train, opener.scale)
    found_PM = opener.open(folder).predict(probes, {}, counted=True)
    unclipped_PM = open_graph(folder / GRAPH, "cpu").predict(probes.values_UM).unclipped_BM
    return difference(unclipped_PM, found_PM, opener.scale)
