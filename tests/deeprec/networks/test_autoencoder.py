"""Shape legend: B users in a batch, M movies, C the code."""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from deeprec.config.models import Activation
from deeprec.networks.autoencoder import ACTIVATIONS, Autoencoder

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(x: float) -> float:
    return SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x))


def set_weights(network: Autoencoder, *weights: list[list[float]]) -> None:
    matrices = [*(w.T for w in network.encoder_weights_IH), *network.decoder_weights_HI]
    with torch.no_grad():
        for matrix, values in zip(matrices, weights, strict=True):
            matrix.copy_(torch.tensor(values))


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
