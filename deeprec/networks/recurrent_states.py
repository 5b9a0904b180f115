"""Running one side of a recurrent network over sequences, some rows at a time.

Shape legend: N rows, B rows of a batch, P its active steps, S = 1 + all active steps of all rows, D
dynamic factors.
"""

import numpy as np
import torch
from torch import Tensor

from deeprec.models.sequences import Sequences
from deeprec.models.step_batches import StepBatch, pack
from deeprec.networks.recurrent import RecurrentSide, Steps


def as_tensors(batch: StepBatch, device: torch.device) -> Steps:
    """A packed batch as a side reads it."""
    return Steps(
        features_PF=torch.from_numpy(batch.features_PF).to(device),
        rating_start_P=torch.from_numpy(batch.rating_start_P[:-1]).to(device),
        column_R=torch.from_numpy(batch.column_R).to(device),
        rating_R=torch.from_numpy(batch.rating_R).to(device),
        size_T=torch.from_numpy(batch.size_T),
    )


@torch.no_grad()
def all_states(side: RecurrentSide, sequences: Sequences, batch_size: int) -> Tensor:
    """S x D: dynamic factors of the initial state, and after every step in its own order."""
    states_SD = side.affine_D.repeat(sequences.num_steps + 1, 1)
    for start in range(0, sequences.num_rows, batch_size):
        row_B = np.arange(start, min(start + batch_size, sequences.num_rows))
        batch = pack(sequences, row_B)
        if len(batch.step_P):
            place_P = torch.from_numpy(batch.step_P + 1).to(side.device)
            states_SD[place_P] = side(as_tensors(batch, side.device))[1:]
    return states_SD


def last_states(side: RecurrentSide, sequences: Sequences, batch_size: int) -> Tensor:
    """N x D: dynamic factors after all of a row's steps."""
    states_SD = all_states(side, sequences, batch_size)
    return states_SD[torch.from_numpy(sequences.last_state_N).to(side.device)]
