"""Shape legend: B users in a batch, M movies; B rows of N columns, R rated and W wanted cells."""

import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.func import functional_call

from deeprec.config.models import Activation
from deeprec.models.baselines import Biases
from deeprec.networks.autoencoder import ACTIVATIONS, Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import RatingPredictor
from deeprec.networks.sparse_layers import Pattern
from deeprec.networks.sparsity_kernels import SparsityKernel

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(x: float) -> float:
    return SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x))


def set_weights(network: Autoencoder, *weights: list[list[float]]) -> None:
    matrices = [*(w.T for w in network.encoder_weights_IH), *network.decoder_weights_HI]
    with torch.no_grad():
        for matrix, values in zip(matrices, weights, strict=True):
            matrix.copy_(torch.tensor(values))


def copying_network(num_movies: int) -> Autoencoder:
    """Linear, of identity matrices: it returns what it is given."""
    network = Autoencoder(
        num_movies, [num_movies], activation="identity", output_activation="identity"
    )
    eye = torch.eye(num_movies).tolist()
    set_weights(network, eye, eye)
    return network


def test_forward_is_the_posters_equation() -> None:
    network = Autoencoder(2, [1])
    set_weights(network, [[0.5, -1.0]], [[2.0], [-3.0]])
    with torch.no_grad():
        network.encoder_biases_H[0].fill_(0.25)
        network.decoder_biases_H[0].fill_(-0.5)
    code = selu(0.5 * 4 - 1.0 * 3 + 0.25)
    expected = [selu(2.0 * code - 0.5), selu(-3.0 * code - 0.5)]
    assert expected == pytest.approx(network(torch.tensor([[4.0, 3.0]]))[0].tolist())


def test_the_decoder_mirrors_the_encoder() -> None:
    network = Autoencoder(10, [7, 5, 3])
    assert [(10, 7), (7, 5), (5, 3)] == [tuple(w.shape) for w in network.encoder_weights_IH]
    assert [(5, 3), (7, 5), (10, 7)] == [tuple(w.shape) for w in network.decoder_weights_HI]
    assert (4, 3) == network.encode(torch.zeros(4, 10)).shape
    assert (4, 10) == network(torch.zeros(4, 10)).shape


def test_every_activation_of_the_configuration_is_here() -> None:
    assert set(get_args(Activation)) == set(ACTIVATIONS)


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [
        ("selu", selu(-1), selu(2)),
        ("elu", math.expm1(-1), 2),
        ("relu", 0, 2),
        ("relu6", 0, 2),
        ("leaky_relu", -0.01, 2),
        ("sigmoid", 1 / (1 + math.e), 1 / (1 + math.exp(-2))),
        ("tanh", math.tanh(-1), math.tanh(2)),
        ("swish", -1 / (1 + math.e), 2 / (1 + math.exp(-2))),
        ("identity", -1, 2),
    ],
)
def test_an_activation_is_what_its_name_says(name: str, below: float, above: float) -> None:
    assert [below, above] == pytest.approx(ACTIVATIONS[name](torch.tensor([-1.0, 2.0])).tolist())


def test_weights_start_xavier_uniform_and_biases_at_zero() -> None:
    network = Autoencoder(300, [200])
    bound = math.sqrt(6 / (300 + 200))
    weights = network.encoder_weights_IH[0]
    assert bound == pytest.approx(weights.abs().max().item(), rel=1e-3)
    assert bound / math.sqrt(3) == pytest.approx(weights.std().item(), rel=0.02)
    assert not any(bias.any() for bias in [*network.encoder_biases_H, *network.decoder_biases_H])


