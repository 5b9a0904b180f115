"""Linear layers over sparse rows: the first reads only what is rated, the last computes only that.

At the 1 to 5 % of cells that are rated, both cost a fraction of their dense forms and are equal to
them, gradients too, up to the order in which numbers are added. On CUDA, cuSPARSE adds in no fixed
order: equal seeds then give nearly equal results.

Shape legend: B rows, N columns, H units of the dense side, R rated cells.
"""

import warnings
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor
from torch.autograd.function import once_differentiable

with warnings.catch_warnings():  # torch says once a process that CSR is in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], [], (1, 1))


class Pattern:
    """Which cells of B x N are rated; values of R cells are in row order.

    The columns' order, which only gradients ask for, is made when they first do.
    """

    def __init__(self, values_BN: sparse.csr_array[np.float32], device: torch.device) -> None:
        self.shape: tuple[int, int] = values_BN.shape
        self.device = device
        self.row_starts = _moved(values_BN.indptr, device)
        self.column_R = _moved(values_BN.indices, device)
        self._indptr, self._indices = values_BN.indptr, values_BN.indices

    @cached_property
    def row_R(self) -> Tensor:
        """The row of each cell."""
        rows = np.arange(self.shape[0], dtype=np.int64)
        return _moved(np.repeat(rows, np.diff(self._indptr)), self.device)

    @cached_property
    def _columns(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where each column starts, the row of each cell, its place in row order; by column."""
        places = np.arange(len(self._indices), dtype=np.int64)
        columns = sparse.csr_array((places, self._indices, self._indptr), self.shape).tocsc()
        return (
            _moved(columns.indptr, self.device),
            _moved(columns.indices, self.device),
            _moved(columns.data, self.device),
        )

    def matrix(self, values_R: Tensor) -> Tensor:
        """B x N, sparse, with these values."""
        return torch.sparse_csr_tensor(
            self.row_starts, self.column_R, values_R, self.shape, check_invariants=False
        )

    def transposed(self, values_R: Tensor) -> Tensor:
        """N x B, sparse, with these values."""
        column_starts, row_R, place_R = self._columns
        return torch.sparse_csr_tensor(
            column_starts, row_R, values_R[place_R], self.shape[::-1], check_invariants=False
        )


def sparse_times_dense(pattern: Pattern, values_R: Tensor, weight_NH: Tensor) -> Tensor:
    """B x H: rows of values times a dense weight; no gradient reaches the values."""
    product_BH: Tensor = _SparseTimesDense.apply(  # type: ignore[no-untyped-call]
        pattern, values_R, weight_NH
    )
    return product_BH


def dense_at_cells(pattern: Pattern, inputs_BH: Tensor, weight_NH: Tensor) -> Tensor:
    """R: the cells of `inputs_BH @ weight_NH.T` that the pattern names, and no others."""
    cells_R: Tensor = _DenseAtCells.apply(  # type: ignore[no-untyped-call]
        pattern, inputs_BH, weight_NH
    )
    return cells_R


class _SparseTimesDense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, values_R: Tensor, weight_NH: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        ctx.pattern = pattern
        ctx.save_for_backward(values_R)
        product_BH: Tensor = pattern.matrix(values_R) @ weight_NH
        return product_BH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BH: Tensor) -> tuple[None, None, Tensor]:  # noqa: ANN401
        (values_R,) = ctx.saved_tensors
        return None, None, ctx.pattern.transposed(values_R) @ gradient_BH.contiguous()


class _DenseAtCells(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, inputs_BH: Tensor, weight_NH: Tensor) -> Tensor:  # noqa: ANN401
        ctx.pattern = pattern
        ctx.save_for_backward(inputs_BH, weight_NH)
        zeros_BN = pattern.matrix(inputs_BH.new_zeros(len(pattern.column_R)))
        sampled = torch.sparse.sampled_addmm(zeros_BN, inputs_BH, weight_NH.T, beta=0.0)
        cells_R: Tensor = sampled.values().clone()
        return cells_R

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_R: Tensor) -> tuple[None, Tensor, Tensor]:  # noqa: ANN401
        inputs_BH, weight_NH = ctx.saved_tensors
        gradient_R = gradient_R.contiguous()
        to_inputs_BH = ctx.pattern.matrix(gradient_R) @ weight_NH
        to_weight_NH = ctx.pattern.transposed(gradient_R) @ inputs_BH
        return None, to_inputs_BH, to_weight_NH


def _moved(indexes: npt.NDArray[np.integer], device: torch.device) -> Tensor:
    """Indexes as torch wants them, on the device."""
    return torch.from_numpy(indexes.astype(np.int64, copy=False)).to(device)
