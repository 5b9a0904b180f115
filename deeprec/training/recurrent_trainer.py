"""Fitting a recurrent network to dated ratings; needs torch, numpy and scipy, and no database.

Users and movies take turns: while one side's weights descend, the other side stands still and
its states are computed once, without gradients (the paper's alternating subspace descent, with
Adam). What its summaries leave open was chosen so: a turn is a pass over all ratings, gradients
go back through all of a row's steps, factors and biases are penalised as in PMF, and what all
rows share by the optimiser's weight decay.

Shape legend: U users, M movies, N rows and R ratings of the side whose turn it is, B rows of a
batch, E places of ratings in the data, S states of a side, D dynamic factors.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from deeprec.errors import TrainingError
from deeprec.models.sequences import Days, Sequences, movie_sequences, rows_of, user_sequences
from deeprec.models.step_batches import StepBatch, pack
from deeprec.networks.recurrent import Moment, RecurrentRecommender, RecurrentSide
from deeprec.networks.recurrent_states import all_states, as_tensors
from deeprec.progress import Progress, silent
from deeprec.ratings import Ids, RatingScale
from deeprec.training.device import resolve_device
from deeprec.training.epochs import Course, EpochErrors, EpochRecord, FitResult
from deeprec.training.rated_rows import of_known_rows
from deeprec.training.recurrent_start import require_days

if TYPE_CHECKING:
    from deeprec.config.training import TrainConfig

_STANDING_BATCH = 1024  # rows whose states are computed at once, without gradients


def fit_recurrent(  # noqa: PLR0917 - as `deeprec.training.trainer.fit`, and the days
    network: RecurrentRecommender,
    train_UM: sparse.csr_array[np.float32],
    days_R: Days | None,
    dev_UM: sparse.csr_array[np.float32] | None,
    settings: "TrainConfig",
    scale: RatingScale,
    *,
    watched_UM: sparse.csr_array[np.float32] | None = None,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    progress: Progress = silent,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> FitResult:
    """How it went; `network` is left with its best epoch's weights, on the CPU, in eval mode.

    An epoch is a turn of the users and one of the movies. Its batches follow from (seed, epoch)
    alone, so on the CPU a resumed run ends with the very weights of one that was not interrupted.

    Args:
        network: as `build_recurrent` made it of the same ratings.
        train_UM: ratings to fit.
        days_R: the day of each stored entry, in the order of `train_UM.data`; None if undated.
        dev_UM: held-out ratings, predicted from the states after all training steps.
        settings: any object with the attributes of `TrainConfig`; a batch is of `batch_size`
            users, or of as many movies as make the same number of steps an epoch.
        scale: dev predictions are clipped to it.
        watched_UM: more held-out ratings, whose error is recorded and decides nothing.
        checkpoint: a file that holds the state after each epoch; a run that finds its own goes
            on from there. It is left in place: whoever keeps the result removes it.
        fingerprint: of data, model and settings; a checkpoint with another one is ignored.
        progress: told of each epoch.
        on_epoch: called after each epoch that this call runs.

    Raises:
        DeviceError: a device was asked for that cannot be used.
        TrainingError: there is nothing to train on, it has no dates, the settings are not ones
            that a recurrent network can follow, or the fit diverged.
    """
    days_R = require_days(train_UM, days_R)
    _require_followed(settings)
    device = resolve_device(settings.device)
    halves = _make_halves(network.to(device).train(), train_UM, days_R, settings.batch_size)
    optimizer = _make_optimizer(network, settings)
    dev, watched = of_known_rows(train_UM, dev_UM), of_known_rows(train_UM, watched_UM)

    def held_out_rmse(hidden_UM: sparse.csr_array[np.float32] | None) -> float | None:
        if hidden_UM is None or not hidden_UM.nnz:
            return None
        return _held_out_rmse(network, halves, hidden_UM, scale)

    def one_epoch(epoch: int) -> EpochErrors:
        rng = np.random.default_rng((settings.seed, epoch))
        squared = sum(_take_turn(network, halves, name, optimizer, rng) for name in halves)
        train_rmse = math.sqrt(squared / (len(halves) * train_UM.nnz))
        return EpochErrors(train_rmse, held_out_rmse(dev), held_out_rmse(watched))

    result = Course(network, optimizer, settings).run(
        one_epoch,
        device,
        checkpoint=checkpoint,
        fingerprint=fingerprint,
        progress=progress,
        on_epoch=on_epoch,
    )
    network.requires_grad_(requires_grad=True)
    return result


class _Half:
    """One side of a fit: its weights, its steps, and its states while it stands still."""

    def __init__(
        self, side: RecurrentSide, sequences: Sequences, other: Sequences, batch_size: int
    ) -> None:
        self.side = side
        self.sequences = sequences
        before_E = np.empty_like(other.entry_R)
        before_E[other.entry_R] = other.state_before_R
        self._other_before_R = before_E[sequences.entry_R]
        self._batch_size = batch_size
        self._states_SD: Tensor | None = None

    def batches(self, rng: np.random.Generator) -> Iterator[StepBatch]:
        """All rows that have steps, in a new order."""
        row_N = rng.permutation(np.flatnonzero(self.sequences.num_steps_N))
        for start in range(0, len(row_N), self._batch_size):
            yield pack(self.sequences, row_N[start : start + self._batch_size])

    def moving(self, batch: StepBatch) -> Moment:
        """A batch's rows before each of its ratings, with gradients."""
        self._states_SD = None
        states_SD = self.side(as_tensors(batch, self.side.device))
        return Moment(
            self._tensor(batch.row_R),
            functional.embedding(self._tensor(batch.state_before_R), states_SD),
        )

    def met_by(self, batch: StepBatch) -> tuple[Ids, Ids]:
        """The other side's row and state before each rating of a batch of this side."""
        return batch.column_R, self._other_before_R[batch.place_R]

    def standing(self, row_R: Ids, state_R: Ids) -> Moment:
        """Rows in certain of their states, without gradients."""
        if self._states_SD is None:
            self._states_SD = all_states(self.side, self.sequences, _STANDING_BATCH)
        return Moment(self._tensor(row_R), self._states_SD[self._tensor(state_R)])

    def _tensor(self, index_R: Ids) -> Tensor:
        return torch.from_numpy(index_R).to(self.side.device)


