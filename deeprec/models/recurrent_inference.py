"""Codes of users and movies from exported step graphs; knows nothing of torch.

A folder holds `user_step.onnx` and `movie_step.onnx`, which make a state of the one before it,
and `stationary.npz`, what is left of a network: affine maps, factors, biases, mean and clock. A
prediction is user code . movie code; what is added to it sits in further places of the codes,
against a 1 on the other side.

Shape legend: U users, M movies, N rows of a side, C its columns, B rows of a batch, R ratings, H
the LSTM's units, D dynamic and K stationary factors, L = D + K + 2 places of a code.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import onnxruntime as ort
from scipy import sparse

from deeprec.config.section import Device
from deeprec.errors import BundleError
from deeprec.models.inference import open_session
from deeprec.models.sequences import (
    UNKNOWN,
    Clock,
    Days,
    Sequences,
    movie_sequences,
    user_sequences,
)
from deeprec.models.step_batches import StepBatch, pack
from deeprec.ratings import Floats, Ids

USER_STEP, MOVIE_STEP, STATIONARY = "user_step.onnx", "movie_step.onnx", "stationary.npz"
RATINGS, NEWBIE, CLOCK, HIDDEN, CELL = "ratings", "newbie", "clock", "hidden", "cell"
NEXT_HIDDEN, NEXT_CELL = "next_hidden", "next_cell"

_MAX_CELLS = 2**22  # of a dense step: 16 MB
_SIDES = ("users", "movies")


@dataclass(frozen=True)
class SideWeights:
    """What a step graph does not hold of one side."""

    affine_DH: Floats
    affine_D: Floats
    factors_NK: Floats
    bias_N: Floats


def save_stationary(
    path: Path, sides: Mapping[str, SideWeights], clock: Clock, global_mean: float, unit: float
) -> None:
    """Write what `open_recurrent` reads beside the graphs; `sides` are named users and movies."""
    arrays = {
        f"{side}.{part.name}": getattr(sides[side], part.name)
        for side in _SIDES
        for part in fields(SideWeights)
    }
    arrays |= {"global_mean": np.float32(global_mean), "unit": np.float32(unit)}
    np.savez(path, clock=np.array(astuple(clock)), **arrays)


@dataclass(frozen=True)
class CodeSide:
    """One side's graph and weights."""

    session: ort.InferenceSession
    weights: SideWeights

    def dynamic_ND(self, sequences: Sequences, max_cells: int) -> Floats:
        """N x D: dynamic factors after all of a row's steps."""
        num_columns = self.session.get_inputs()[0].shape[1]
        batch_size = max(1, max_cells // num_columns)
        hidden_NH = np.zeros((sequences.num_rows, self.weights.affine_DH.shape[1]), np.float32)
        # Rows of like length together: a short one would wait for a long one's graph runs.
        row_N = np.argsort(-sequences.num_steps_N, kind="stable")
        for start in range(0, sequences.num_rows, batch_size):
            batch = pack(sequences, row_N[start : start + batch_size])
            hidden_NH[batch.row_B] = self._read(batch, num_columns)
        return hidden_NH @ self.weights.affine_DH.T + self.weights.affine_D

    def stationary(self, row_N: Ids) -> tuple[Floats, Floats]:
        """N x K factors and N x 1 biases; zeros for an `UNKNOWN` row."""
        known_N1 = (row_N != UNKNOWN)[:, None]
        factors_NK = np.where(known_N1, self.weights.factors_NK[row_N], 0)
        return factors_NK, np.where(known_N1, self.weights.bias_N[row_N][:, None], 0)

    def _read(self, batch: StepBatch, num_columns: int) -> Floats:
        """B x H: the state after a batch's steps, one graph run a step."""
        num_units = self.weights.affine_DH.shape[1]
        hidden_BH, cell_BH = np.zeros((2, len(batch.row_B), num_units), np.float32)
        end = 0
        for size in batch.size_T:
            start, end = end, end + size
            hidden_BH[:size], cell_BH[:size] = self.session.run(
                [NEXT_HIDDEN, NEXT_CELL],
                {
                    RATINGS: _dense(batch, start, end, num_columns),
                    NEWBIE: batch.features_PF[start:end, :1],
                    CLOCK: batch.features_PF[start:end, 1:],
                    HIDDEN: hidden_BH[:size],
                    CELL: cell_BH[:size],
                },
            )
        return hidden_BH


@dataclass(frozen=True)
class RecurrentCodes:
    """Both sides, ready to run; their weights and `global_mean` are counted in `unit`."""

    users: CodeSide
    movies: CodeSide
    clock: Clock
    global_mean: float
    unit: float
    max_cells: int = _MAX_CELLS

    def user_codes(
        self, values_UM: sparse.csr_array[np.float32], days_R: Days, row_U: Ids
    ) -> Floats:
        """U x L: the codes of any users after all their ratings.

        Args:
            values_UM: ratings of the movies that the network knows, in its order.
            days_R: the day of each stored entry, in the order of `values_UM.data`.
            row_U: each user's row in the training ratings, or `UNKNOWN`.
        """
        dynamic_UD = self.users.dynamic_ND(
            user_sequences(values_UM, days_R, self.clock), self.max_cells
        )
        factors_UK, bias_U1 = self.users.stationary(row_U)
        code_UL = np.hstack([dynamic_UD, factors_UK, bias_U1, np.ones_like(bias_U1)])
        return code_UL * np.float32(self.unit)

    def movie_codes(
        self, values_UM: sparse.csr_array[np.float32], days_R: Days, row_M: Ids
    ) -> Floats:
        """M x L: the codes of any movies after all their ratings.

        Args:
            values_UM: ratings by the users that the network knows, in its order.
            days_R: the day of each stored entry, in the order of `values_UM.data`.
            row_M: each movie's column in the training ratings, or `UNKNOWN`.
        """
        dynamic_MD = self.movies.dynamic_ND(
            movie_sequences(values_UM, days_R, self.clock), self.max_cells
        )
        factors_MK, bias_M1 = self.movies.stationary(row_M)
        added_M1 = bias_M1 + np.float32(self.global_mean)
        return np.hstack([dynamic_MD, factors_MK, np.ones_like(added_M1), added_M1])


def open_recurrent(
    folder: Path, device: Device = "auto", num_threads: int = 0, max_cells: int = _MAX_CELLS
) -> RecurrentCodes:
    """What `deeprec.export.recurrent.export_recurrent` has put into a folder.

    Args:
        folder: where the three files are.
        device: `cuda` insists.
        num_threads: of one operator; 0 takes all cores.
        max_cells: of a dense step, which bounds memory; one row is taken in any case.

    Raises:
        DeviceError: `cuda` was asked for and cannot be used.
        BundleError: a file is missing or cannot be read.
    """
    try:
        with np.load(folder / STATIONARY, allow_pickle=False) as arrays:
            weights = {name: _side_weights(arrays, name) for name in _SIDES}
            clock = Clock(*(int(number) for number in arrays["clock"]))
            global_mean, unit = float(arrays["global_mean"]), float(arrays["unit"])
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise BundleError(f"{folder / STATIONARY}: not a recurrent network's: {error}") from error
    return RecurrentCodes(
        CodeSide(open_session(folder / USER_STEP, device, num_threads), weights["users"]),
        CodeSide(open_session(folder / MOVIE_STEP, device, num_threads), weights["movies"]),
        clock,
        global_mean,
        unit,
        max_cells,
    )


def _side_weights(arrays: Mapping[str, Floats], side: str) -> SideWeights:
    return SideWeights(**{part.name: arrays[f"{side}.{part.name}"] for part in fields(SideWeights)})


def _dense(batch: StepBatch, start: int, end: int, num_columns: int) -> Floats:
    """The ratings of packed steps `start : end`, one row a step."""
    bounds = batch.rating_start_P[start : end + 1]
    entries = slice(bounds[0], bounds[-1])
    step_R = np.repeat(np.arange(end - start), np.diff(bounds))
    ratings_BC = np.zeros((end - start, num_columns), dtype=np.float32)
    ratings_BC[step_R, batch.column_R[entries]] = batch.rating_R[entries]
    return ratings_BC
