"""Fitting a rating predictor to sparse ratings; needs torch, numpy and scipy, and no database.

Shape legend: U users, B users in a batch, M movies.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from deeprec import checkpoint as checkpoints
from deeprec.autoencoder import RatingPredictor
from deeprec.batches import Batch, DenseBatches, rated_cells
from deeprec.device import resolve_device
from deeprec.errors import TrainingError
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingScale

if TYPE_CHECKING:
    from deeprec.config import TrainConfig

_LOG = logging.getLogger(__name__)
_HELD_OUT_BATCH = 256  # users


@dataclass(frozen=True)
class EpochRecord:
    """What one pass over the training ratings came to.

    `train_rmse` is of each rating as it was met: with dropout, before the step, not clipped.
    `dev_rmse` is of the epoch's end: without dropout, clipped to the scale.
    """

    epoch: int
    train_rmse: float
    dev_rmse: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class FitResult:
    """How a fit went. `best_epoch` counts from 1; `device` is `cpu` or `cuda`."""

    epochs: tuple[EpochRecord, ...]
    best_epoch: int
    device: str


def fit(
    network: RatingPredictor,
    train_UM: sparse.csr_array[np.float32],
    dev_UM: sparse.csr_array[np.float32] | None,
    settings: "TrainConfig",
    scale: RatingScale,
    *,
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
        train_UM: ratings to fit; users without any are passed over.
        dev_UM: held-out ratings of the same users and movies, predicted from `train_UM`.
        settings: any object with the attributes of `TrainConfig`.
        scale: dev predictions are clipped to it.
        checkpoint: a file that holds the state after each epoch; a run that finds its own goes
            on from there. It is left in place: whoever keeps the result removes it.
        fingerprint: of data, model and settings; a checkpoint with another one is ignored.
        progress: told of each epoch.
        on_epoch: called after each epoch that this call runs.

    Raises:
        DeviceError: a device was asked for that cannot be used.
        TrainingError: there is nothing to train on, or the fit diverged.
    """
    if not train_UM.nnz:
        raise TrainingError("no training ratings: this split leaves none to train on")
    device = resolve_device(settings.device)
    run = _Run(network.to(device), settings, device)
    if checkpoint and (state := checkpoints.load(checkpoint, fingerprint, device)):
        run.restore(state)
        _LOG.info("%s: going on after epoch %d", checkpoint, len(run.epochs))
    fitted_UM = train_UM[np.flatnonzero(np.diff(train_UM.indptr))]
    held_out = _HeldOut.of(train_UM, dev_UM, scale)
    progress("train", len(run.epochs), settings.num_epochs, "epochs", device.type)
    while not run.is_finished():
        record = run.one_epoch(fitted_UM, held_out)
        if checkpoint:
            checkpoints.save(checkpoint, fingerprint, run.state())
        progress("train", record.epoch, settings.num_epochs, "epochs", _describe(record, device))
        if on_epoch:
            on_epoch(record)
    network.load_state_dict(run.best_weights)
    network.to("cpu").eval()
    return FitResult(tuple(run.epochs), run.best_epoch, device.type)


def _describe(record: EpochRecord, device: torch.device) -> str:
    """What a person watching wants to know of an epoch: where it runs, and its RMSEs."""
    dev = "" if record.dev_rmse is None else f", dev {record.dev_rmse:.4f}"
    return f"{device.type}, train {record.train_rmse:.4f}{dev}"


def masked_mse(predicted_BM: Tensor, actual_BM: Tensor, mask_BM: Tensor) -> Tensor:
    """Mean squared error over the cells where the mask is 1 (the poster, equation 2)."""
    return ((predicted_BM - actual_BM) * mask_BM).square().sum() / mask_BM.sum()


@dataclass(frozen=True)
class _HeldOut:
    """The users with dev ratings: what is known of them, and what is to be predicted."""

    known_UM: sparse.csr_array[np.float32]
    hidden_UM: sparse.csr_array[np.float32]
    scale: RatingScale

    @classmethod
    def of(
        cls,
        train_UM: sparse.csr_array[np.float32],
        dev_UM: sparse.csr_array[np.float32] | None,
        scale: RatingScale,
    ) -> "_HeldOut | None":
        if dev_UM is None or not dev_UM.nnz:
            return None
        rows = np.flatnonzero(np.diff(dev_UM.indptr))
        return cls(train_UM[rows], dev_UM[rows], scale)

    @torch.no_grad()
    def rmse(self, network: RatingPredictor, device: torch.device) -> float:
        """Of clipped predictions, without dropout."""
        network.eval()
        squared = torch.zeros((), dtype=torch.float64, device=device)
        batches = DenseBatches(_HELD_OUT_BATCH, self.known_UM.shape[1], device)
        for batch in batches.of(self.known_UM):
            hidden = rated_cells(self.hidden_UM, batch.rows, device)
            predicted_BM = network(batch.ratings_BM, batch.rated_BM)
            predicted_R = predicted_BM.flatten()[hidden.place_R]
            predicted_R = predicted_R.clamp(self.scale.minimum, self.scale.maximum)
            squared += (predicted_R - hidden.rating_R).double().square().sum()
        return math.sqrt(squared.item() / self.hidden_UM.nnz)


