"""Training rows, from which each step takes a batch; on a GPU they lie there as a whole.

100 million ratings are 0.8 GB there. No step waits for the GPU: how many ratings a batch has is
known here, and all else is worked out where the ratings are.

Shape legend: U rows, B rows of a batch, N columns, R rated cells.
"""

from typing import Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from deeprec.networks.sparse_layers import Pattern
from deeprec.training.objectives import RatedBatch
from deeprec.training.process_group import Rows


class RatedRows(Protocol):
    """Rows of ratings."""

    def batch(self, place_B: Rows) -> RatedBatch:
        """The rated cells of the rows at these places, in their order."""


def open_rows(
    ratings_UN: sparse.csr_array[np.float32], rows: Rows, device: torch.device
) -> RatedRows:
    """Some rows of a matrix, named by their places among them, for batches on this device."""
    if device.type == "cuda":
        return ResidentRows(ratings_UN[rows], device)
    return HostRows(ratings_UN, rows, device)


class HostRows:
    """Rows that stay where they are, a batch of which is copied."""

    def __init__(
        self, ratings_UN: sparse.csr_array[np.float32], rows: Rows, device: torch.device
    ) -> None:
        self._ratings_UN = ratings_UN
        self._rows = rows
        self._device = device

    def batch(self, place_B: Rows) -> RatedBatch:
        """See `RatedRows`."""
        return RatedBatch.of(self._ratings_UN[self._rows[place_B]], self._device)


class ResidentRows:
    """Rows that lie in the memory of the device."""

    def __init__(self, ratings_UN: sparse.csr_array[np.float32], device: torch.device) -> None:
        self._num_columns = ratings_UN.shape[1]
        self._lengths_U = np.diff(ratings_UN.indptr)
        self._starts_U = torch.from_numpy(ratings_UN.indptr.astype(np.int64)).to(device)
        self._column_R = torch.from_numpy(ratings_UN.indices.astype(np.int32)).to(device)
        self._rating_R = torch.from_numpy(ratings_UN.data).to(device)

    def batch(self, place_B: Rows) -> RatedBatch:
        """See `RatedRows`."""
        num_ratings = int(self._lengths_U[place_B].sum())
        row_B = self._moved(place_B)
        start_B = self._starts_U[row_B]
        length_B = self._starts_U[row_B + 1] - start_B
        row_starts = functional.pad(length_B.cumsum(0), (1, 0))
        entry_R = torch.arange(num_ratings, device=row_starts.device)
        entry_R += (start_B - row_starts[:-1]).repeat_interleave(length_B, output_size=num_ratings)
        shape = (len(place_B), self._num_columns)
        pattern = Pattern(shape, row_starts.to(torch.int32), self._column_R[entry_R])
        return RatedBatch(pattern, self._rating_R[entry_R])

    def _moved(self, place_B: Rows) -> Tensor:
        """The places on the device; from pinned memory, so that nothing waits for their copy."""
        row_B = torch.from_numpy(place_B.astype(np.int64))
        if not self._rating_R.is_cuda:
            return row_B
        return row_B.pin_memory().to(self._rating_R.device, non_blocking=True)


def of_known_rows(
    train_UN: sparse.csr_array[np.float32], held_out_UN: sparse.csr_array[np.float32] | None
) -> sparse.csr_array[np.float32] | None:
    """Held-out ratings of rows that have any to train on, if there are such.

    A row without any is answered by biases, and says nothing of a network.
    """
    if held_out_UN is None:
        return None
    num_held_out_U = np.diff(held_out_UN.indptr)
    is_known_U = np.diff(train_UN.indptr) > 0
    is_kept_R = np.repeat(is_known_U, num_held_out_U)
    if is_kept_R.all() or not is_kept_R.any():
        return held_out_UN
    starts = np.concatenate([[0], np.cumsum(num_held_out_U * is_known_U)])
    kept_UN: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            held_out_UN.data[is_kept_R],
            held_out_UN.indices[is_kept_R],
            starts.astype(held_out_UN.indptr.dtype),
        ),
        shape=held_out_UN.shape,
    )
    return kept_UN
