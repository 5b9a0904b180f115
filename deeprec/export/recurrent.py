"""From a trained recurrent network to files that are known to agree with it.

Shape legend: B rows of a batch, N rows of a side, C its columns, P probed rows, U users, M movies,
R pairs, F features of a step, H the LSTM's units, D dynamic and K stationary factors, L places of a
code.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from deeprec.config.training import ExportConfig
from deeprec.errors import ExportError
from deeprec.export.graphs import ExportReport, Input, write_graph
from deeprec.export.onnx_files import sync
from deeprec.export.recurrent_probes import probe_rows, transposed
from deeprec.models.recurrent_inference import (
    CELL,
    CLOCK,
    HIDDEN,
    MOVIE_STEP,
    NEWBIE,
    NEXT_CELL,
    NEXT_HIDDEN,
    RATINGS,
    STATIONARY,
    USER_STEP,
    SideWeights,
    open_recurrent,
    save_stationary,
)
from deeprec.models.sequences import Days, movie_sequences, user_sequences
from deeprec.networks.recurrent import Moment, RecurrentRecommender, RecurrentSide
from deeprec.networks.recurrent_states import last_states
from deeprec.ratings import Floats, Ids

_BATCH = 16
_UNFINISHED = "unfinished"


def export_recurrent(
    network: RecurrentRecommender,
    train_UM: sparse.csr_array[np.float32],
    days_R: Days,
    folder: Path,
    config: ExportConfig,
) -> ExportReport:
    """How well the files in `folder` agree; they appear there checked, or not at all.

    Args:
        network: the trained network, on the CPU; left in eval mode.
        train_UM: training ratings, of which some users and movies are probed.
        days_R: the day of each stored entry, in the order of `train_UM.data`.
        folder: where `user_step.onnx`, `movie_step.onnx` and `stationary.npz` are to be.
        config: the opset, and the largest difference allowed in a code and in a prediction.

    Raises:
        ExportError: a graph is invalid, or does not agree with the network.
    """
    network.eval()
    unfinished = folder / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        opset = _write(network, unfinished, config.opset)
        report = _compare(network, train_UM, days_R, unfinished, config, opset=opset)
        for name in (USER_STEP, MOVIE_STEP, STATIONARY):
            sync(unfinished / name)
            (unfinished / name).replace(folder / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return report


class _Step(nn.Module):
    """What is exported of one side: a state, and the one after a step."""

    def __init__(self, side: RecurrentSide) -> None:
        super().__init__()
        self.side = side

    def forward(
        self,
        ratings_BC: Tensor,
        newbie_B1: Tensor,
        clock_B2: Tensor,
        hidden_BH: Tensor,
        cell_BH: Tensor,
    ) -> tuple[Tensor, Tensor]:
        features_BF = torch.cat([newbie_B1, clock_B2], dim=1)
        return self.side.step(ratings_BC, features_BF, hidden_BH, cell_BH)


def _write(network: RecurrentRecommender, folder: Path, opset: int) -> int:
    """The three files of a network; the opset of its graphs."""
    weights = {"users": _weights(network.users), "movies": _weights(network.movies)}
    mean = network.global_mean.item()
    save_stationary(folder / STATIONARY, weights, network.clock, mean, network.unit)
    _write_step(network.movies, folder / MOVIE_STEP, opset)
    return _write_step(network.users, folder / USER_STEP, opset)


def _write_step(side: RecurrentSide, path: Path, opset: int) -> int:
    """One side's step graph; its opset."""
    num_columns, num_units = side.embedding_CE.shape[0], side.affine_DH.shape[1]
    widths = {RATINGS: num_columns, NEWBIE: 1, CLOCK: 2, HIDDEN: num_units, CELL: num_units}
    inputs = {name: Input(torch.zeros(2, width)) for name, width in widths.items()}
    return write_graph(_Step(side).eval(), inputs, [NEXT_HIDDEN, NEXT_CELL], path, opset)


def _weights(side: RecurrentSide) -> SideWeights:
    """What the step graph does not hold."""
    return SideWeights(
        affine_DH=side.affine_DH.detach().numpy(),
        affine_D=side.affine_D.detach().numpy(),
        factors_NK=side.factors_NK.detach().numpy(),
        bias_N=side.bias_N1.detach().numpy()[:, 0],
    )


def _compare(
    network: RecurrentRecommender,
    train_UM: sparse.csr_array[np.float32],
    days_R: Days,
    folder: Path,
    config: ExportConfig,
    *,
    opset: int,
) -> ExportReport:
    """What onnxruntime, on the CPU, says of the files in a folder."""
    users_PM, user_days_R, user_P = probe_rows(train_UM, days_R)
    movies_PU, movie_days_R, movie_P = probe_rows(*transposed(train_UM, days_R))
    movies_UP, movie_days_R = transposed(movies_PU, movie_days_R)
    user_steps = user_sequences(users_PM, user_days_R, network.clock)
    movie_steps = movie_sequences(movies_UP, movie_days_R, network.clock)
    user_PD = last_states(network.users, user_steps, _BATCH)
    movie_PD = last_states(network.movies, movie_steps, _BATCH)
    codes = open_recurrent(folder, "cpu")
    user_PL = codes.user_codes(users_PM, user_days_R, user_P)
    movie_PL = codes.movie_codes(movies_UP, movie_days_R, movie_P)
    differences = [
        user_PL[:, : user_PD.shape[1]] - network.unit * user_PD.numpy(),
        network.unit * (movie_PL[:, : movie_PD.shape[1]] - movie_PD.numpy()),
        user_PL @ movie_PL.T - _predictions(network, user_P, user_PD, movie_P, movie_PD),
    ]
    largest = float(np.max([np.abs(difference).max() for difference in differences]))
    tolerance = config.tolerance * network.unit
    agrees = largest <= tolerance  # not so for NaN, which a `>` would let pass
    if not agrees:
        raise ExportError(
            f"onnxruntime and torch differ by {largest:.3g} in a code or, in rating units, in a "
            f"prediction for one of {len(user_P)} probe users and {len(movie_P)} probe movies; "
            f"export.tolerance allows {tolerance:.3g}. Nothing was written; states or "
            "factors that have grown very large are the usual cause"
        )
    return ExportReport(
        opset=opset,
        largest_difference=largest,
        tolerance=tolerance,
        num_probe_users=len(user_P),
    )


def _predictions(
    network: RecurrentRecommender, user_P: Ids, user_PD: Tensor, movie_P: Ids, movie_PD: Tensor
) -> Floats:
    """What the network says of every probed user and movie."""
    pairs = torch.cartesian_prod(torch.arange(len(user_P)), torch.arange(len(movie_P)))
    user_R, movie_R = pairs.unbind(dim=1)
    with torch.no_grad():
        predicted_R: Tensor = network(
            Moment(torch.from_numpy(user_P)[user_R], user_PD[user_R]),
            Moment(torch.from_numpy(movie_P)[movie_R], movie_PD[movie_R]),
        )
    return predicted_R.numpy().reshape(len(user_P), len(movie_P))
