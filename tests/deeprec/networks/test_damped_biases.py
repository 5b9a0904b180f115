"""Biases in torch, held to those of the floor.

Shape legend: U users, B users in a batch, M movies.
"""

import numpy as np
import pytest
import torch
from scipy import sparse

from deeprec.models.baselines import Biases
from deeprec.networks.damped_biases import DampedBiases


def test_biases_are_those_of_the_floor() -> None:
    ratings = np.array([[5, 0, 3], [0, 0, 0], [1, 1, 0]], dtype=np.float32)
    values_UM = sparse.csr_array(ratings)
    floor = Biases(3.5, np.array([0.5, -0.5, 0.25], dtype=np.float32), user_damping=2.0)
    expected_UM = floor.global_mean + floor.movie_bias_M + floor.user_bias_U(values_UM)[:, None]
    biases = DampedBiases(floor.global_mean, torch.from_numpy(floor.movie_bias_M), 2.0)
    rated_BM = torch.from_numpy((ratings > 0).astype(np.float32))
    found_BM = biases(torch.from_numpy(ratings), rated_BM)
    assert expected_UM.tolist() == [pytest.approx(row) for row in found_BM.tolist()]
    # By hand, the first user: (5 - 4 + 3 - 3.75) / (2 + 2) = 0.0625.
    assert [4.0625, 3.0625, 3.8125] == pytest.approx(found_BM[0].tolist())


def test_no_ratings_and_no_damping_leave_a_user_without_bias() -> None:
    biases = DampedBiases(3.5, torch.tensor([0.5, -0.5]), row_damping=0.0)
    assert [[4.0, 3.0]] == biases(torch.zeros(1, 2), torch.zeros(1, 2)).tolist()
