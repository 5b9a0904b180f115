"""Fitting a rating predictor to sparse ratings; needs torch, numpy and scipy, and no database.

Shape legend: U users, B users in a batch, M movies.
"""

import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from deeprec import checkpoint as checkpoints
from deeprec.autoencoder import RatingPredictor
from deeprec.batches import Batch, DenseBatches, rated_cells
from deeprec.errors import DeviceError, TrainingError
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingScale

if TYPE_CHECKING:
    from deeprec.config import Device, TrainConfig

_LOG = logging.getLogger(__name__)
_SCORING_BATCH = 256  # users; dense rows of dev users held at once


@dataclass(frozen=True)
class EpochRecord:
    """What one pass over the training ratings came to.

    `train_rmse` is of the ratings as they were met, with dropout and before each step, and not
    clipped; `dev_rmse` is of the epoch's end, without dropout and clipped to the scale.
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
    """Fit `network` in place; it is left with its best epoch's weights, on the CPU, in eval mode.

    The best epoch is the one of lowest dev RMSE, or the last without dev ratings. Each epoch's
    order and dropout follow from (seed, epoch) alone, so a run that was resumed ends with the
    very weights of one that was not interrupted.

    Args:
        network: the predictor, with its initial weights.
        train_UM: ratings to fit; users without any are passed over.
        dev_UM: ratings held out, of the same users and movies; predicted from `train_UM`.
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
        raise TrainingError("no training ratings: check the split, it leaves none to train on")
    device = resolve_device(settings.device)
    run = _Run(network.to(device), settings, device)
    if checkpoint and (state := checkpoints.load(checkpoint, fingerprint, device)):
        run.restore(state)
        _LOG.info("%s: going on after epoch %d", checkpoint, len(run.epochs))
    fitted_UM = train_UM[np.flatnonzero(np.diff(train_UM.indptr))]
    while not run.is_finished():
        record = run.one_epoch(fitted_UM, _HeldOut.of(train_UM, dev_UM), scale)
        if checkpoint:
            checkpoints.save(checkpoint, fingerprint, run.state())
        progress("train", record.epoch, settings.num_epochs, "epochs")
        if on_epoch:
            on_epoch(record)
    network.load_state_dict(run.best_weights)
    network.to("cpu").eval()
    return FitResult(tuple(run.epochs), run.best_epoch, device.type)


def masked_mse(predicted_BM: Tensor, actual_BM: Tensor, mask_BM: Tensor) -> Tensor:
    """Mean squared error over the cells where the mask is 1 (the poster, equation 2)."""
    return ((predicted_BM - actual_BM) * mask_BM).square().sum() / mask_BM.sum()