class _Run:
    """A fit under way: all that an epoch changes, so all that a checkpoint holds."""

    def __init__(
        self, network: RatingPredictor, settings: "TrainConfig", device: torch.device
    ) -> None:
        self.network = network
        self.settings = settings
        self.device = device
        self.optimizer = _make_optimizer(network, settings)
        self.epochs: list[EpochRecord] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epochs": [asdict(record) for record in self.epochs],
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs = [EpochRecord(**record) for record in state["epochs"]]
        self.best_epoch = state["best_epoch"]
        self.best_weights = state["best_weights"]

    def is_finished(self) -> bool:
        num_done = len(self.epochs)
        waited = num_done - self.best_epoch
        return num_done >= self.settings.num_epochs or waited >= self.settings.patience

    def one_epoch(
        self, train_UM: sparse.csr_array[np.float32], held_out: _HeldOut | None
    ) -> EpochRecord:
        started = time.perf_counter()
        epoch = len(self.epochs) + 1
        learning_rate = self._set_learning_rate(epoch)
        train_rmse = self._train(train_UM, epoch)
        dev_rmse = held_out.rmse(self.network, self.device) if held_out else None
        self._require_finite(epoch, train_rmse, dev_rmse)
        seconds = time.perf_counter() - started
        record = EpochRecord(epoch, train_rmse, dev_rmse, learning_rate, seconds)
        self._keep(record)
        return record

    def _set_learning_rate(self, epoch: int) -> float:
        passed = sum(milestone < epoch for milestone in self.settings.lr_milestones)
        learning_rate = self.settings.learning_rate * self.settings.lr_decay**passed
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        return learning_rate

    def _train(self, train_UM: sparse.csr_array[np.float32], epoch: int) -> float:
        """One pass over all users in a new order; the RMSE over every rating met."""
        generator = np.random.default_rng((self.settings.seed, epoch))
        shuffled_UM = train_UM[generator.permutation(train_UM.shape[0])]
        squared = torch.zeros((), dtype=torch.float64, device=self.device)
        batches = DenseBatches(self.settings.batch_size, train_UM.shape[1], self.device)
        self.network.train()
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(int(generator.integers(2**63)))
            for batch in batches.of(shuffled_UM):
                predicted_BM = self.network(batch.ratings_BM, batch.rated_BM)
                loss = masked_mse(predicted_BM, batch.ratings_BM, batch.rated_BM)
                self._step(loss)
                squared += loss.detach() * batch.num_ratings
                self._refeed(predicted_BM, batch)
        return math.sqrt(squared.item() / train_UM.nnz)

    def _refeed(self, predicted_BM: Tensor, batch: Batch) -> None:
        """Further steps that feed f(x) as if it were the ratings, every movie rated.

        Kuchaiev and Ginsburg (2017), section 2.2. Where the network is centred, the user's bias
        too is taken from what is fed.
        """
        for _ in range(self.settings.refeed_steps):
            fed_BM = predicted_BM.detach()
            all_rated_BM = fed_BM.new_ones(1, 1).expand_as(fed_BM)
            predicted_BM = self.network(fed_BM, all_rated_BM)
            if self.settings.refeed_target == "output":
                self._step(functional.mse_loss(predicted_BM, fed_BM))
            else:
                self._step(masked_mse(predicted_BM, batch.ratings_BM, batch.rated_BM))

    def _step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()

    def _require_finite(self, epoch: int, *rmses: float | None) -> None:
        """Raise where the fit has left the numbers; once an epoch, since looking stalls a GPU."""
        finite = all(rmse is None or math.isfinite(rmse) for rmse in rmses)
        if finite and all(bool(weight.isfinite().all()) for weight in self.network.parameters()):
            return
        raise TrainingError(
            f"training diverged in epoch {epoch}: its loss or weights are no longer finite; "
            f"lower train.learning_rate (now {self.settings.learning_rate:g})"
        )

    def _keep(self, record: EpochRecord) -> None:
        self.epochs.append(record)
        best = self.epochs[self.best_epoch - 1].dev_rmse if self.best_epoch else None
        if record.dev_rmse is None or best is None or record.dev_rmse < best:
            self.best_epoch = record.epoch
            weights = self.network.state_dict()
            self.best_weights = {name: weights[name].clone() for name in weights}


def _make_optimizer(network: RatingPredictor, settings: "TrainConfig") -> torch.optim.Optimizer:
    """The optimiser named in the settings; weight decay holds for matrices, not for biases."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
    return torch.optim.SGD(
        groups, lr=settings.learning_rate, momentum=settings.momentum, fused=True
    )
