"""Fitting a rating predictor to sparse ratings; needs torch, numpy and scipy, and no database.

A row is one user's vector or one movie's: the trainer does not ask which.

Shape legend: U rows, B rows of a batch, N columns, R rated cells.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deeprec.errors import TrainingError
from deeprec.networks.predictor import RatingPredictor
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingScale
from deeprec.training.allocation import kept_memory
from deeprec.training.device import drawn_apart, resolve_device
from deeprec.training.epochs import Course, EpochErrors, EpochRecord, FitResult
from deeprec.training.objectives import Loss, LossPart, RatedBatch, rated_loss
from deeprec.training.process_group import ALONE, ProcessGroup, Rows
from deeprec.training.rated_rows import RatedRows, of_known_rows, open_rows
from deeprec.training.refeeding import Refeeding

if TYPE_CHECKING:
    from deeprec.config.training import TrainConfig

_HELD_OUT_BATCH = 4096  # rows
_LBFGS_HISTORY = 10  # steps, two copies of the weights each


def fit(
    network: RatingPredictor,
    train_UN: sparse.csr_array[np.float32],
    dev_UN: sparse.csr_array[np.float32] | None,
    settings: "TrainConfig",
    scale: RatingScale,
    *,
    watched_UN: sparse.csr_array[np.float32] | None = None,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    progress: Progress = silent,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    group: ProcessGroup = ALONE,
) -> FitResult:
    """How it went; `network` is left with its best epoch's weights, on the CPU, in eval mode.

    The best epoch is the one of lowest dev RMSE, or the last where there are no dev ratings. An
    epoch's order and dropout follow from (seed, epoch) alone, so a resumed run ends with the
    very weights of one that was not interrupted.

    Args:
        network: the predictor, with its initial weights.
        train_UN: ratings to fit; rows without any are passed over.
        dev_UN: held-out ratings of the same rows and columns, predicted from `train_UN`.
        settings: any object with the attributes of `TrainConfig`.
        scale: dev predictions are clipped to it.
        watched_UN: more held-out ratings, whose error is recorded and decides nothing.
        checkpoint: a file that holds the state after an epoch; a run that finds its own goes
            on from there. It is left in place: whoever keeps the result removes it.
        fingerprint: of data, model and settings; a checkpoint with another one is ignored.
        progress: told of each epoch.
        on_epoch: called after each epoch that this call runs.
        group: this process among those that fit the network together, all of them called with
            the same arguments; only the first keeps the checkpoint.

    Raises:
        DeviceError: a device was asked for that cannot be used.
        TrainingError: there is nothing to train on, or the fit diverged.
    """
    if not train_UN.nnz:
        raise TrainingError("no training ratings: this split leaves none to train on")
    device = resolve_device(settings.device)
    fitted = np.flatnonzero(np.diff(train_UN.indptr))
    rows = open_rows(train_UN, group.own(fitted), device)
    network.autoencoder.trains_in_bfloat16 = settings.precision == "bfloat16"
    held_out = _HeldOut.of(train_UN, of_known_rows(train_UN, dev_UN), scale, group)
    watched = _HeldOut.of(train_UN, of_known_rows(train_UN, watched_UN), scale, group)
    course = Course(
        network.to(device),
        _make_optimizer(network, settings),
        settings,
        _make_average(network, settings),
    )
    steps = _Steps(network, course, rows, len(fitted), group)

    def one_epoch(epoch: int) -> EpochErrors:
        train_rmse = steps.train(epoch)
        kept = course.kept
        assert isinstance(kept, RatingPredictor)
        return EpochErrors(
            train_rmse,
            held_out.rmse(kept, device) if held_out else None,
            watched.rmse(kept, device) if watched else None,
        )

    with kept_memory():
        return course.run(
            one_epoch,
            device,
            checkpoint=checkpoint,
            fingerprint=fingerprint,
            progress=progress,
            on_epoch=on_epoch,
            is_keeper=group.rank == 0,
        )


@dataclass(frozen=True)
class _HeldOut:
    """The rows with held-out ratings: what is known of them, and what is to be predicted."""

    known_UN: sparse.csr_array[np.float32]
    hidden_UN: sparse.csr_array[np.float32]
    rows: Rows  # of this process
    scale: RatingScale
    group: ProcessGroup

    @classmethod
    def of(
        cls,
        train_UN: sparse.csr_array[np.float32],
        hidden_UN: sparse.csr_array[np.float32] | None,
        scale: RatingScale,
        group: ProcessGroup,
    ) -> "_HeldOut | None":
        if hidden_UN is None or not hidden_UN.nnz:
            return None
        rows = group.own(np.flatnonzero(np.diff(hidden_UN.indptr)))
        return cls(train_UN, hidden_UN, rows, scale, group)

    @torch.no_grad()
    def rmse(self, network: RatingPredictor, device: torch.device) -> float:
        """Of clipped predictions, without dropout."""
        network.eval()
        squared = torch.zeros((), dtype=torch.float64, device=device)
        for start in range(0, len(self.rows), _HELD_OUT_BATCH):
            rows = self.rows[start : start + _HELD_OUT_BATCH]
            known = RatedBatch.of(self.known_UN[rows], device)
            hidden = RatedBatch.of(self.hidden_UN[rows], device)
            predicted_R = network.at_cells(known.pattern, known.rating_R, hidden.pattern)
            predicted_R = predicted_R.clamp(self.scale.minimum, self.scale.maximum)
            squared += (predicted_R - hidden.rating_R).double().square().sum()
        return math.sqrt(self.group.sum(squared).item() / self.hidden_UN.nnz)


class _Steps:
    """What an epoch does to a network."""

    def __init__(
        self,
        network: RatingPredictor,
        course: Course,
        rows: RatedRows,
        num_rows: int,
        group: ProcessGroup,
    ) -> None:
        self.network = network
        self.replica = group.replica(_Replica(network))
        self.optimizer = course.optimizer
        self.average = course.average
        self.settings = course.settings
        self.rows = rows
        self.num_rows = num_rows  # in all processes
        self.group = group
        self.device = next(network.parameters()).device
        self._everything: RatedBatch | None = None

    def train(self, epoch: int) -> float:
        """An epoch's passes over all rows; the RMSE over every rating met."""
        generator = np.random.default_rng((self.settings.seed, epoch))
        self.network.train()
        with drawn_apart(self.device):
            torch.manual_seed(int(generator.integers(2**63)) + self.group.rank)
            met = torch.zeros(2, dtype=torch.float64, device=self.device)
            for num_ratings, squared_errors in self._steps(generator):
                met[0] += num_ratings
                met[1] += squared_errors
        num_met, squared = self.group.sum(met).tolist()
        return math.sqrt(squared / num_met)

    def _steps(self, generator: np.random.Generator) -> Iterator[tuple[int, Tensor]]:
        """How many ratings each step has met, and the sum of their squared errors."""
        if self.settings.takes_everything:
            if self._everything is None:
                self._everything = self.rows.batch(np.arange(self.num_rows))
            # One call of lbfgs makes an epoch's iterations by itself.
            calls = 1 if self.settings.optimizer == "lbfgs" else self.settings.passes_per_epoch
            for _ in range(calls):
                yield self._everything.num_ratings, self._rated_step(self._everything, 1.0)
            return
        for _ in range(self.settings.passes_per_epoch):
            order = generator.permutation(self.num_rows)
            for start in range(0, self.num_rows, self.settings.batch_size):
                drawn_B = order[start : start + self.settings.batch_size]
                place_B = self.group.places(drawn_B)
                batch = self.rows.batch(place_B)
                if self.settings.refeed_steps:
                    yield batch.num_ratings, self._refed_steps(batch, place_B, len(drawn_B))
                else:
                    yield batch.num_ratings, self._rated_step(batch, len(drawn_B) / self.num_rows)

    def _rated_step(self, batch: RatedBatch, share: float) -> Tensor:
        """One step on a batch's rated cells; the sum of squared errors before it."""
        part = partial(
            rated_loss,
            batch=batch,
            settings=self.settings,
            share=share / self.group.num_processes,
            total=self.group.sum,
        )
        return self._descend([part])

    def _refed_steps(self, batch: RatedBatch, place_B: Rows, num_rows: int) -> Tensor:
        """The same step, then those that feed its predictions again."""
        num_ratings = self.group.sum(batch.rating_R.new_full((), batch.num_ratings))
        refeeding = Refeeding(self.rows, place_B, num_rows, num_ratings, self.settings)

        def first(network: RatingPredictor) -> Loss:
            loss = rated_loss(network, batch, self.settings, total=self.group.sum)
            refeeding.feed(network, loss.encoded)
            return loss

        squared = self._descend([first])
        for parts in refeeding.losses():
            self._descend(parts)
        return squared

    def _descend(self, parts: Sequence[LossPart]) -> Tensor:
        """One call of the optimiser, which may ask for the loss more than once.

        Returns:
            The squared errors of the first parts.
        """
        squared: list[Tensor] = []

        def closure() -> Any:  # noqa: ANN401 - a tensor, where torch's types say float
            self.optimizer.zero_grad()
            objective = torch.zeros((), device=self.device)
            with self._repeated_draws():
                for place, part in enumerate(parts, start=1):
                    with self.group.summed_once(self.replica, is_last=place == len(parts)):
                        loss = self.replica(part)
                        # Of all processes' gradients the mean is taken; the loss is a sum.
                        torch.autograd.backward(loss.objective * self.group.num_processes)
                    squared.append(loss.squared)
                    objective += loss.objective.detach()
            return objective

        self.optimizer.step(closure)
        if self.average:
            self.average.update_parameters(self.network)
        return squared[0]

    def _repeated_draws(self) -> contextlib.AbstractContextManager[None]:
        """The same dropout and hidden ratings for every loss of a line search: one function."""
        if self.settings.optimizer != "lbfgs":
            return contextlib.nullcontext()
        return drawn_apart(self.device)


