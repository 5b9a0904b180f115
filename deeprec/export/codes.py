"""Exporting a network over users' vectors whose predictions are products of codes: its parts.

Shape legend: B rows of a batch, N columns, M movies, H units of the first layer, C a code,
P probe users.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deeprec.config.models import AutoencoderConfig
from deeprec.config.training import ExportConfig
from deeprec.export.graphs import (
    ExportReport,
    agreement,
    clip,
    difference,
    export_onnx,
    probe_users,
)
from deeprec.export.onnx_files import cut, write_product
from deeprec.models.baselines import Biases
from deeprec.models.first_layer import FirstLayer
from deeprec.models.inference import (
    BATCH,
    FIRST_LAYER,
    MOVIE_CODES,
    PRODUCTS,
    USER_BIAS,
    USER_CODES,
    open_graph,
)
from deeprec.models.opening import (
    GRAPH,
    MOVIE_WEIGHTS,
    PRODUCT_GRAPH,
    USER_ENCODER,
    USER_WEIGHTS,
    open_model,
)
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import Floats, RatingMatrix, RatingScale


class Encoder(nn.Module):
    """A vector in, its code out: last hidden layer, 1, and the row's bias if there are biases."""

    def __init__(self, network: RatingPredictor) -> None:
        super().__init__()
        self.network = network

    def forward(self, ratings_BN: Tensor, rated_BN: Tensor | None = None) -> Tensor:
        """B x C."""
        return self.after_first(*self.first_layer(ratings_BN, rated_BN))

    def first_layer(self, ratings_BN: Tensor, rated_BN: Tensor | None) -> tuple[Tensor, ...]:
        """B x H: the first layer's sums; B x 1: the rows' biases, if there are biases."""
        network, biases = self.network.autoencoder, self.network.biases
        if biases is None:
            return (network.first_layer(self.network.in_units(ratings_BN), rated_BN),)
        assert rated_BN is not None, "biases need to know which columns are rated"
        bias_B1 = biases.row_bias(ratings_BN, rated_BN)
        left_BN = (ratings_BN - biases.everywhere(bias_B1)) * rated_BN
        return network.first_layer(self.network.in_units(left_BN), rated_BN), bias_B1

    def after_first(self, first_BH: Tensor, *bias_B1: Tensor) -> Tensor:
        """B x C: the code that belongs to them."""
        network = self.network.autoencoder
        hidden_BH = network.before_last(network.after_first(first_BH))
        return torch.cat([hidden_BH, torch.ones_like(first_BH[:, :1]), *bias_B1], dim=1)


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


@dataclass(frozen=True)
class Parts:
    """What is taken apart: a fitted network, in eval mode, on the CPU."""

    network: RatingPredictor
    config: AutoencoderConfig
    biases: Biases
    scale: RatingScale


def export_in_parts(
    parts: Parts, train: RatingMatrix, folder: Path, config: ExportConfig
) -> ExportReport:
    """Write the whole graph; and its first layer, from there to the codes, and on to the ratings.

    Raises:
        ExportError: torch differs from the graph, or the graph from its parts.
    """
    network = parts.network
    between = [FIRST_LAYER] if network.biases is None else [FIRST_LAYER, USER_BIAS]
    report = export_onnx(
        network,
        parts.scale,
        train.values_UM,
        folder / GRAPH,
        config,
        in_parts=_InParts(network, parts.scale).eval(),
        between=[USER_CODES, *between],
    )
    cut(folder / GRAPH, between, [USER_CODES], folder / USER_ENCODER)
    write_products(folder, config)
    _first_layer(network).write(folder / USER_WEIGHTS)
    np.save(folder / MOVIE_WEIGHTS, column_codes(network))
    apart = _parts_differ(parts, train, folder)
    largest = float(np.max([report.largest_difference, apart]))
    return agreement(largest, report.num_probe_users, report.opset, config, parts.scale)


def write_products(folder: Path, config: ExportConfig) -> None:
    """Write the graph of what codes of whatever length come to, for any users and movies.

    A graph works out all that it has, asked for or not: this one has nothing else.
    """
    matrices = {
        USER_CODES: (BATCH, "codes"),
        MOVIE_CODES: ("movies", "codes"),
        PRODUCTS: (BATCH, "movies"),
    }
    write_product(folder / PRODUCT_GRAPH, matrices, config.opset)


def unit_after_products(network: RatingPredictor) -> float:
    """The part of a network's unit that its column codes do not hold: none if nothing bends it."""
    is_linear = isinstance(network.autoencoder.output_activation, nn.Identity)
    return 1.0 if is_linear else network.unit


@torch.no_grad()
def column_codes(network: RatingPredictor) -> Floats:
    """N x C: each column's weights in the last layer, its offset, and 1 for the rows' biases."""
    unit = network.unit / unit_after_products(network)
    weight_NH = unit * network.autoencoder.last_weight()
    offset_N1 = unit * network.autoencoder.decoder_biases_H[-1][:, None]
    parts = [weight_NH, offset_N1]
    if network.biases is not None:
        baseline_N1 = (network.biases.global_mean + network.biases.column_bias_N)[:, None]
        parts = [weight_NH, offset_N1 + baseline_N1, torch.ones_like(baseline_N1)]
    return np.ascontiguousarray(torch.cat(parts, dim=1).numpy())


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


def _parts_differ(parts: Parts, train: RatingMatrix, folder: Path) -> float:
    """How far what the parts that were written say is from what the whole graph says."""
    values_PM = probe_users(train.values_UM, parts.scale)
    ids_P = np.arange(values_PM.shape[0], dtype=np.int64)
    probes = RatingMatrix(ids_P, train.movie_ids_M, values_PM)
    model = open_model(folder, parts.config, parts.biases, unit=parts.scale.unit, device="cpu")
    found_PM = model.predict(probes, {}, counted=True)
    unclipped_PM = open_graph(folder / GRAPH, "cpu").predict(values_PM).unclipped_BM
    return difference(unclipped_PM, found_PM, parts.scale)
