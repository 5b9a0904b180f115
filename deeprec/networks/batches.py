"""Rows of a sparse matrix as dense batches on a device; the whole matrix is never dense.

Shape legend: U users, B users in a batch, M movies, R rated cells of a batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some users' ratings, dense. The tensors are overwritten by the next batch."""

    rows: slice
    ratings_BM: Tensor
    rated_BM: Tensor
    num_ratings: int


@dataclass(frozen=True)
class Cells:
    """Where a batch is rated, as places in the flattened B x M, and how."""

    place_R: Tensor
    rating_R: Tensor


class DenseBatches:
    """Two buffers, filled again for each batch: allocating them anew costs more than a step."""

    def __init__(self, batch_size: int, num_movies: int, device: torch.device) -> None:
        self._ratings_BM = torch.zeros(batch_size, num_movies, device=device)
        self._rated_BM = torch.zeros(batch_size, num_movies, device=device)
        self._device = device

    def of(self, values_UM: sparse.csr_array[np.float32]) -> Iterator[Batch]:
        """All rows in order, the last batch as short as it comes."""
        batch_size = len(self._ratings_BM)
        for start in range(0, values_UM.shape[0], batch_size):
            rows = slice(start, min(start + batch_size, values_UM.shape[0]))
            num_users = rows.stop - rows.start
            cells = cells_of(values_UM, rows, self._device)
            ratings_BM = self._ratings_BM[:num_users].zero_()
            rated_BM = self._rated_BM[:num_users].zero_()
            ratings_BM.view(-1)[cells.place_R] = cells.rating_R
            rated_BM.view(-1)[cells.place_R] = 1.0
            yield Batch(rows, ratings_BM, rated_BM, len(cells.rating_R))


def cells_of(values_UM: sparse.csr_array[np.float32], rows: slice, device: torch.device) -> Cells:
    """The stored entries of some rows; an explicit zero is one of them."""
    bounds = values_UM.indptr[rows.start : rows.stop + 1]
    entries = slice(bounds[0], bounds[-1])
    row_start_B = np.arange(len(bounds) - 1, dtype=np.int64) * values_UM.shape[1]
    place_R = np.repeat(row_start_B, np.diff(bounds)) + values_UM.indices[entries]
    return Cells(
        torch.from_numpy(place_R).to(device),
        torch.from_numpy(values_UM.data[entries]).to(device),
    )
