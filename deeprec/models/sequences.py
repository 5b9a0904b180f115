"""From dated ratings to each user's or movie's steps in time; knows nothing of networks.

A row is a user and its columns movies, or the other way round. Days are cut into steps of equal
length; a row's *active* steps are those with a rating of its own, and the silent ones between
them are left out. States are numbered along with steps: step s leaves the state s + 1, and 0 is
the one that every row starts from.

Shape legend: U users, M movies, N rows, R ratings, S active steps of all rows, F features of one, G
groups.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deeprec.ratings import Floats, Ids

NUM_FEATURES = 3  # of a step: newbie, step, step before
UNKNOWN = -1  # the row of a user or movie who was not there at training

Days = npt.NDArray[np.int32]  # since 1970-01-01


@dataclass(frozen=True)
class Clock:
    """Days cut into steps; the first step starts on the first training day.

    `num_steps` is the training ratings' span. A later day falls in a later step.
    """

    first_day: int
    step_days: int
    num_steps: int

    @classmethod
    def of(cls, days_R: Days, step_days: int) -> "Clock":
        """The clock of training ratings, of which there is at least one."""
        first_day, last_day = int(days_R.min()), int(days_R.max())
        return cls(first_day, step_days, (last_day - first_day) // step_days + 1)

    def step_of(self, days_R: Days) -> Ids:
        """The step each day falls in."""
        return (days_R.astype(np.int64) - self.first_day) // self.step_days


@dataclass(frozen=True)
class Sequences:
    """Every row's ratings in order of time, cut into its active steps.

    Row n has the steps `step_start_N[n] : step_start_N[n + 1]`, step s the ratings
    `rating_start_S[s] : rating_start_S[s + 1]`, as in CSR.
    """

    step_start_N: Ids
    rating_start_S: Ids
    features_SF: Floats  # 1 in a row's first step; the step and the one before it, of training's
    column_R: Ids
    rating_R: Floats
    entry_R: Ids  # where in the matrix's data the rating stands

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.step_start_N) - 1

    @property
    def num_steps(self) -> int:
        """S."""
        return len(self.rating_start_S) - 1

    @property
    def num_steps_N(self) -> Ids:
        """Active steps of each row."""
        return np.diff(self.step_start_N)

    @property
    def num_ratings_S(self) -> Ids:
        """Ratings of each step."""
        return np.diff(self.rating_start_S)

    @property
    def state_before_R(self) -> Ids:
        """The state of a rating's row before the rating's step."""
        before_S = np.arange(self.num_steps)
        before_S[self.step_start_N[:-1][self.num_steps_N > 0]] = 0
        return np.repeat(before_S, self.num_ratings_S)

    @property
    def last_state_N(self) -> Ids:
        """The state after all of a row's steps."""
        return np.where(self.num_steps_N > 0, self.step_start_N[1:], 0)


def user_sequences(
    values_UM: sparse.csr_array[np.float32], days_R: Days, clock: Clock
) -> Sequences:
    """The steps of every user.

    Args:
        values_UM: ratings; an explicit zero is one.
        days_R: the day of each stored entry, in the order of `values_UM.data`.
        clock: how days are cut into steps.
    """
    return _sequences(rows_of(values_UM), values_UM.indices, values_UM, days_R, clock, axis=0)


def movie_sequences(
    values_UM: sparse.csr_array[np.float32], days_R: Days, clock: Clock
) -> Sequences:
    """The steps of every movie; arguments as of `user_sequences`."""
    return _sequences(values_UM.indices, rows_of(values_UM), values_UM, days_R, clock, axis=1)


def rows_of(values_UM: sparse.csr_array[np.float32]) -> Ids:
    """The row of each stored entry."""
    return np.repeat(np.arange(values_UM.shape[0], dtype=np.int64), np.diff(values_UM.indptr))


def starts(count_G: Ids) -> Ids:
    """Where each group starts, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(count_G)]).astype(np.int64)


def _sequences(
    row_R: npt.NDArray[np.integer],
    column_R: npt.NDArray[np.integer],
    values_UM: sparse.csr_array[np.float32],
    days_R: Days,
    clock: Clock,
    *,
    axis: int,
) -> Sequences:
    assert len(days_R) == values_UM.nnz, (len(days_R), values_UM.nnz)
    when_R = clock.step_of(days_R)
    entry_R = np.lexsort((column_R, when_R, row_R))
    row_R, when_R = row_R[entry_R], when_R[entry_R]
    first_S = np.flatnonzero(_differs(row_R) | _differs(when_R))
    return Sequences(
        step_start_N=starts(np.bincount(row_R[first_S], minlength=values_UM.shape[axis])),
        rating_start_S=np.append(first_S, len(row_R)),
        features_SF=_features(_differs(row_R[first_S]), when_R[first_S] / clock.num_steps),
        column_R=column_R[entry_R].astype(np.int64),
        rating_R=values_UM.data[entry_R],
        entry_R=entry_R,
    )


def _features(is_newbie_S: npt.NDArray[np.bool_], time_S: npt.NDArray[np.float64]) -> Floats:
    """S x 3; a first step, which has none before it, gets itself for the step before."""
    before_S = np.where(is_newbie_S, time_S, np.roll(time_S, 1))
    return np.stack([is_newbie_S, time_S, before_S], axis=1).astype(np.float32)


def _differs(value_R: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Where a value is not the one before it; the first one never is."""
    return np.asarray(np.diff(value_R, prepend=value_R[:1] - 1) != 0)
