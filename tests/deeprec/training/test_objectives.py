"""Shape legend: B rows of a batch, N columns, R rated cells."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from deeprec.config.training import TrainConfig
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import RatingPredictor
from deeprec.networks.sparsity_kernels import SparsityKernel
from deeprec.training.objectives import RatedBatch, masked_mse, rated_loss

CPU = torch.device("cpu")
# The network below says 2 * 1 = 2 of every cell, whatever it sees.
RATINGS_BN = np.array([[5.0, 0.0, 2.0], [0.0, 0.0, 0.0], [1.0, 4.0, 0.0]], dtype=np.float32)
SQUARED = (5 - 2) ** 2 + 0 + (1 - 2) ** 2 + (4 - 2) ** 2  # 14, over four ratings


def batch(ratings_BN: np.ndarray = RATINGS_BN) -> RatedBatch:
    return RatedBatch.of(sparse.csr_array(ratings_BN), CPU)


def constant_network(**options: Any) -> RatingPredictor:  # noqa: ANN401 - whatever Autoencoder takes
    linear = {"activation": "identity", "output_activation": "identity", **options}
    autoencoder = Autoencoder(3, [1], **linear)
    with torch.no_grad():
        for weight in autoencoder.matrices():
            weight.zero_()
        autoencoder.encoder_biases_H[0].fill_(1.0)
        if not autoencoder.tied:
            autoencoder.decoder_weights_HI[0].fill_(2.0)
    return RatingPredictor(autoencoder)


def objective(network: RatingPredictor, share: float = 1.0, **values: Any) -> float:  # noqa: ANN401 - whatever TrainConfig takes
    return rated_loss(network, batch(), TrainConfig(**values), share).objective.item()


def drawn_visible(num_ratings: int, hide_fraction: float, seed: int) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.rand(num_ratings) >= hide_fraction


def test_masked_loss_by_hand() -> None:
    loss = rated_loss(constant_network(), batch(), TrainConfig(), 1.0)
    assert SQUARED / 4 == pytest.approx(loss.objective.item())
    assert SQUARED == pytest.approx(loss.squared.item())
    assert not loss.squared.requires_grad


def test_a_rating_of_zero_counts() -> None:
    zero = sparse.csr_array((np.zeros(1, np.float32), [1], [0, 1]), shape=(1, 3))
    loss = rated_loss(constant_network(), RatedBatch.of(zero, CPU), TrainConfig(), 1.0)
    assert 4.0 == pytest.approx(loss.objective.item())


def test_the_sum_is_a_sum() -> None:
    assert SQUARED == pytest.approx(objective(constant_network(), loss="sum"))


@pytest.mark.parametrize(("loss", "expected"), [("sum", SQUARED / 2), ("mean", SQUARED / 4)])
def test_where_all_are_visible_their_weight_is_one_of_the_sum(loss: str, expected: float) -> None:
    found = objective(constant_network(), loss=loss, visible_weight=0.5)
    assert expected == pytest.approx(found)


@pytest.mark.parametrize(("share", "expected"), [(1.0, 0.5 * 12), (0.25, 0.5 * 3), (0.0, 0.0)])
def test_l2_is_a_batchs_share_of_the_matrices_squares(share: float, expected: float) -> None:
    # The decoder's three weights of 2; the encoder's bias of 1 is spared.
    found = objective(constant_network(), share, loss="sum", l2=0.5)
    assert SQUARED + expected == pytest.approx(found)


def test_l2_counts_has_rated_weights_and_tied_ones_once() -> None:
    network = constant_network(has_rated=True, tied=True)
    with torch.no_grad():
        network.autoencoder.encoder_weights_IH[0].fill_(0.1)
        network.autoencoder.rated_weights_IH[0].fill_(0.2)
    plain = objective(network, loss="sum")
    assert plain + 10 * 3 * (0.01 + 0.04) == pytest.approx(objective(network, loss="sum", l2=10))


def test_kernels_are_penalised_on_their_own() -> None:
    network = constant_network(kernel_size=1)
    with torch.no_grad():
        for kernel in network.autoencoder.kernels:
            assert isinstance(kernel, SparsityKernel)
            kernel.outputs_HK.zero_()
            kernel.inputs_IK.fill_(0.5)  # each kernel is 1 - 0.25, of three cells
    plain = objective(network, loss="sum")
    found = objective(network, 0.5, loss="sum", kernel_l2=8)
    assert plain + 0.5 * 8 * 6 * 0.75**2 == pytest.approx(found)


@pytest.mark.parametrize("loss", ["mean", "sum"])
def test_hidden_and_visible_ratings_have_weights_of_their_own(loss: str) -> None:
    network, seed = constant_network(), 0
    visible_R = drawn_visible(4, 0.5, seed).tolist()
    assert 0 < sum(visible_R) < 4
    squares = [9.0, 0.0, 1.0, 4.0]
    weights = [0.25 if is_visible else 3.0 for is_visible in visible_R]
    weighted = sum(w * square for w, square in zip(weights, squares, strict=True))
    expected = weighted / sum(weights) if loss == "mean" else weighted
    told = TrainConfig(loss=loss, hide_fraction=0.5, hidden_weight=3, visible_weight=0.25)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = rated_loss(network, batch(), told, 1.0)
    assert expected == pytest.approx(found.objective.item())
    assert SQUARED == pytest.approx(found.squared.item())  # of all ratings, weights or not


def test_the_network_does_not_see_what_is_hidden() -> None:
    network = RatingPredictor(
        Autoencoder(3, [2], activation="identity", output_activation="identity")
    )
    told, seed = TrainConfig(loss="sum", hide_fraction=0.5, visible_weight=0), 0
    visible_BN = torch.zeros(3, 3)
    rating_BN = torch.from_numpy(RATINGS_BN)
    visible_BN[rating_BN != 0] = drawn_visible(4, 0.5, seed).float()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        found = rated_loss(network, batch(), told, 1.0)
        hidden_BN = (rating_BN != 0) & (visible_BN == 0)
        expected = (network(rating_BN * visible_BN) - rating_BN)[hidden_BN].square().sum()
    assert expected.item() == pytest.approx(found.objective.item(), rel=1e-5)


def test_nothing_but_visible_ratings_of_no_weight_is_no_division_by_zero() -> None:
    told = TrainConfig(hide_fraction=1e-12, visible_weight=0)
    assert 0.0 == rated_loss(constant_network(), batch(), told, 1.0).objective.item()


@pytest.mark.parametrize("center", [False, True], ids=["raw", "centred"])
def test_the_mean_is_the_posters_masked_loss_on_dense_vectors(center: bool) -> None:
    biases = DampedBiases(3.0, torch.tensor([0.5, 0.0, -0.5]), 1.0) if center else None
    network = RatingPredictor(Autoencoder(3, [4, 2], seed=1), biases)
    ratings_BN = torch.from_numpy(RATINGS_BN)
    rated_BN = (ratings_BN != 0).float()
    expected = masked_mse(network(ratings_BN, rated_BN), ratings_BN, rated_BN)
    slopes = torch.autograd.grad(expected, list(network.parameters()))
    found = rated_loss(network, batch(), TrainConfig(), 1.0).objective
    assert expected.item() == pytest.approx(found.item(), rel=1e-6)
    for slope, other in zip(
        slopes, torch.autograd.grad(found, list(network.parameters())), strict=True
    ):
        assert torch.allclose(slope, other, atol=1e-5)
