"""Linear layers over sparse rows: the first reads only what is rated, the last computes only that.

At the 1 to 5 % of cells that are rated, both cost a fraction of their dense forms and are equal to
them, gradients too, up to the order in which numbers are added. On CUDA, cuSPARSE adds in no fixed
order: equal seeds then give nearly equal results.

Shape legend: B rows, N columns, H units of the dense side, R rated cells, X rows or columns.
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
from torch.nn import functional

with warnings.catch_warnings():  # torch says once a process that CSR is in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], [], (1, 1))


class Pattern:
    """Which cells of B x N are rated; values of R cells are in row order.

    The columns' order, which only gradients ask for, is made when they first do.

    Args:
        shape: B, N.
        row_starts: where each row starts among the cells, and where the last one ends.
        column_R: the column of each cell.
    """

    def __init__(self, shape: tuple[int, int], row_starts: Tensor, column_R: Tensor) -> None:
        self.shape = shape
        self.row_starts = row_starts
        self.column_R = column_R

    @classmethod
    def of(cls, values_BN: sparse.csr_array[np.float32], device: torch.device) -> "Pattern":
        """The stored entries of a matrix, explicit zeros among them."""
        return cls(
            values_BN.shape, _moved(values_BN.indptr, device), _moved(values_BN.indices, device)
        )

    @cached_property
    def row_R(self) -> Tensor:
        """The row of each cell."""
        rows = torch.arange(self.shape[0], dtype=torch.int32, device=self.row_starts.device)
        return rows.repeat_interleave(self.row_starts.diff(), output_size=len(self.column_R))

    @cached_property
    def _columns(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where each column starts, the row of each cell, its place in row order; by column."""
        if self.column_R.is_cuda:
            return self.sorted_columns()
        places = np.arange(len(self.column_R), dtype=np.int32)
        rows = (places, self.column_R.numpy(), self.row_starts.numpy())
        columns = sparse.csr_array(rows, self.shape).tocsc()
        return (
            torch.from_numpy(columns.indptr),
            torch.from_numpy(columns.indices),
            torch.from_numpy(columns.data),
        )

    def sorted_columns(self) -> tuple[Tensor, Tensor, Tensor]:
        """The columns' order by operations that a GPU is not waited for; SciPy's on a CPU."""
        column_R, place_R = self.column_R.sort(stable=True)
        bounds = torch.arange(self.shape[1] + 1, dtype=torch.int32, device=column_R.device)
        column_starts = torch.searchsorted(column_R, bounds, out_int32=True)
        return column_starts, self.row_R[place_R], place_R.to(torch.int32)

    def matrix(self, values_R: Tensor) -> Tensor:
        """B x N, sparse, with these values."""
        return torch.sparse_csr_tensor(
            self.row_starts, self.column_R, values_R, self.shape, check_invariants=False
        )

    def times(self, values_R: Tensor, dense_NH: Tensor) -> Tensor:
        """B x H: rows of these values times a dense matrix."""
        return _weighted_sums(dense_NH, self.column_R, self.row_starts, values_R)

    def transposed_times(self, values_R: Tensor, dense_BH: Tensor) -> Tensor:
        """N x H: columns of these values times a dense matrix."""
        column_starts, row_R, place_R = self._columns
        return _weighted_sums(dense_BH, row_R, column_starts, values_R.index_select(0, place_R))


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
        return pattern.times(values_R, weight_NH)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BH: Tensor) -> tuple[None, None, Tensor]:  # noqa: ANN401
        (values_R,) = ctx.saved_tensors
        return None, None, ctx.pattern.transposed_times(values_R, gradient_BH)


class _DenseAtCells(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, inputs_BH: Tensor, weight_NH: Tensor) -> Tensor:  # noqa: ANN401
        ctx.pattern = pattern
        ctx.save_for_backward(inputs_BH, weight_NH)
        zeros_BN = pattern.matrix(inputs_BH.new_zeros(len(pattern.column_R)))
        sampled = torch.sparse.sampled_addmm(zeros_BN, inputs_BH, weight_NH.T, beta=0.0)
        cells_R: Tensor = sampled.values()
        return cells_R

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_R: Tensor) -> tuple[None, Tensor, Tensor]:  # noqa: ANN401
        inputs_BH, weight_NH = ctx.saved_tensors
        to_inputs_BH = ctx.pattern.times(gradient_R, weight_NH)
        return None, to_inputs_BH, ctx.pattern.transposed_times(gradient_R, inputs_BH)


def _weighted_sums(dense_XH: Tensor, places_R: Tensor, starts: Tensor, values_R: Tensor) -> Tensor:
    """Each range of values times the rows of a matrix at their places, summed.

    A bag of embeddings is this product, without a sparse matrix to be made first.
    """
    return functional.embedding_bag(
        places_R,
        dense_XH.contiguous(),
        starts,
        mode="sum",
        per_sample_weights=values_R,
        include_last_offset=True,
    )


def _moved(indexes: npt.NDArray[np.integer], device: torch.device) -> Tensor:
    """Indexes on the device, in 32 bits: no batch has as many cells as would need more."""
    return torch.from_numpy(indexes.astype(np.int32, copy=False)).to(device)
