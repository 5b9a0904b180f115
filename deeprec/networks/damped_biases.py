"""What global mean, rows and columns alone predict, as a torch module.

Shape legend: B rows of a batch, N columns, R rated cells of the batch, W wanted cells.
"""

import torch
from torch import Tensor, nn

from deeprec.models.baselines import Biases
from deeprec.networks.sparse_layers import Pattern

_SMALLEST_COUNT = 1e-6  # keeps 0 ratings / (0 + no damping) at 0


class DampedBiases(nn.Module):
    """global mean + row bias + column bias, with each row's bias taken from the input itself.

    Holds what `models.baselines.Biases` holds, as buffers, so it is exported with the network.
    """

    global_mean: Tensor
    column_bias_N: Tensor
    row_damping: Tensor

    def __init__(self, global_mean: float, column_bias_N: Tensor, row_damping: float) -> None:
        super().__init__()
        self.register_buffer("global_mean", torch.tensor(global_mean))
        self.register_buffer("column_bias_N", column_bias_N.clone())
        self.register_buffer("row_damping", torch.tensor(row_damping))

    @classmethod
    def of(cls, biases: Biases) -> "DampedBiases":
        """Those that were fitted to rows of these columns."""
        column_bias_N = torch.from_numpy(biases.movie_bias_M)
        return cls(biases.global_mean, column_bias_N, biases.user_damping)

    def forward(self, ratings_BN: Tensor, rated_BN: Tensor) -> Tensor:
        """B x N: the bias prediction of every column."""
        return self.everywhere(self.row_bias(ratings_BN, rated_BN))

    def row_bias(self, ratings_BN: Tensor, rated_BN: Tensor) -> Tensor:
        """B x 1: each row's bias from its ratings."""
        column_N = self.global_mean + self.column_bias_N
        left_B1 = ((ratings_BN - column_N) * rated_BN).sum(dim=1, keepdim=True)
        return self._row_bias(left_B1, rated_BN.sum(dim=1, keepdim=True))

    def row_bias_sparse(self, pattern: Pattern, ratings_R: Tensor, rated_R: Tensor) -> Tensor:
        """B x 1: each row's bias from its ratings, counting those where `rated_R` is 1."""
        left_R = (ratings_R - self.global_mean - self.column_bias_N[pattern.column_R]) * rated_R
        ones_N1 = left_R.new_ones(pattern.shape[1], 1)
        return self._row_bias(
            pattern.matrix(left_R) @ ones_N1, pattern.matrix(rated_R.to(left_R)) @ ones_N1
        )

    def everywhere(self, row_bias_B1: Tensor) -> Tensor:
        """B x N: the bias prediction of every cell."""
        return self.global_mean + self.column_bias_N + row_bias_B1

    def at_cells(self, row_bias_B1: Tensor, wanted: Pattern) -> Tensor:
        """W: the bias prediction of the wanted cells."""
        column_W = self.global_mean + self.column_bias_N[wanted.column_R]
        return column_W + row_bias_B1[wanted.row_R, 0]

    def _row_bias(self, left_B1: Tensor, count_B1: Tensor) -> Tensor:
        """B x 1: the damped mean of what mean and columns leave."""
        return left_B1 / (count_B1 + self.row_damping).clamp(min=_SMALLEST_COUNT)
