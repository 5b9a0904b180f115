"""The autoencoder and the rating predictor around it; knows nothing of training, files or formats.

Shape legend: B users in a batch, M movies, H one layer's outputs, I its inputs, C the code.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "selu": functional.selu,
    "elu": functional.elu,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "swish": functional.silu,
    "identity": lambda x_BH: x_BH,
}

_SMALLEST_COUNT = 1e-6  # keeps 0 ratings / (0 + no damping) at 0


class Autoencoder(nn.Module):
    """f(x) = decode(encode(x)); the decoder's layers are the encoder's in reverse.

    Every layer is activation(W x + b), the last one too, as in the poster and in Kuchaiev and
    Ginsburg (2017). Weights start Xavier-uniform, biases at zero.

    Args:
        num_movies: M, inputs and outputs.
        hidden_layers: encoder widths; the last is the code's.
        activation: a name in `ACTIVATIONS`.
        output_activation: the same, of the last decoder layer.
        tied: decoder weights are the encoder's, transposed; decoder biases stay their own.
        encoder_dropout: probability after each encoder layer (the poster's).
        code_dropout: probability after the last encoder layer only (DeepRecommender's).
        seed: of the initial weights.
    """

    def __init__(
        self,
        num_movies: int,
        hidden_layers: Sequence[int],
        *,
        activation: str = "selu",
        output_activation: str = "selu",
        tied: bool = False,
        encoder_dropout: float = 0.0,
        code_dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        widths = [num_movies, *hidden_layers]
        down = list(pairwise(widths))
        up = list(pairwise(reversed(widths)))
        self.encoder_weights_HI = _weights(down, generator)
        self.encoder_biases_H = _biases(down)
        self.decoder_weights_HI = nn.ParameterList() if tied else _weights(up, generator)
        self.decoder_biases_H = _biases(up)
        self.activation = ACTIVATIONS[activation]
        self.output_activation = ACTIVATIONS[output_activation]
        self.tied = tied
        self.encoder_dropout = encoder_dropout
        self.code_dropout = code_dropout

    def forward(self, x_BM: Tensor) -> Tensor:
        """B x M: what the network makes of its input."""
        return self.decode(self.encode(x_BM))

    def encode(self, x_BM: Tensor) -> Tensor:
        """B x C: the code."""
        h_BH = x_BM
        for weight_HI, bias_H in zip(self.encoder_weights_HI, self.encoder_biases_H, strict=True):
            h_BH = self.activation(functional.linear(h_BH, weight_HI, bias_H))
            h_BH = functional.dropout(h_BH, self.encoder_dropout, self.training)
        return functional.dropout(h_BH, self.code_dropout, self.training)

    def decode(self, code_BC: Tensor) -> Tensor:
        """B x M: the output that belongs to a code."""
        weights_HI = (
            [weight_HI.T for weight_HI in reversed(self.encoder_weights_HI)]
            if self.tied
            else self.decoder_weights_HI
        )
        *inner, last = zip(weights_HI, self.decoder_biases_H, strict=True)
        h_BH = code_BC
        for weight_HI, bias_H in inner:
            h_BH = self.activation(functional.linear(h_BH, weight_HI, bias_H))
        return self.output_activation(functional.linear(h_BH, *last))


class DampedBiases(nn.Module):
    """global mean + user bias + movie bias, with each user's bias taken from the input itself.

    Holds what `deeprec.baselines.Biases` holds, as buffers, so it is exported with the network.
    """

    global_mean: Tensor
    movie_bias_M: Tensor
    user_damping: Tensor

    def __init__(self, global_mean: float, movie_bias_M: Tensor, user_damping: float) -> None:
        super().__init__()
        self.register_buffer("global_mean", torch.tensor(global_mean))
        self.register_buffer("movie_bias_M", movie_bias_M.clone())
        self.register_buffer("user_damping", torch.tensor(user_damping))

    def forward(self, ratings_BM: Tensor, rated_BM: Tensor) -> Tensor:
        """B x M: the bias prediction of every movie."""
        movie_M = self.global_mean + self.movie_bias_M
        left_B1 = ((ratings_BM - movie_M) * rated_BM).sum(dim=1, keepdim=True)
        weight_B1 = rated_BM.sum(dim=1, keepdim=True) + self.user_damping
        return movie_M + left_B1 / weight_B1.clamp(min=_SMALLEST_COUNT)


class RatingPredictor(nn.Module):
    """Ratings in, predicted ratings out.

    Without biases the network sees and predicts the ratings as they are; with them it sees and
    predicts what they leave of a rating, and they are added back.
    """

    def __init__(self, autoencoder: Autoencoder, biases: DampedBiases | None = None) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.biases = biases

    def forward(self, ratings_BM: Tensor, rated_BM: Tensor | None = None) -> Tensor:
        """B x M: predicted ratings, not clipped to the scale.

        Args:
            ratings_BM: the ratings; 0 where unrated.
            rated_BM: 1 where rated, 0 elsewhere; only biases need it.
        """
        predicted_BM: Tensor
        if self.biases is None:
            predicted_BM = self.autoencoder(ratings_BM)
            return predicted_BM
        assert rated_BM is not None, "biases need to know which movies are rated"
        baseline_BM = self.biases(ratings_BM, rated_BM)
        predicted_BM = baseline_BM + self.autoencoder((ratings_BM - baseline_BM) * rated_BM)
        return predicted_BM


def _weights(shapes: list[tuple[int, int]], generator: torch.Generator) -> nn.ParameterList:
    """One Xavier-uniform matrix a layer, outputs x inputs."""
    return nn.ParameterList(
        nn.init.xavier_uniform_(torch.empty(num_outputs, num_inputs), generator=generator)
        for num_inputs, num_outputs in shapes
    )


def _biases(shapes: list[tuple[int, int]]) -> nn.ParameterList:
    """One zero vector a layer."""
    return nn.ParameterList(torch.zeros(num_outputs) for _, num_outputs in shapes)
