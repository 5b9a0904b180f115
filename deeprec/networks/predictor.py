"""The rating predictor around an autoencoder: what it sees and predicts, and damped biases.

Shape legend: B rows of a batch, N columns, C the code, R rated cells of the batch, W wanted cells
of its output.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.sparse_layers import Pattern
from deeprec.networks.units import in_units, out_of_units


class Encoded(NamedTuple):
    """Rows half way through a predictor: codes, and row biases where there are any."""

    code_BC: Tensor
    row_bias_B1: Tensor | None


class RatingPredictor(nn.Module):
    """Ratings in, predicted ratings out.

    Without biases the network sees and predicts the ratings themselves; with them it sees and
    predicts what they leave of a rating, and they are added back. What it sees and predicts is
    counted in `unit`: ratings on a wider scale are to it what they would be in stars.
    """

    def __init__(
        self, autoencoder: Autoencoder, biases: DampedBiases | None = None, unit: float = 1.0
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.biases = biases
        self.unit = unit

    def in_units(self, ratings: Tensor) -> Tensor:
        """The same, counted in `unit`."""
        return in_units(ratings, self.unit)

    def out_of_units(self, output: Tensor) -> Tensor:
        """The way back."""
        return out_of_units(output, self.unit)

    @property
    def needs_rated(self) -> bool:
        """Whether the ratings alone do not tell it enough."""
        return self.biases is not None or self.autoencoder.has_rated

    def forward(self, ratings_BN: Tensor, rated_BN: Tensor | None = None) -> Tensor:
        """B x N: predicted ratings, not clipped to the scale.

        Args:
            ratings_BN: the ratings; 0 where unrated.
            rated_BN: 1 where rated, 0 elsewhere; see `needs_rated`.
        """
        return self.decode(self.encode(ratings_BN, rated_BN))

    def at_cells(
        self,
        pattern: Pattern,
        ratings_R: Tensor,
        wanted: Pattern,
        visible_R: Tensor | None = None,
    ) -> Tensor:
        """W: what `forward` gives at the wanted cells, in the time that the rated ones take.

        Args:
            pattern: which cells are rated.
            ratings_R: the ratings there.
            wanted: which cells to predict.
            visible_R: 1 where the network may see the rating, 0 where it is taken for unrated.
        """
        return self.decode_cells(self.encode_sparse(pattern, ratings_R, visible_R), wanted)

    def encode(self, ratings_BN: Tensor, rated_BN: Tensor | None = None) -> Encoded:
        """What `forward` makes of its input, half way."""
        if self.biases is None:
            return Encoded(self.autoencoder.encode(self.in_units(ratings_BN), rated_BN), None)
        assert rated_BN is not None, "biases need to know which columns are rated"
        row_bias_B1 = self.biases.row_bias(ratings_BN, rated_BN)
        left_BN = (ratings_BN - self.biases.everywhere(row_bias_B1)) * rated_BN
        return Encoded(self.autoencoder.encode(self.in_units(left_BN), rated_BN), row_bias_B1)

    def encode_sparse(
        self, pattern: Pattern, ratings_R: Tensor, visible_R: Tensor | None = None
    ) -> Encoded:
        """The same of rows that hold `ratings_R` where they are rated; see `at_cells`."""
        rated_R = torch.ones_like(ratings_R) if visible_R is None else visible_R
        if self.biases is None:
            seen_R = self.in_units(ratings_R * rated_R)
            code_BC = self.autoencoder.encode_sparse(pattern, seen_R, rated_R)
            return Encoded(code_BC, None)
        row_bias_B1 = self.biases.row_bias_sparse(pattern, ratings_R, rated_R)
        left_R = (ratings_R - self.biases.at_cells(row_bias_B1, pattern)) * rated_R
        code_BC = self.autoencoder.encode_sparse(pattern, self.in_units(left_R), rated_R)
        return Encoded(code_BC, row_bias_B1)

    def decode(self, encoded: Encoded) -> Tensor:
        """B x N: the predicted ratings of every column."""
        output_BN = self.out_of_units(self.autoencoder.decode(encoded.code_BC))
        if self.biases is None or encoded.row_bias_B1 is None:
            return output_BN
        return self.biases.everywhere(encoded.row_bias_B1) + output_BN

    def decode_cells(self, encoded: Encoded, wanted: Pattern) -> Tensor:
        """W: those of the wanted cells."""
        output_W = self.out_of_units(self.autoencoder.decode_cells(encoded.code_BC, wanted))
        if self.biases is None or encoded.row_bias_B1 is None:
            return output_W
        return self.biases.at_cells(encoded.row_bias_B1, wanted) + output_W