def _make_halves(
    network: RecurrentRecommender,
    train_UM: sparse.csr_array[np.float32],
    days_R: Days,
    batch_size: int,
) -> dict[str, _Half]:
    """Both sides by name, cut into equally many batches, so that a step sees as many ratings."""
    users = user_sequences(train_UM, days_R, network.clock)
    movies = movie_sequences(train_UM, days_R, network.clock)
    movies_a_batch = math.ceil(movies.num_rows / math.ceil(users.num_rows / batch_size))
    return {
        "users": _Half(network.users, users, movies, batch_size),
        "movies": _Half(network.movies, movies, users, movies_a_batch),
    }


def _take_turn(
    network: RecurrentRecommender,
    halves: dict[str, _Half],
    own: str,
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
) -> float:
    """Steps down one side's weights; the sum of squared errors, each before its step."""
    (other,) = halves.keys() - {own}
    halves[other].side.requires_grad_(requires_grad=False)
    halves[own].side.requires_grad_(requires_grad=True)
    squared = torch.zeros((), dtype=torch.float64, device=network.global_mean.device)
    for batch in halves[own].batches(rng):
        moments = {
            own: halves[own].moving(batch),
            other: halves[other].standing(*halves[own].met_by(batch)),
        }
        actual_R = torch.from_numpy(batch.rating_R).to(squared.device)
        error = (network(**moments) - actual_R).square().sum()
        row_B = torch.from_numpy(batch.row_B).to(squared.device)
        loss = (error / network.unit**2 + halves[own].side.penalty(row_B)) / len(actual_R)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        squared += error.detach()
    return squared.item()


@torch.no_grad()
def _held_out_rmse(
    network: RecurrentRecommender,
    halves: dict[str, _Half],
    hidden_UM: sparse.csr_array[np.float32],
    scale: RatingScale,
) -> float:
    """Of clipped predictions from the states after all training steps."""
    rows = {"users": rows_of(hidden_UM), "movies": hidden_UM.indices.astype(np.int64)}
    moments = {
        name: half.standing(rows[name], half.sequences.last_state_N[rows[name]])
        for name, half in halves.items()
    }
    predicted_R = network(**moments).clamp(scale.minimum, scale.maximum)
    actual_R = torch.from_numpy(hidden_UM.data).to(predicted_R.device)
    return math.sqrt((predicted_R - actual_R).double().square().mean().item())


def _require_followed(settings: "TrainConfig") -> None:
    """Refuse what would be passed over without a word."""
    wanted = {
        "optimizer": "adam",
        "loss": "mean",
        "refeed_steps": 0,
        "passes_per_epoch": 1,
        "hide_fraction": 0.0,
        "average_decay": 0.0,
    }
    others = [name for name, value in wanted.items() if getattr(settings, name) != value]
    if others:
        told = ", ".join(f"train.{name} = {wanted[name]!r}" for name in others)
        found = ", ".join(repr(getattr(settings, name)) for name in others)
        raise TrainingError(
            "a recurrent network is trained by Adam, a pass a side and epoch, and without the "
            f"other networks' options: it needs {told} (now {found})"
        )


def _make_optimizer(network: RecurrentRecommender, settings: "TrainConfig") -> torch.optim.Adam:
    """Adam; weight decay holds for all that rows share, what is a row's own has a penalty."""
    shared = [*network.users.shared_weights(), *network.movies.shared_weights()]
    own = [*network.users.own_weights(), *network.movies.own_weights()]
    groups = [
        {"params": shared, "weight_decay": settings.weight_decay},
        {"params": own, "weight_decay": 0.0},
    ]
    return torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
