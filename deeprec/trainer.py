"""Fitting a rating predictor to sparse ratings; needs torch, numpy and scipy, and no database.

A row is one user's vector or one movie's: the trainer does not ask which.

Shape legend: U rows, B rows of a batch, N columns, R rated cells.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deeprec.autoencoder import RatingPredictor
from deeprec.batches import Batch, DenseBatches
from deeprec.device import resolve_device
from deeprec.epochs import Course, EpochErrors, EpochRecord, FitResult
from deeprec.errors import TrainingError
from deeprec.objectives import Loss, RatedBatch, masked_mse, rated_loss
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingScale

if TYPE_CHECKING:
    from deeprec.config import TrainConfig

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

    Raises:
        DeviceError: a device was asked for that cannot be used.
        TrainingError: there is nothing to train on, or the fit diverged.
    """
    if not train_UN.nnz:
        raise TrainingError("no training ratings: this split leaves none to train on")
    device = resolve_device(settings.device)
    fitted_UN = train_UN[np.flatnonzero(np.diff(train_UN.indptr))]
    held_out = _HeldOut.of(train_UN, dev_UN, scale)
    watched = _HeldOut.of(train_UN, watched_UN, scale)
    course = Course(
        network.to(device),
        _make_optimizer(network, settings),
        settings,
        _make_average(network, settings),
    )
    steps = _Steps(network, course.optimizer, course.average, settings, device)

    def one_epoch(epoch: int) -> EpochErrors:
        train_rmse = steps.train(fitted_UN, epoch)
        kept = course.kept
        assert isinstance(kept, RatingPredictor)
        return EpochErrors(
            train_rmse,
            held_out.rmse(kept, device) if held_out else None,
            watched.rmse(kept, device) if watched else None,
        )

    return course.run(
        one_epoch,
        device,
        checkpoint=checkpoint,
        fingerprint=fingerprint,
        progress=progress,
        on_epoch=on_epoch,
    )


@dataclass(frozen=True)
class _HeldOut:
    """The rows with held-out ratings: what is known of them, and what is to be predicted."""

    known_UN: sparse.csr_array[np.float32]
    hidden_UN: sparse.csr_array[np.float32]
    scale: RatingScale

    @classmethod
    def of(
        cls,
        train_UN: sparse.csr_array[np.float32],
        hidden_UN: sparse.csr_array[np.float32] | None,
        scale: RatingScale,
    ) -> "_HeldOut | None":
        if hidden_UN is None or not hidden_UN.nnz:
            return None
        rows = np.flatnonzero(np.diff(hidden_UN.indptr))
        return cls(train_UN[rows], hidden_UN[rows], scale)

    @torch.no_grad()
    def rmse(self, network: RatingPredictor, device: torch.device) -> float:
        """Of clipped predictions, without dropout."""
        network.eval()
        squared = torch.zeros((), dtype=torch.float64, device=device)
        for start in range(0, self.known_UN.shape[0], _HELD_OUT_BATCH):
            rows = slice(start, start + _HELD_OUT_BATCH)
            known = RatedBatch.of(self.known_UN[rows], device)
            hidden = RatedBatch.of(self.hidden_UN[rows], device)
            predicted_R = network.at_cells(known.pattern, known.rating_R, hidden.pattern)
            predicted_R = predicted_R.clamp(self.scale.minimum, self.scale.maximum)
            squared += (predicted_R - hidden.rating_R).double().square().sum()
        return math.sqrt(squared.item() / self.hidden_UN.nnz)


