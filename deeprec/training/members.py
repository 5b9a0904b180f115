"""Fitting one model of the kind that a configuration names; each kind has a module of its own."""

from pathlib import Path
from typing import Protocol

import torch

from deeprec.config.models import KernelRidgeConfig, MemberModelConfig, RecurrentConfig
from deeprec.config.training import ExportConfig, TrainConfig
from deeprec.errors import DeviceError
from deeprec.export.graphs import ExportReport
from deeprec.training.autoencoders import fit_autoencoder
from deeprec.training.epochs import FitResult
from deeprec.training.kernel_ridges import fit_kernel_ridge
from deeprec.training.material import Keeping, Material
from deeprec.training.recurrent_networks import fit_recurrent_member


class Fitted(Protocol):
    """A model that has been fitted."""

    @property
    def result(self) -> FitResult:
        """How its fit went."""

    @property
    def fold_in_ridge(self) -> float:
        """Penalty on the code of a user who is folded in; 0 where nobody is."""

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """Write its files into a folder and prove that they agree with it.

        Raises:
            ExportError: they do not, or their solver does not get as far as the model.
        """


def fit_member(
    model: MemberModelConfig,
    train: TrainConfig,
    material: Material,
    keeping: Keeping,
) -> Fitted:
    """A model of the kind that the configuration names, fitted to the training ratings.

    Raises:
        DeviceError: a device was asked for that cannot be used, or has too little memory.
        TrainingError: there is nothing to train on, or the fit diverged.
    """
    try:
        if isinstance(model, KernelRidgeConfig):
            return fit_kernel_ridge(model, material, keeping)
        if isinstance(model, RecurrentConfig):
            return fit_recurrent_member(model, train, material, keeping)
        return fit_autoencoder(model, train, material, keeping)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"the GPU's memory does not hold this fit ({str(error).splitlines()[0]}); lower "
            "train.batch_size, or train on the CPU with train.device = cpu"
        ) from error
    finally:
        torch.cuda.empty_cache()  # for onnxruntime, which measures in this process
