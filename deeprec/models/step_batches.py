"""Some rows' steps, packed as a recurrent layer reads them; knows nothing of networks.

Shape legend: N rows of the sequences, B rows of a batch, P its active steps, F features of one, T
the most steps of a row in it, R its ratings, G ranges.
"""

from dataclasses import dataclass

import numpy as np

from deeprec.models.sequences import Sequences, starts
from deeprec.ratings import Floats, Ids


@dataclass(frozen=True)
class StepBatch:
    """First the first step of every row, then the second of those that have one, and so on.

    States are numbered along with packed steps: p leaves the state p + 1, 0 is the first.
    """

    row_B: Ids  # the one with most steps first
    step_P: Ids  # in the sequences
    size_T: Ids  # rows that have a t-th step
    features_PF: Floats
    rating_start_P: Ids  # and where the last step ends
    column_R: Ids
    rating_R: Floats
    place_R: Ids  # in the sequences
    row_R: Ids
    state_before_R: Ids


def pack(sequences: Sequences, row_B: Ids) -> StepBatch:
    """The steps of some rows."""
    row_B = row_B[np.argsort(-sequences.num_steps_N[row_B], kind="stable")]
    num_steps_B = sequences.num_steps_N[row_B]
    step_P, turn_P = _ranges(sequences.step_start_N[row_B], num_steps_B)
    order_P = np.argsort(turn_P, kind="stable")
    place_P = np.empty_like(order_P)
    place_P[order_P] = np.arange(len(order_P))
    before_P = np.where(turn_P == 0, 0, np.roll(place_P, 1) + 1)[order_P]
    step_P = step_P[order_P]
    num_ratings_P = sequences.num_ratings_S[step_P]
    place_R, _ = _ranges(sequences.rating_start_S[step_P], num_ratings_P)
    return StepBatch(
        row_B=row_B,
        step_P=step_P,
        size_T=np.bincount(turn_P),
        features_PF=sequences.features_SF[step_P],
        rating_start_P=starts(num_ratings_P),
        column_R=sequences.column_R[place_R],
        rating_R=sequences.rating_R[place_R],
        place_R=place_R,
        row_R=np.repeat(np.repeat(row_B, num_steps_B)[order_P], num_ratings_P),
        state_before_R=np.repeat(before_P, num_ratings_P),
    )


def _ranges(start_G: Ids, count_G: Ids) -> tuple[Ids, Ids]:
    """start, start + 1, ... of every group, and which of its group each one is."""
    within = np.arange(count_G.sum()) - np.repeat(np.cumsum(count_G) - count_G, count_G)
    return np.repeat(start_G, count_G) + within, within