def test_initial_weights_follow_from_the_seed_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (Autoencoder(6, [3], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.encoder_weights_IH[0], again.encoder_weights_IH[0])
    assert not torch.equal(first.encoder_weights_IH[0], other.encoder_weights_IH[0])


def test_tied_decoder_weights_are_the_encoders_transposed() -> None:
    tied = Autoencoder(4, [3, 2], tied=True, seed=5)
    loose = Autoencoder(4, [3, 2], seed=5)
    with torch.no_grad():
        pairs = zip(loose.decoder_weights_HI, reversed(tied.encoder_weights_IH), strict=True)
        for matrix, mirrored in pairs:
            matrix.copy_(mirrored)
    x_BM = torch.tensor([[1.0, 0.0, 3.0, 5.0]])
    assert torch.equal(loose(x_BM), tied(x_BM))
    assert 4 * 3 + 3 * 2 + (3 + 2) + (3 + 4) == sum(p.numel() for p in tied.parameters())


def test_gradients_of_tied_weights_are_those_of_finite_differences() -> None:
    network = Autoencoder(4, [3, 2], tied=True).double()
    names = [name for name, _ in network.named_parameters()]
    x_BM = torch.tensor([[1.0, 0.0, 3.0, 5.0], [2.0, 4.0, 0.0, 1.0]], dtype=torch.float64)

    def output(*parameters: Tensor) -> Tensor:
        y_BM: Tensor = functional_call(network, dict(zip(names, parameters, strict=True)), (x_BM,))
        return y_BM

    assert torch.autograd.gradcheck(output, tuple(network.parameters()))


def test_dropout_is_off_in_eval_mode() -> None:
    network = Autoencoder(6, [8, 8], encoder_dropout=0.5, code_dropout=0.5).eval()
    plain = Autoencoder(6, [8, 8]).eval()
    x_BM = torch.arange(6.0).reshape(1, 6)
    assert torch.equal(plain(x_BM), network(x_BM))


def test_code_dropout_falls_on_the_code_alone() -> None:
    network = Autoencoder(6, [50, 50], code_dropout=0.5)
    x_BM = torch.arange(6.0).reshape(1, 6)
    whole_BC = network.eval().encode(x_BM)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        thinned_BC = network.train().encode(x_BM)
    kept = thinned_BC != 0
    assert 0 < kept.sum() < 50
    assert torch.allclose(2 * whole_BC[kept], thinned_BC[kept])


def test_encoder_dropout_falls_on_each_encoder_layer() -> None:
    network = Autoencoder(6, [50, 50], encoder_dropout=0.5)
    x_BM = torch.arange(6.0).reshape(1, 6)
    whole_BC = network.eval().encode(x_BM)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        thinned_BC = network.train().encode(x_BM)
    kept = thinned_BC != 0
    assert 0 < kept.sum() < 50
    assert not torch.allclose(2 * whole_BC[kept], thinned_BC[kept])  # the layer below lost some too


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


def test_a_kernel_counts_the_distance_of_its_ends() -> None:
    kernel = SparsityKernel(2, 2, 2, torch.Generator())
    with torch.no_grad():
        kernel.outputs_HK.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        kernel.inputs_IK.copy_(torch.tensor([[0.5, 0.0], [0.0, 1.0]]))
    # Squared distances: 0.25 and 1 of the first output, 0.25 and 2 of the second.
    assert [[0.75, 0.0], [0.75, 0.0]] == kernel().tolist()


def test_a_kernel_multiplies_the_weights_of_every_layer() -> None:
    network = Autoencoder(5, [4, 3], kernel_size=2, seed=1)
    plain = Autoencoder(5, [4, 3], seed=1)
    assert [(4, 5), (3, 4), (4, 3), (5, 4)] == [tuple(kernel().shape) for kernel in network.kernels]
    matrices = [*(w.T for w in network.encoder_weights_IH), *network.decoder_weights_HI]
    with torch.no_grad():
        for kernel, matrix, product in zip(
            network.kernels, matrices, plain.matrices(), strict=True
        ):
            assert isinstance(kernel, SparsityKernel)
            kernel.inputs_IK.mul_(400)
            weight_HI = matrix * kernel()
            product.copy_(weight_HI if product.shape == weight_HI.shape else weight_HI.T)
    x_BN = torch.tensor([[1.0, 0.0, 3.0, 5.0, 2.0]])
    assert torch.allclose(plain(x_BN), network(x_BN))


def test_kernels_start_at_nearly_one() -> None:
    network = Autoencoder(50, [20], kernel_size=5)
    assert all(kernel().sub(1).abs().max() < 1e-3 for kernel in network.kernels)


def test_what_is_rated_enters_the_first_layer_alone() -> None:
    network = Autoencoder(2, [1], activation="identity", has_rated=True)
    set_weights(network, [[0.5, -1.0]], [[2.0], [-3.0]])
    with torch.no_grad():
        network.rated_weights_IH[0].copy_(torch.tensor([[10.0], [20.0]]))
    code_BC = network.encode(torch.tensor([[4.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    assert [[0.5 * 4 + 10 + 20]] == code_BC.tolist()


def test_the_decoder_may_have_layers_of_its_own() -> None:
    network = Autoencoder(10, [7, 5], decoder_layers=[3, 4])
    assert [(3, 5), (4, 3), (10, 4)] == [tuple(w.shape) for w in network.decoder_weights_HI]
    straight = Autoencoder(10, [7, 5], decoder_layers=[])
    assert [(10, 5)] == [tuple(w.shape) for w in straight.decoder_weights_HI]