class _Replica(nn.Module):
    """A network under whatever loss: the one call that all processes make together."""

    def __init__(self, network: RatingPredictor) -> None:
        super().__init__()
        self.network = network

    def forward(self, part: LossPart) -> Loss:
        return part(self.network)


def _make_optimizer(network: RatingPredictor, settings: "TrainConfig") -> torch.optim.Optimizer:
    """The optimiser named in the settings; weight decay holds for matrices, not for the rest."""
    rate, matrices = settings.learning_rate, list(network.autoencoder.matrices())
    if settings.optimizer == "lbfgs":
        return torch.optim.LBFGS(
            network.parameters(),
            lr=rate,
            max_iter=settings.passes_per_epoch,
            history_size=_LBFGS_HISTORY,
            line_search_fn="strong_wolfe",
        )
    if settings.optimizer == "rprop":
        return torch.optim.Rprop(network.parameters(), lr=rate)
    held = {id(matrix) for matrix in matrices}
    others = [weight for weight in network.parameters() if id(weight) not in held]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, fused=True)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, fused=True)


def _make_average(network: RatingPredictor, settings: "TrainConfig") -> AveragedModel | None:
    """The moving average of the weights, where the settings ask for one."""
    if not settings.average_decay:
        return None
    mean = get_ema_multi_avg_fn(settings.average_decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=mean)
