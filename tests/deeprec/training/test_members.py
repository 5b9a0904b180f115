"""What every kind of model says of a fit that cannot be."""

import numpy as np
import pytest
import torch
from scipy import sparse

from deeprec.config.models import AutoencoderConfig, BiasConfig, KernelRidgeConfig
from deeprec.config.training import TrainConfig
from deeprec.errors import DeviceError, TrainingError
from deeprec.models.baselines import fit_biases
from deeprec.ratings import RatingMatrix, RatingScale
from deeprec.training.material import Keeping, Material
from deeprec.training.members import fit_member

NETFLIX_MOVIES = 17_770


def material(num_movies: int) -> Material:
    """A user who has rated two movies."""
    values_UM = sparse.csr_array(
        (np.array([3, 5], np.float32), np.array([0, 1]), np.array([0, 2])), shape=(1, num_movies)
    )
    train = RatingMatrix(np.array([7]), np.arange(num_movies), values_UM)
    biases = fit_biases(values_UM, 1.0, 1.0)
    return Material(train, None, None, RatingScale(1, 5), biases, BiasConfig())


def test_more_movies_than_a_graph_holds_are_refused_before_a_kernel_is_fitted() -> None:
    of_users = KernelRidgeConfig(orientation="users")
    with pytest.raises(TrainingError, match=r"those of 16,319 at most; there are 17,770: use"):
        fit_member(of_users, TrainConfig(), material(NETFLIX_MOVIES), Keeping())


def test_a_gpu_that_is_too_small_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def runs_out(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore.")

    # There may be no GPU here, and none is filled for a test.
    monkeypatch.setattr("deeprec.training.members.fit_autoencoder", runs_out)
    with pytest.raises(DeviceError, match=r"\(CUDA out of memory.*\); lower train.batch_size, or"):
        fit_member(AutoencoderConfig(), TrainConfig(), material(3), Keeping())
