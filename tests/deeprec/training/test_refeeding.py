"""Shape legend: B rows of a batch, N columns."""

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from deeprec.config.training import TrainConfig
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import RatingPredictor
from deeprec.training.objectives import masked_mse
from deeprec.training.rated_rows import HostRows
from deeprec.training.refeeding import Refeeding

CPU = torch.device("cpu")
NUM_ROWS, NUM_COLUMNS = 600, 7  # more rows than go through at once


def some_batch() -> sparse.csr_array[np.float32]:
    rng = np.random.default_rng(0)
    rating_BN = rng.integers(1, 6, (NUM_ROWS, NUM_COLUMNS)).astype(np.float32)
    rating_BN[rng.random(rating_BN.shape) > 0.4] = 0
    return sparse.csr_array(rating_BN)


def new_network() -> RatingPredictor:
    biases = DampedBiases(3.0, torch.linspace(-1, 1, NUM_COLUMNS), 5.0)
    return RatingPredictor(Autoencoder(NUM_COLUMNS, [5, 3], has_rated=True, seed=1), biases)


def gradients(network: RatingPredictor) -> list[Tensor]:
    return [weight.grad for weight in network.parameters() if weight.grad is not None]


@pytest.mark.parametrize("target", ["output", "labels"])
def test_rows_that_go_through_by_and_by_have_the_gradient_of_the_whole(target: str) -> None:
    batch_BN = some_batch()
    rating_BN = torch.from_numpy(batch_BN.toarray())
    rated_BN = (rating_BN != 0).float()
    settings = TrainConfig(refeed_steps=2, refeed_target=target)
    network, whole = new_network(), new_network()
    num_ratings = torch.tensor(float(batch_BN.nnz))
    rows = HostRows(batch_BN, np.arange(NUM_ROWS), CPU)
    refeeding = Refeeding(rows, np.arange(NUM_ROWS), NUM_ROWS, num_ratings, settings)
    refeeding.feed(network, network.encode(rating_BN, rated_BN))
    fed_BN = whole(rating_BN, rated_BN).detach()
    num_steps = 0
    for parts in refeeding.losses():
        num_steps += 1
        network.zero_grad()
        losses = [part(network) for part in parts]
        torch.autograd.backward([loss.objective for loss in losses])
        whole.zero_grad()
        predicted_BN = whole(fed_BN, torch.ones_like(fed_BN))
        expected = (
            functional.mse_loss(predicted_BN, fed_BN)
            if target == "output"
            else masked_mse(predicted_BN, rating_BN, rated_BN)
        )
        torch.autograd.backward(expected)
        fed_BN = predicted_BN.detach()
        assert len(parts) > 1
        assert expected.item() == pytest.approx(sum(loss.objective.item() for loss in losses))
        for one, other in zip(gradients(whole), gradients(network), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert 2 == num_steps
