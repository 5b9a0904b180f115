"""Shape legend: B rows of a batch, P packed steps, R ratings."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from deeprec.models.sequences import Sequences
from deeprec.models.step_batches import pack

# Three rows: two steps (two ratings, then one), none, and one step of one rating.
SEQUENCES = Sequences(
    step_start_N=np.array([0, 2, 2, 3]),
    rating_start_S=np.array([0, 2, 3, 4]),
    features_SF=np.array([[1, 0, 0], [0, 0.6, 0], [1, 0.3, 0.3]], dtype=np.float32),
    column_R=np.array([0, 1, 2, 0]),
    rating_R=np.array([5, 3, 4, 1], dtype=np.float32),
    entry_R=np.array([0, 1, 2, 3]),
)


def test_a_batch_by_hand() -> None:
    batch = pack(SEQUENCES, np.array([1, 2, 0]))
    assert [0, 2, 1] == batch.row_B.tolist()
    assert [0, 2, 1] == batch.step_P.tolist()
    assert [2, 1] == batch.size_T.tolist()
    assert pytest.approx([0, 0.3, 0.6]) == batch.features_PF[:, 1].tolist()
    assert [0, 2, 3, 4] == batch.rating_start_P.tolist()
    assert [0, 1, 0, 2] == batch.column_R.tolist()
    assert [5, 3, 1, 4] == batch.rating_R.tolist()
    assert [0, 1, 3, 2] == batch.place_R.tolist()
    assert [0, 0, 2, 0] == batch.row_R.tolist()
    assert [0, 0, 0, 1] == batch.state_before_R.tolist()


def test_rows_without_steps_are_an_empty_batch() -> None:
    batch = pack(SEQUENCES, np.array([1]))
    assert ([1], [], [], [0]) == tuple(
        array.tolist() for array in (batch.row_B, batch.step_P, batch.size_T, batch.rating_start_P)
    )


@given(st.lists(st.lists(st.integers(1, 3), max_size=4), min_size=1, max_size=6), st.randoms())
@example_settings(max_examples=80)
def test_each_row_keeps_its_steps_in_order(rows: list[list[int]], random: Random) -> None:
    sequences = sequences_of(rows)
    row_B = random.sample(range(len(rows)), random.randint(1, len(rows)))
    batch = pack(sequences, np.array(row_B))
    assert sorted(row_B) == sorted(batch.row_B.tolist())
    assert sorted(batch.size_T, reverse=True) == batch.size_T.tolist()
    turn_P = np.repeat(np.arange(len(batch.size_T)), batch.size_T)
    place_P = np.arange(len(turn_P)) - np.repeat(
        np.cumsum(batch.size_T) - batch.size_T, batch.size_T
    )
    for row in row_B:
        mine_P = np.flatnonzero(batch.row_B[place_P] == row)
        first, end = sequences.step_start_N[row : row + 2].tolist()
        assert list(range(first, end)) == batch.step_P[mine_P].tolist()
        left_P = [0, *(mine_P + 1).tolist()]
        for turn, packed in enumerate(mine_P):
            entries = slice(*batch.rating_start_P[packed : packed + 2].tolist())
            assert {left_P[turn]} == set(batch.state_before_R[entries].tolist())
            assert {row} == set(batch.row_R[entries].tolist())
            place_R = range(*sequences.rating_start_S[batch.step_P[packed] :][:2].tolist())
            assert list(place_R) == batch.place_R[entries].tolist()


def sequences_of(rows: list[list[int]]) -> Sequences:
    """Rows of steps of so many ratings, numbered through."""
    counts = [count for row in rows for count in row]
    numbers = np.arange(sum(counts))
    return Sequences(
        step_start_N=np.cumsum([0, *map(len, rows)]),
        rating_start_S=np.cumsum([0, *counts]),
        features_SF=np.zeros((len(counts), 3), dtype=np.float32),
        column_R=numbers,
        rating_R=numbers.astype(np.float32),
        entry_R=numbers,
    )
