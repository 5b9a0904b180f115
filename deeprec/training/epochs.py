"""A fit's bookkeeping, epoch by epoch; knows nothing of what an epoch does.

It keeps the learning rate's schedule, the best weights, the patience and the checkpoint.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from deeprec.errors import TrainingError
from deeprec.progress import Progress
from deeprec.training import checkpoint as checkpoints

if TYPE_CHECKING:
    from deeprec.config.training import TrainConfig

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochRecord:
    """What one pass over the training ratings came to.

    `train_rmse` is of each rating as it was met: with dropout, before the step, not clipped.
    `dev_rmse` is of the epoch's end: without dropout, clipped to the scale, over rows that have
    ratings to train on. `test_rmse` is the same of test ratings, where one asked to watch them.
    """

    epoch: int
    train_rmse: float
    dev_rmse: float | None
    test_rmse: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class FitResult:
    """How a fit went. `best_epoch` counts from 1; `device` is `cpu` or `cuda`."""

    epochs: tuple[EpochRecord, ...]
    best_epoch: int
    device: str


@dataclass(frozen=True)
class EpochErrors:
    """What an epoch comes to: RMSE over the ratings it met, and over held-out ones if any."""

    train_rmse: float
    dev_rmse: float | None
    test_rmse: float | None = None


@dataclass
class Course:
    """A fit under way: all that an epoch changes, so all that a checkpoint holds."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    settings: "TrainConfig"
    average: AveragedModel | None = None
    epochs: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def run(
        self,
        one_epoch: Callable[[int], EpochErrors],
        device: torch.device,
        *,
        checkpoint: Path | None,
        fingerprint: str,
        progress: Progress,
        on_epoch: Callable[[EpochRecord], None] | None,
        is_keeper: bool = True,
    ) -> FitResult:
        """How it went; the network is left with its best epoch's weights, on the CPU.

        Of processes that go the same course all go on from the checkpoint, and one, the keeper,
        writes it.

        Raises:
            TrainingError: the fit diverged.
        """
        if checkpoint and (state := checkpoints.load(checkpoint, fingerprint, device)):
            self._restore(state)
            _LOG.info("%s: going on after epoch %d", checkpoint, len(self.epochs))
        num_epochs = self.settings.num_epochs
        progress("train", len(self.epochs), num_epochs, "epochs", device.type)
        saved_at = -math.inf
        while not self._is_finished():
            record = self._carry_out(one_epoch)
            due = time.monotonic() - saved_at >= self.settings.checkpoint_every_s
            if checkpoint and is_keeper and (due or self._is_finished()):
                checkpoints.save(checkpoint, fingerprint, self._state())
                saved_at = time.monotonic()
            progress("train", record.epoch, num_epochs, "epochs", _describe(record, device))
            if on_epoch:
                on_epoch(record)
        self.network.load_state_dict(self.best_weights)
        self.network.to("cpu").eval()
        return FitResult(tuple(self.epochs), self.best_epoch, device.type)

    @property
    def kept(self) -> nn.Module:
        """The network whose weights count: the moving average, where there is one."""
        return self.average.module if self.average else self.network

    def _carry_out(self, one_epoch: Callable[[int], EpochErrors]) -> EpochRecord:
        started = time.perf_counter()
        epoch = len(self.epochs) + 1
        learning_rate = self._set_learning_rate(epoch)
        errors = one_epoch(epoch)
        self._require_finite(epoch, errors)
        record = EpochRecord(
            epoch=epoch,
            train_rmse=errors.train_rmse,
            dev_rmse=errors.dev_rmse,
            test_rmse=errors.test_rmse,
            learning_rate=learning_rate,
            seconds=time.perf_counter() - started,
        )
        self._keep(record)
        return record

    def _set_learning_rate(self, epoch: int) -> float:
        passed = sum(milestone < epoch for milestone in self.settings.lr_milestones)
        learning_rate = self.settings.learning_rate * self.settings.lr_decay**passed
        if self.settings.optimizer != "rprop":  # which finds a rate of its own for each weight
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
        return learning_rate

    def _require_finite(self, epoch: int, errors: EpochErrors) -> None:
        """Raise where the fit has left the numbers; once an epoch, since looking stalls a GPU."""
        rmses = [errors.train_rmse, *([] if errors.dev_rmse is None else [errors.dev_rmse])]
        weights = self.network.parameters()
        if all(map(math.isfinite, rmses)) and all(bool(w.isfinite().all()) for w in weights):
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
            weights = self.kept.state_dict()
            self.best_weights = {name: weights[name].clone() for name in weights}

    def _is_finished(self) -> bool:
        waited = len(self.epochs) - self.best_epoch
        return len(self.epochs) >= self.settings.num_epochs or waited >= self.settings.patience

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "epochs": [asdict(record) for record in self.epochs],
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.epochs = [EpochRecord(**record) for record in state["epochs"]]
        self.best_epoch = state["best_epoch"]
        self.best_weights = state["best_weights"]


def _describe(record: EpochRecord, device: torch.device) -> str:
    """What a person watching wants to know of an epoch: where it runs, and its RMSEs."""
    dev = "" if record.dev_rmse is None else f", dev {record.dev_rmse:.4f}"
    return f"{device.type}, train {record.train_rmse:.4f}{dev}"
