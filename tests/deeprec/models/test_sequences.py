"""Shape legend: U users, M movies, N rows, R ratings, S active steps."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from scipy import sparse

from deeprec.models.sequences import (
    Clock,
    Days,
    Sequences,
    movie_sequences,
    rows_of,
    user_sequences,
)

Ratings = sparse.csr_array[np.float32]

WEEKS = Clock(first_day=100, step_days=7, num_steps=3)


def dated(
    entries: Sequence[tuple[int, int, float, int]], shape: tuple[int, int]
) -> tuple[Ratings, Days]:
    """(user, movie, rating, day), by user and movie."""
    user_R, movie_R, rating_R, day_R = map(np.array, zip(*entries, strict=True))
    start_U = np.concatenate([[0], np.cumsum(np.bincount(user_R, minlength=shape[0]))])
    values_UM: Ratings = sparse.csr_array(
        (rating_R.astype(np.float32), movie_R, start_U), shape=shape
    )
    return values_UM, day_R.astype(np.int32)


# The first user rates twice in the first week and once in the third, the second never, the third
# once in the second week.
THREE_WEEKS = dated([(0, 0, 5, 100), (0, 1, 3, 103), (0, 2, 4, 115), (2, 0, 1, 107)], (3, 3))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Ratings, Days, Clock]:
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    pairs = [(user, movie) for user in range(shape[0]) for movie in range(shape[1])]
    rated = sorted(draw(st.sets(st.sampled_from(pairs), min_size=1)))
    entries = [(*pair, draw(st.integers(0, 5)), draw(st.integers(0, 40))) for pair in rated]
    values_UM, days_R = dated(entries, shape)
    return values_UM, days_R, Clock.of(days_R, draw(st.integers(1, 15)))


def test_a_clock_counts_from_the_first_training_day() -> None:
    assert WEEKS == Clock.of(THREE_WEEKS[1], step_days=7)
    days_R = np.array([99, 100, 106, 107, 150], dtype=np.int32)
    assert [-1, 0, 0, 1, 7] == WEEKS.step_of(days_R).tolist()


def test_users_steps_by_hand() -> None:
    users = user_sequences(*THREE_WEEKS, WEEKS)
    assert (3, 3) == (users.num_rows, users.num_steps)
    assert [0, 2, 2, 3] == users.step_start_N.tolist()
    assert [0, 2, 3, 4] == users.rating_start_S.tolist()
    newbie_step_before = [[1, 0, 0], [0, 2 / 3, 0], [1, 1 / 3, 1 / 3]]
    assert newbie_step_before == [pytest.approx(row) for row in users.features_SF.tolist()]
    assert [0, 1, 2, 0] == users.column_R.tolist()
    assert [5, 3, 4, 1] == users.rating_R.tolist()
    assert [0, 0, 1, 0] == users.state_before_R.tolist()
    assert [2, 0, 3] == users.last_state_N.tolist()


def test_movies_steps_by_hand() -> None:
    movies = movie_sequences(*THREE_WEEKS, WEEKS)
    assert [0, 2, 3, 4] == movies.step_start_N.tolist()
    assert [0, 1, 2, 3, 4] == movies.rating_start_S.tolist()
    newbie_step_before = [[1, 0, 0], [0, 1 / 3, 0], [1, 0, 0], [1, 2 / 3, 2 / 3]]
    assert newbie_step_before == [pytest.approx(row) for row in movies.features_SF.tolist()]
    assert [0, 2, 0, 0] == movies.column_R.tolist()
    assert [5, 1, 3, 4] == movies.rating_R.tolist()
    assert [0, 3, 1, 2] == movies.entry_R.tolist()
    assert [0, 1, 0, 0] == movies.state_before_R.tolist()
    assert [2, 3, 4] == movies.last_state_N.tolist()


def test_time_decides_the_order_and_not_the_column() -> None:
    users = user_sequences(*dated([(0, 0, 2, 114), (0, 1, 4, 100)], (1, 2)), WEEKS)
    assert [1, 0] == users.column_R.tolist() == users.entry_R.tolist()


def test_a_rating_of_zero_is_a_rating() -> None:
    users = user_sequences(*dated([(0, 0, 0, 100), (0, 1, 4, 107)], (1, 2)), WEEKS)
    assert [0, 4] == users.rating_R.tolist()
    assert 2 == users.num_steps


@given(histories())
@example_settings(max_examples=80)
def test_steps_are_what_a_plain_loop_finds(history: tuple[Ratings, Days, Clock]) -> None:
    values_UM, days_R, clock = history
    user_R, movie_R, step_R = rows_of(values_UM), values_UM.indices, clock.step_of(days_R)
    for sequences, row_R in (
        (user_sequences(*history), user_R),
        (movie_sequences(*history), movie_R),
    ):
        assert list(range(values_UM.nnz)) == sorted(sequences.entry_R.tolist())
        assert values_UM.data[sequences.entry_R].tolist() == sequences.rating_R.tolist()
        assert steps_by_hand(row_R, step_R) == steps_of(sequences, step_R)
        before = [
            len({step_R[e] for e in range(len(row_R)) if row_R[e] == row and step_R[e] < step})
            for row, step in zip(row_R, step_R, strict=True)
        ]
        start_R = sequences.step_start_N[row_R[sequences.entry_R]]
        expected = [
            start + before[entry] if before[entry] else 0
            for start, entry in zip(start_R, sequences.entry_R, strict=True)
        ]
        assert expected == sequences.state_before_R.tolist()


def steps_by_hand(
    row_R: np.typing.NDArray[np.integer], step_R: np.typing.NDArray[np.int64]
) -> list[tuple[int, int, list[int]]]:
    """(row, step, entries) of every active step."""
    found: dict[tuple[int, int], list[int]] = {}
    for entry, key in enumerate(zip(row_R.tolist(), step_R.tolist(), strict=True)):
        found.setdefault(key, []).append(entry)
    return [(*key, found[key]) for key in sorted(found)]


def steps_of(
    sequences: Sequences, step_R: np.typing.NDArray[np.int64]
) -> list[tuple[int, int, list[int]]]:
    found = []
    for row in range(sequences.num_rows):
        for step in range(*sequences.step_start_N[row : row + 2].tolist()):
            entries = sequences.entry_R[slice(*sequences.rating_start_S[step : step + 2].tolist())]
            (when,) = set(step_R[entries].tolist())
            found.append((row, when, sorted(entries.tolist())))
    return found
