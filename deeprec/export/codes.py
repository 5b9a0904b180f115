"""Codes whose products a network's predictions are: of its rows a graph, of its columns a matrix.

Shape legend: B rows of a batch, N columns, H units of the first layer, C a code.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deeprec.config.training import ExportConfig
from deeprec.export.onnx_files import write_product
from deeprec.models.inference import BATCH, MOVIE_CODES, PRODUCT_GRAPH, PRODUCTS, USER_CODES
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import Floats


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
