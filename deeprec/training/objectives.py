"""What one training step minimises: squared errors over rated cells, and penalties on weights.

Shape legend: B rows of a batch, N columns, R rated cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.predictor import Encoded, RatingPredictor
from deeprec.networks.sparse_layers import Pattern

if TYPE_CHECKING:
    from deeprec.config.training import TrainConfig

_SMALLEST_WEIGHT = 1e-6  # of a batch whose ratings all count for nothing


@dataclass(frozen=True)
class RatedBatch:
    """Some rows' ratings: where they are, and what they are."""

    pattern: Pattern
    rating_R: Tensor

    @property
    def num_ratings(self) -> int:
        """R."""
        return len(self.rating_R)

    @classmethod
    def of(cls, values_BN: sparse.csr_array[np.float32], device: torch.device) -> "RatedBatch":
        """The stored entries, explicit zeros among them."""
        return cls(Pattern.of(values_BN, device), torch.from_numpy(values_BN.data).to(device))


@dataclass(frozen=True)
class Loss:
    """What to descend, the plain sum of squared errors on the way, and the rows' codes.

    The objective counts errors in the network's unit, `squared` in ratings.
    """

    objective: Tensor
    squared: Tensor
    encoded: Encoded


LossPart = Callable[[RatingPredictor], Loss]


def _as_it_is(part: Tensor) -> Tensor:
    return part


def rated_loss(
    network: RatingPredictor,
    batch: RatedBatch,
    settings: "TrainConfig",
    share: float = 1.0,
    total: Callable[[Tensor], Tensor] = _as_it_is,
) -> Loss:
    """The loss over a batch's rated cells, some of them hidden from the network's input.

    The mean form is the poster's masked MSE (its equation 2), with unequal weights for hidden
    and visible ratings as in Strub et al. (2016); the sum form, with its penalties, is that of
    AutoRec (Sedhain et al. 2015, equation 2) and SparseFC (Muller et al. 2018).

    Args:
        network: the predictor, in train mode.
        batch: the rated cells.
        settings: any object with the attributes of `TrainConfig`.
        share: the batch's part of all rows, and so of the penalties.
        total: a batch's sum, from that over the part of it which is here.
    """
    visible_R = _draw_visible(batch.rating_R, settings.hide_fraction)
    encoded = network.encode_sparse(batch.pattern, batch.rating_R, visible_R)
    predicted_R = network.decode_cells(encoded, batch.pattern)
    squared_R = network.in_units(predicted_R - batch.rating_R).square()
    if visible_R is None:
        weighted = settings.visible_weight * squared_R.sum()
        weight = squared_R.new_full((), settings.visible_weight * len(squared_R))
    else:
        weight_R = torch.lerp(
            squared_R.new_full((), settings.hidden_weight),
            squared_R.new_full((), settings.visible_weight),
            visible_R,
        )
        weighted, weight = (weight_R * squared_R).sum(), weight_R.sum()
    if settings.loss == "mean":
        objective = weighted / total(weight).clamp(min=_SMALLEST_WEIGHT)
    else:
        objective = weighted + share * _penalty(network.autoencoder, settings)
    return Loss(objective, squared_R.detach().sum() * network.unit**2, encoded)


def masked_mse(predicted_BN: Tensor, actual_BN: Tensor, mask_BN: Tensor) -> Tensor:
    """Mean squared error over the cells where the mask is 1 (the poster, equation 2)."""
    return ((predicted_BN - actual_BN) * mask_BN).square().sum() / mask_BN.sum()


def _draw_visible(rating_R: Tensor, hide_fraction: float) -> Tensor | None:
    """1 for each rating the network may see, 0 for each that is hidden; None when all are seen."""
    if not hide_fraction:
        return None
    return (torch.rand_like(rating_R) >= hide_fraction).to(rating_R.dtype)


def _penalty(network: Autoencoder, settings: "TrainConfig") -> Tensor | float:
    """L2 on weight matrices and on sparsity kernels."""
    penalty: Tensor | float = 0.0
    if settings.l2:
        squares = [weight.square().sum() for weight in network.matrices()]
        penalty = penalty + settings.l2 * torch.stack(squares).sum()
    if settings.kernel_l2:
        kernels = [kernel().square().sum() for kernel in network.kernels]
        penalty = penalty + settings.kernel_l2 * torch.stack(kernels).sum()
    return penalty
