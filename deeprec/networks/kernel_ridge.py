"""Kernel ridge regression as torch modules, which is how it becomes an ONNX graph.

Shape legend: B users of a batch, M movies.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.units import in_units, out_of_units

_SMALLEST = 1e-12  # below every square that still matters; keeps 0 / 0 at 0


class MovieKernelRidge(nn.Module):
    """One regression a user over the movies that he has rated, by conjugate gradients.

    The system of B users is solved at once: a product with the masked kernel of every user is
    one dense matrix product (Hestenes and Stiefel 1952).
    """

    def __init__(
        self,
        biases: DampedBiases,
        rated_weight: float,
        ridge: float,
        num_steps: int,
        *,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.biases = biases
        self.rated_weight = rated_weight
        self.ridge = ridge
        self.num_steps = num_steps
        self.unit = unit

    def forward(self, *inputs: Tensor) -> Tensor:
        """B x M: predicted ratings, not clipped to the scale; of the inputs of `_systems`."""
        baseline_BM, systems = self._systems(*inputs)
        output_BM = systems.kernel_times(systems.solve(self.num_steps))
        predicted_BM: Tensor = baseline_BM + out_of_units(output_BM, self.unit)
        return predicted_BM

    def unsolved(self, *inputs: Tensor) -> Tensor:
        """B x 1: the share of what biases leave that the steps leave; of the same inputs."""
        _, systems = self._systems(*inputs)
        left_BM = systems.left_BM
        rest_BM = left_BM - systems.times(systems.solve(self.num_steps))
        return (_dot(rest_BM, rest_BM) / _dot(left_BM, left_BM).clamp(min=_SMALLEST)).sqrt()

    def _systems(
        self,
        ratings_BM: Tensor,
        rated_BM: Tensor,
        kernel_MM: Tensor,
        scale_M: Tensor,
        counted_B1: Tensor,
    ) -> tuple[Tensor, "_Systems"]:
        """B x M: what biases say; and the users' systems.

        Args:
            ratings_BM: the ratings; 0 where unrated.
            rated_BM: 1 where rated, 0 elsewhere.
            kernel_MM: `deeprec.models.kernel_ridge.MovieKernel`'s, over everybody.
            scale_M: its features' scales.
            counted_B1: 1 for users whose ratings are in the kernel, and must be taken out of it.
        """
        baseline_BM = self.biases(ratings_BM, rated_BM)
        left_BM = in_units((ratings_BM - baseline_BM) * rated_BM, self.unit)
        own_scale_BM = scale_M * counted_B1
        systems = _Systems(
            left_BM=left_BM,
            rated_BM=rated_BM,
            kernel_MM=kernel_MM,
            own_left_BM=left_BM * own_scale_BM,
            own_rated_BM=self.rated_weight * rated_BM * own_scale_BM,
            ridge=self.ridge,
        )
        return baseline_BM, systems


@dataclass(frozen=True)
class _Systems:
    """(kernel + ridge I) dual = left of B users, each over the movies that he has rated."""

    left_BM: Tensor
    rated_BM: Tensor
    kernel_MM: Tensor
    own_left_BM: Tensor
    own_rated_BM: Tensor
    ridge: float

    def kernel_times(self, dual_BM: Tensor) -> Tensor:
        """B x M: with the kernel of all movies, the users' own parts taken out."""
        own_BM = self.own_left_BM * _dot(self.own_left_BM, dual_BM)
        own_BM = own_BM + self.own_rated_BM * _dot(self.own_rated_BM, dual_BM)
        image_BM: Tensor = dual_BM @ self.kernel_MM - own_BM
        return image_BM

    def times(self, dual_BM: Tensor) -> Tensor:
        """B x M: the systems' left side."""
        return self.rated_BM * self.kernel_times(dual_BM) + self.ridge * dual_BM

    def solve(self, num_steps: int) -> Tensor:
        """B x M: the dual after so many steps."""
        dual_BM = torch.zeros_like(self.left_BM)
        rest_BM = direction_BM = self.left_BM
        rest_B1 = _dot(rest_BM, rest_BM)
        for _ in range(num_steps):
            image_BM = self.times(direction_BM)
            length_B1 = rest_B1 / _dot(direction_BM, image_BM).clamp(min=_SMALLEST)
            dual_BM = dual_BM + length_B1 * direction_BM
            rest_BM = rest_BM - length_B1 * image_BM
            new_rest_B1 = _dot(rest_BM, rest_BM)
            direction_BM = rest_BM + new_rest_B1 / rest_B1.clamp(min=_SMALLEST) * direction_BM
            rest_B1 = new_rest_B1
        return dual_BM


class UserKernelRidge(nn.Module):
    """What regressions over users come to for one of them: two linear layers on his vector."""

    needs_rated = True
    residual_MM: Tensor
    rated_MM: Tensor

    def __init__(
        self,
        biases: DampedBiases,
        residual_MM: Tensor,
        rated_MM: Tensor,
        rated_weight: float,
        count_power: float,
        *,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.biases = biases
        self.register_buffer("residual_MM", residual_MM)
        self.register_buffer("rated_MM", rated_MM)
        self.rated_weight = rated_weight
        self.count_power = count_power
        self.unit = unit

    def forward(self, ratings_BM: Tensor, rated_BM: Tensor | None) -> Tensor:
        """B x M: predicted ratings, not clipped to the scale."""
        assert rated_BM is not None, "biases need to know which columns are rated"
        baseline_BM = self.biases(ratings_BM, rated_BM)
        left_BM = in_units((ratings_BM - baseline_BM) * rated_BM, self.unit)
        scale_B1 = rated_BM.sum(dim=1, keepdim=True).clamp(min=1.0) ** -self.count_power
        added_BM = left_BM @ self.residual_MM + self.rated_weight * (rated_BM @ self.rated_MM)
        predicted_BM: Tensor = baseline_BM + out_of_units(scale_B1 * added_BM, self.unit)
        return predicted_BM


def _dot(a_BM: Tensor, b_BM: Tensor) -> Tensor:
    """B x 1: row by row."""
    return (a_BM * b_BM).sum(dim=1, keepdim=True)
