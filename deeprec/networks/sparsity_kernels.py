"""Kernels over a layer's weights, after which few of them count.

Shape legend: H a layer's outputs, I its inputs, K coordinates of a kernel.
"""

import torch
from torch import Tensor, nn

_KERNEL_SPREAD = 1e-3  # of initial coordinates: kernels start at nearly 1


class SparsityKernel(nn.Module):
    """What SparseFC multiplies a layer's weights with (Muller et al. 2018, section 3).

    Inputs and outputs of the layer have places in a space of K coordinates; a weight counts
    max(0, 1 - squared distance) of its two ends.
    """

    def __init__(
        self, num_outputs: int, num_inputs: int, size: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.outputs_HK = nn.Parameter(_KERNEL_SPREAD * _normal(num_outputs, size, generator))
        self.inputs_IK = nn.Parameter(_KERNEL_SPREAD * _normal(num_inputs, size, generator))

    def forward(self) -> Tensor:
        """H x I: 1 where the ends meet, 0 from a distance of 1 on."""
        outputs_HK, inputs_IK = self.outputs_HK, self.inputs_IK
        lengths_HI = outputs_HK.square().sum(1)[:, None] + inputs_IK.square().sum(1)
        return (1 - lengths_HI + 2 * outputs_HK @ inputs_IK.T).clamp(min=0)


def _normal(num_rows: int, num_columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(num_rows, num_columns, generator=generator)
