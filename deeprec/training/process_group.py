"""The processes that fit one network together, each to rows of its own; alone, nothing changes.

Row r belongs to process r mod P. Every process draws the same order of all rows, so a step is of
the same batch as in one process, and the sums over its parts are the sums over the whole.

Shape legend: P processes, B rows of a batch.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class ProcessGroup:
    """One of P processes."""

    rank: int = 0
    num_processes: int = 1

    def own(self, rows: Rows) -> Rows:
        """Of rows in their order, those that this process holds."""
        return rows[self.rank :: self.num_processes]

    def places(self, drawn_B: Rows) -> Rows:
        """Where the drawn ones of all rows lie among this process's own; others' are left out."""
        own_B: Rows = drawn_B[drawn_B % self.num_processes == self.rank]
        return own_B // self.num_processes

    def sum(self, part: Tensor) -> Tensor:
        """The sum of all processes' parts, in each of them; no gradient passes."""
        if self.num_processes == 1:
            return part
        total = part.detach().clone()
        distributed.all_reduce(total)
        return total

    def replica(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over all processes whenever they are computed."""
        return DistributedDataParallel(module) if self.num_processes > 1 else module

    def summed_once(
        self, replica: nn.Module, *, is_last: bool
    ) -> contextlib.AbstractContextManager[None]:
        """Around one of several gradients that add up: only the last is of all processes."""
        if is_last or not isinstance(replica, DistributedDataParallel):
            return contextlib.nullcontext()
        return replica.no_sync()


ALONE = ProcessGroup()


@contextlib.contextmanager
def joined_group(device: torch.device) -> Iterator[ProcessGroup]:
    """The group of the processes that torchrun has started, each on a device of its own kind."""
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield ProcessGroup(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
