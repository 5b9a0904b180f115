"""What a predictor sees and predicts, over all cells and over few.

Shape legend: B rows of N columns, M movies, R rated and W wanted cells.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.func import functional_call

from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import RatingPredictor
from deeprec.networks.sparse_layers import Pattern


def copying_network(num_movies: int) -> Autoencoder:
    """Linear, of identity matrices: it returns what it is given."""
    network = Autoencoder(
        num_movies, [num_movies], activation="identity", output_activation="identity"
    )
    with torch.no_grad():
        for weight in (*network.encoder_weights_IH, *network.decoder_weights_HI):
            weight.copy_(torch.eye(num_movies))
    return network


def test_a_centred_network_sees_what_biases_leave_of_rated_movies() -> None:
    network = RatingPredictor(
        copying_network(3), DampedBiases(3.0, torch.tensor([1.0, 0.0, -1.0]), row_damping=1.0)
    )
    # One rating, 5 against 3 + 1: the user's bias is 1 / (1 + 1).
    predicted_BM = network(torch.tensor([[5.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]))
    assert [5.0, 3.5, 2.5] == pytest.approx(predicted_BM[0].tolist())


def test_a_centred_network_takes_a_rating_of_zero_for_a_rating() -> None:
    network = RatingPredictor(
        copying_network(2), DampedBiases(1.0, torch.zeros(2), row_damping=0.0)
    )
    predicted_BM = network(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert [0.0, 0.0] == pytest.approx(predicted_BM[0].tolist())


def test_without_biases_the_network_sees_the_ratings() -> None:
    ratings_BM = torch.tensor([[5.0, 0.0, 2.0]])
    assert torch.equal(ratings_BM, RatingPredictor(copying_network(3))(ratings_BM))


# Rows of every sort: full, explicit zeros, nothing, out of order, one rating.
CELLS = [(0, 0, 5), (0, 1, 3), (0, 2, 0), (0, 3, 4), (0, 4, 1), (2, 3, 0), (2, 1, 2), (3, 4, 5)]
SHAPE_BN = (4, 5)
SPARSE_OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"tied": True},
    "has rated": {"has_rated": True},
    "tied, has rated": {"tied": True, "has_rated": True},
    "kernels": {"kernel_size": 2},
    "kernels, has rated": {"kernel_size": 3, "has_rated": True},
    "decoder of its own": {"decoder_layers": [4, 3, 2]},
    "decoder without hidden layers": {"decoder_layers": []},
    "dropout": {"encoder_dropout": 0.4, "code_dropout": 0.3},
    "all that go together": {
        "has_rated": True,
        "kernel_size": 2,
        "decoder_layers": [4],
        "encoder_dropout": 0.4,
    },
}


def sparse_cells(cells: list[tuple[int, int, int]]) -> sparse.csr_array[np.float32]:
    """Rows in the order given, columns within a row too; a zero is a rating."""
    rows, columns, ratings = zip(*cells, strict=True)
    starts = np.cumsum([0, *np.bincount(rows, minlength=SHAPE_BN[0])])
    return sparse.csr_array(
        (np.array(ratings, dtype=np.float32), np.array(columns), starts), shape=SHAPE_BN
    )


def trained_network(center: bool, **options: Any) -> RatingPredictor:  # noqa: ANN401 - whatever Autoencoder takes
    """In double precision, all its parameters as if trained."""
    biases = DampedBiases(3.0, torch.linspace(-1, 1, SHAPE_BN[1]), 2.0) if center else None
    network = RatingPredictor(Autoencoder(SHAPE_BN[1], [4, 3], **options), biases).double()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in network.parameters():
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.add_(0.2 * drawn)
    return network


def loss_and_gradients(
    network: RatingPredictor, predict: Callable[[], Tensor], target_W: Tensor
) -> tuple[list[float], dict[str, list[float]]]:
    """Predictions under one random state, and what their squared errors ask of each parameter."""
    network.zero_grad()
    with torch.random.fork_rng():
        torch.manual_seed(11)
        predicted_W = predict()
    torch.autograd.backward((predicted_W - target_W).square().sum())
    slopes = {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad
        for name, weight in network.named_parameters()
    }
    return predicted_W.tolist(), {name: slope.flatten().tolist() for name, slope in slopes.items()}


@pytest.mark.parametrize("hidden", [[], [1, 5, 7]], ids=["all seen", "some hidden"])
@pytest.mark.parametrize("center", [False, True], ids=["raw", "centred"])
@pytest.mark.parametrize("options", SPARSE_OPTIONS.values(), ids=SPARSE_OPTIONS.keys())
def test_the_sparse_path_equals_the_dense_one(
    options: dict[str, Any], center: bool, hidden: list[int]
) -> None:
    network = trained_network(center, **options).train()
    values_BN = sparse_cells(CELLS)
    pattern = Pattern.of(values_BN, torch.device("cpu"))
    rating_R = torch.from_numpy(values_BN.data).double()
    visible_R = torch.ones(len(CELLS), dtype=torch.float64)
    visible_R[hidden] = 0.0
    rated_BN, ratings_BN = torch.zeros(2, *SHAPE_BN, dtype=torch.float64)
    for place, (row, column, rating) in enumerate(CELLS):
        if place not in hidden:
            rated_BN[row, column], ratings_BN[row, column] = 1.0, rating
    expected = loss_and_gradients(
        network,
        lambda: network(ratings_BN, rated_BN)[pattern.row_R, pattern.column_R],
        rating_R,
    )
    found = loss_and_gradients(
        network,
        lambda: network.at_cells(pattern, rating_R, pattern, visible_R if hidden else None),
        rating_R,
    )
    assert expected[0] == pytest.approx(found[0], abs=1e-9)
    for name, slope in expected[1].items():
        assert slope == pytest.approx(found[1][name], abs=1e-9), name


@pytest.mark.parametrize("center", [False, True], ids=["raw", "centred"])
def test_any_cells_can_be_wanted(center: bool) -> None:
    network = trained_network(center, has_rated=True).eval()
    values_BN = sparse_cells(CELLS)
    known = Pattern.of(values_BN, torch.device("cpu"))
    everything = Pattern.of(
        sparse.csr_array(np.ones(SHAPE_BN, dtype=np.float32)), torch.device("cpu")
    )
    rated_BN = known.matrix(torch.ones(len(CELLS), dtype=torch.float64)).to_dense()
    ratings_BN = torch.from_numpy(values_BN.toarray()).double()
    with torch.no_grad():
        expected_BN = network(ratings_BN, rated_BN)
        found_W = network.at_cells(known, torch.from_numpy(values_BN.data).double(), everything)
    assert expected_BN.flatten().tolist() == pytest.approx(found_W.tolist(), abs=1e-9)


@pytest.mark.parametrize(
    "options",
    [{"tied": True}, {"kernel_size": 2, "has_rated": True}],
    ids=["tied", "kernels, has rated"],
)
def test_gradients_of_the_sparse_path_are_those_of_finite_differences(
    options: dict[str, Any],
) -> None:
    network = trained_network(center=True, **options)
    names = [f"network.{name}" for name, _ in network.named_parameters()]
    values_BN = sparse_cells(CELLS)
    pattern = Pattern.of(values_BN, torch.device("cpu"))
    rating_R = torch.from_numpy(values_BN.data).double()

    def at_cells(*parameters: Tensor) -> Tensor:
        given = dict(zip(names, parameters, strict=True))
        predicted_R: Tensor = functional_call(_AtCells(network), given, (pattern, rating_R))
        return predicted_R

    assert torch.autograd.gradcheck(at_cells, tuple(network.parameters()))


class _AtCells(nn.Module):
    """The sparse path as a module's call, which is what `functional_call` calls."""

    def __init__(self, network: RatingPredictor) -> None:
        super().__init__()
        self.network = network

    def forward(self, pattern: Pattern, rating_R: Tensor) -> Tensor:
        return self.network.at_cells(pattern, rating_R, pattern)


def test_hidden_ratings_do_not_reach_the_network() -> None:
    network = trained_network(center=True, has_rated=True).eval()
    pattern = Pattern.of(sparse_cells(CELLS), torch.device("cpu"))
    rating_R = torch.tensor([float(rating) for _, _, rating in CELLS], dtype=torch.float64)
    visible_R = torch.tensor([1.0, 0, 1, 1, 0, 1, 1, 0], dtype=torch.float64)
    other_R = torch.where(visible_R == 1, rating_R, 99.0)
    with torch.no_grad():
        expected_R = network.at_cells(pattern, rating_R, pattern, visible_R)
        assert torch.equal(expected_R, network.at_cells(pattern, other_R, pattern, visible_R))