class _Steps:
    """What an epoch does to a network."""

    def __init__(
        self,
        network: RatingPredictor,
        optimizer: torch.optim.Optimizer,
        average: AveragedModel | None,
        settings: "TrainConfig",
        device: torch.device,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.average = average
        self.settings = settings
        self.device = device
        self._everything: RatedBatch | None = None

    def train(self, train_UN: sparse.csr_array[np.float32], epoch: int) -> float:
        """An epoch's passes over all rows; the RMSE over every rating met."""
        generator = np.random.default_rng((self.settings.seed, epoch))
        self.network.train()
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(int(generator.integers(2**63)))
            num_met, squared = 0, torch.zeros((), dtype=torch.float64, device=self.device)
            for num_ratings, squared_errors in self._steps(train_UN, generator):
                num_met += num_ratings
                squared += squared_errors
        return math.sqrt(squared.item() / num_met)

    def _steps(
        self, train_UN: sparse.csr_array[np.float32], generator: np.random.Generator
    ) -> Iterator[tuple[int, Tensor]]:
        """How many ratings each step has met, and the sum of their squared errors."""
        if self.settings.takes_everything:
            if self._everything is None:
                self._everything = RatedBatch.of(train_UN, self.device)
            # One call of lbfgs makes an epoch's iterations by itself.
            calls = 1 if self.settings.optimizer == "lbfgs" else self.settings.passes_per_epoch
            for _ in range(calls):
                yield train_UN.nnz, self._descend_rated(self._everything, 1.0)
            return
        for _ in range(self.settings.passes_per_epoch):
            shuffled_UN = train_UN[generator.permutation(train_UN.shape[0])]
            if self.settings.refeed_steps:
                yield from self._refed_steps(shuffled_UN)
            else:
                yield from self._rated_steps(shuffled_UN)

    def _rated_steps(
        self, shuffled_UN: sparse.csr_array[np.float32]
    ) -> Iterator[tuple[int, Tensor]]:
        """Steps over batches that compute nothing but rated cells."""
        num_rows = shuffled_UN.shape[0]
        for start in range(0, num_rows, self.settings.batch_size):
            batch_BN = shuffled_UN[start : start + self.settings.batch_size]
            batch = RatedBatch.of(batch_BN, self.device)
            yield batch_BN.nnz, self._descend_rated(batch, batch_BN.shape[0] / num_rows)

    def _refed_steps(
        self, shuffled_UN: sparse.csr_array[np.float32]
    ) -> Iterator[tuple[int, Tensor]]:
        """Steps over dense batches: what is fed again has every cell."""
        batches = DenseBatches(self.settings.batch_size, shuffled_UN.shape[1], self.device)
        for batch in batches.of(shuffled_UN):
            predicted_BN = self.network(batch.ratings_BM, batch.rated_BM)
            loss = masked_mse(predicted_BN, batch.ratings_BM, batch.rated_BM)
            self._descend(partial(Loss, loss, loss))
            self._refeed(predicted_BN, batch)
            yield batch.num_ratings, loss.detach() * batch.num_ratings

    def _refeed(self, predicted_BN: Tensor, batch: Batch) -> None:
        """Further steps that feed f(x) as if it were the ratings, every movie rated.

        Kuchaiev and Ginsburg (2017), section 2.2. Where the network is centred, the row's bias
        too is taken from what is fed.
        """
        for _ in range(self.settings.refeed_steps):
            fed_BN = predicted_BN.detach()
            all_rated_BN = fed_BN.new_ones(1, 1).expand_as(fed_BN)
            predicted_BN = self.network(fed_BN, all_rated_BN)
            if self.settings.refeed_target == "output":
                loss = functional.mse_loss(predicted_BN, fed_BN)
            else:
                loss = masked_mse(predicted_BN, batch.ratings_BM, batch.rated_BM)
            self._descend(partial(Loss, loss, loss))

    def _descend_rated(self, batch: RatedBatch, share: float) -> Tensor:
        """One step on a batch's rated cells; the sum of squared errors before it."""
        return self._descend(lambda: rated_loss(self.network, batch, self.settings, share))

    def _descend(self, compute: Callable[[], Loss]) -> Tensor:
        """One call of the optimiser, which may ask for the loss more than once; the first sum."""
        squared: list[Tensor] = []

        def closure() -> Any:  # noqa: ANN401 - a tensor, where torch's types say float
            self.optimizer.zero_grad()
            with self._repeated_draws():
                loss = compute()
            torch.autograd.backward(loss.objective)
            squared.append(loss.squared.detach())
            return loss.objective

        self.optimizer.step(closure)
        if self.average:
            self.average.update_parameters(self.network)
        return squared[0]

    def _repeated_draws(self) -> contextlib.AbstractContextManager[None]:
        """The same dropout and hidden ratings for every loss of a line search: one function."""
        if self.settings.optimizer != "lbfgs":
            return contextlib.nullcontext()
        return torch.random.fork_rng(devices=range(torch.cuda.device_count()))


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
