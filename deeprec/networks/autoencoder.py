"""The autoencoder and the rating predictor around it; knows nothing of training, files or formats.

A row is one user's vector over the movies, or one movie's over the users: nothing here asks which.

Shape legend: B rows of a batch, N columns, H one layer's outputs, I its inputs, C the code,
K coordinates of a kernel, R rated cells of the batch, W wanted cells of its output.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeprec.networks.dense_layers import linear, widened
from deeprec.networks.sparse_layers import Pattern, dense_at_cells, sparse_times_dense
from deeprec.networks.units import in_units, out_of_units

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "selu": functional.selu,
    "elu": functional.elu,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "swish": functional.silu,
    "identity": nn.Identity(),
}

_SMALLEST_COUNT = 1e-6  # keeps 0 ratings / (0 + no damping) at 0
_KERNEL_SPREAD = 1e-3  # of initial coordinates: kernels start at nearly 1


class SparsityKernel(nn.Module):
    """What SparseFC multiplies a layer's weights with (Muller et al. 2018, section 3).

    Inputs and outputs of the layer have places in a space of K coordinates; a weight counts
    max(0, 1 - squared distance) of its two ends.
    """

    def __init__(
        self, num_outputs: int, num_inputs: int, size: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.outputs_HK = nn.Parameter(_KERNEL_SPREAD * _normal(num_outputs, size, generator))
        self.inputs_IK = nn.Parameter(_KERNEL_SPREAD * _normal(num_inputs, size, generator))

    def forward(self) -> Tensor:
        """H x I: 1 where the ends meet, 0 from a distance of 1 on."""
        outputs_HK, inputs_IK = self.outputs_HK, self.inputs_IK
        lengths_HI = outputs_HK.square().sum(1)[:, None] + inputs_IK.square().sum(1)
        return (1 - lengths_HI + 2 * outputs_HK @ inputs_IK.T).clamp(min=0)


class Autoencoder(nn.Module):
    """f(x) = decode(encode(x)); unless told otherwise the decoder is the encoder in reverse.

    Every layer is activation(W x + b), the last one too, as in the poster and in Kuchaiev and
    Ginsburg (2017). Weights start Xavier-uniform, biases at zero. With `trains_in_bfloat16` dense
    layers hand that on to each other in training; what is sparse stays in 32 bits.

    Args:
        num_columns: N, inputs and outputs.
        hidden_layers: encoder widths; the last is the code's.
        activation: a name in `ACTIVATIONS`.
        output_activation: the same, of the last decoder layer.
        tied: decoder weights are the encoder's, transposed; decoder biases stay their own.
        encoder_dropout: probability after each encoder layer (the poster's).
        code_dropout: probability after the last encoder layer only (DeepRecommender's).
        decoder_layers: hidden widths of the decoder, where it does not mirror the encoder.
        has_rated: the first layer also sees which columns are rated.
        kernel_size: K of every layer's `SparsityKernel`; 0 for layers without one.
        seed: of the initial weights.
    """

    def __init__(
        self,
        num_columns: int,
        hidden_layers: Sequence[int],
        *,
        activation: str = "selu",
        output_activation: str = "selu",
        tied: bool = False,
        encoder_dropout: float = 0.0,
        code_dropout: float = 0.0,
        decoder_layers: Sequence[int] | None = None,
        has_rated: bool = False,
        kernel_size: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        mirrored = tuple(reversed(hidden_layers))[1:]
        inner = mirrored if decoder_layers is None else tuple(decoder_layers)
        down = list(pairwise([num_columns, *hidden_layers]))
        up = list(pairwise([hidden_layers[-1], *inner, num_columns]))
        self.encoder_weights_IH = _by_input(_weights(down, generator))
        self.encoder_biases_H = _biases(down)
        self.decoder_weights_HI = nn.ParameterList() if tied else _weights(up, generator)
        self.decoder_biases_H = _biases(up)
        self.rated_weights_IH = _by_input(_weights(down[:1] if has_rated else [], generator))
        layers = [*down, *up] if kernel_size else []
        self.kernels = nn.ModuleList(
            SparsityKernel(outputs, inputs, kernel_size, generator) for inputs, outputs in layers
        )
        self.activation = ACTIVATIONS[activation]
        self.output_activation = ACTIVATIONS[output_activation]
        self.tied = tied
        self.encoder_dropout = encoder_dropout
        self.code_dropout = code_dropout
        self.trains_in_bfloat16 = False

    @property
    def has_rated(self) -> bool:
        """Whether the first layer also sees which columns are rated."""
        return bool(self.rated_weights_IH)

    def forward(self, x_BN: Tensor, rated_BN: Tensor | None = None) -> Tensor:
        """B x N: what the network makes of its input."""
        return self.decode(self.encode(x_BN, rated_BN))

    def encode(self, x_BN: Tensor, rated_BN: Tensor | None = None) -> Tensor:
        """B x C: the code."""
        return self.after_first(self.first_layer(x_BN, rated_BN))

    def first_layer(self, x_BN: Tensor, rated_BN: Tensor | None = None) -> Tensor:
        """B x H: the first layer's sums, before its activation."""
        first_BH = self._linear(x_BN, self.first_weight().T, self.encoder_biases_H[0])
        if self.has_rated:
            assert rated_BN is not None, "this network needs to know which columns are rated"
            first_BH = first_BH + self._linear(rated_BN, self.rated_weights_IH[0].T)
        return first_BH

    def encode_sparse(self, pattern: Pattern, x_R: Tensor, rated_R: Tensor) -> Tensor:
        """B x C: the same of rows that hold `x_R` and `rated_R` where they are rated."""
        first_BH = sparse_times_dense(pattern, x_R, self.first_weight())
        if self.has_rated:
            first_BH = first_BH + sparse_times_dense(pattern, rated_R, self.rated_weights_IH[0])
        return self.after_first(first_BH + self.encoder_biases_H[0])

    def after_first(self, first_BH: Tensor) -> Tensor:
        """B x C: the code that belongs to the first layer's sums."""
        h_BH = self._dropped(self.activation(first_BH))
        for layer, bias_H in enumerate(islice(self.encoder_biases_H, 1, None), start=1):
            h_BH = self._linear(h_BH, self._encoder_weight_HI(layer), bias_H)
            h_BH = self._dropped(self.activation(h_BH))
        return functional.dropout(h_BH, self.code_dropout, self.training)

    def decode(self, code_BC: Tensor) -> Tensor:
        """B x N: the output that belongs to a code."""
        weight_NH = self._decoder_weight_HI(len(self.decoder_biases_H) - 1)
        output_BN = self._linear(self.before_last(code_BC), weight_NH, self.decoder_biases_H[-1])
        return widened(self.output_activation(output_BN))

    def decode_cells(self, code_BC: Tensor, wanted: Pattern) -> Tensor:
        """W: the wanted cells of what `decode` gives."""
        weight_NH = self._decoder_weight_HI(len(self.decoder_biases_H) - 1)
        output_W = dense_at_cells(wanted, widened(self.before_last(code_BC)), weight_NH)
        # Not by indexing, whose gradient is made for places in any order and number.
        bias_W = self.decoder_biases_H[-1].index_select(0, wanted.column_R)
        return self.output_activation(output_W + bias_W)

    def before_last(self, code_BC: Tensor) -> Tensor:
        """B x H: the inputs of the decoder's last layer."""
        h_BH, num_inner = code_BC, len(self.decoder_biases_H) - 1
        for layer, bias_H in enumerate(islice(self.decoder_biases_H, num_inner)):
            h_BH = self._linear(h_BH, self._decoder_weight_HI(layer), bias_H)
            h_BH = self.activation(h_BH)
        return h_BH

    def first_weight(self) -> Tensor:
        """N x H: the encoder's first layer, as it counts."""
        return self._encoder_weight_HI(0).T

    def last_weight(self) -> Tensor:
        """N x H: the decoder's last layer, as it counts."""
        return self._decoder_weight_HI(len(self.decoder_biases_H) - 1)

    def matrices(self) -> Iterator[Tensor]:
        """Every weight matrix that is learned; neither biases nor kernels."""
        yield from self.encoder_weights_IH
        yield from self.decoder_weights_HI
        yield from self.rated_weights_IH

    def _linear(self, x_BI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
        if not self.training:
            return functional.linear(x_BI, weight_OI, bias_O)
        return linear(x_BI, weight_OI, bias_O, in_bfloat16=self.trains_in_bfloat16)

    def _dropped(self, h_BH: Tensor) -> Tensor:
        return functional.dropout(h_BH, self.encoder_dropout, self.training)

    def _encoder_weight_HI(self, layer: int) -> Tensor:
        weight_HI: Tensor = self.encoder_weights_IH[layer].T
        if self.kernels:
            weight_HI = weight_HI * self.kernels[layer]()
        return weight_HI

    def _decoder_weight_HI(self, layer: int) -> Tensor:
        weight_HI: Tensor
        if self.tied:
            weight_HI = self.encoder_weights_IH[-1 - layer]
        else:
            weight_HI = self.decoder_weights_HI[layer]
        if self.kernels:
            weight_HI = weight_HI * self.kernels[len(self.encoder_biases_H) + layer]()
        return weight_HI


class DampedBiases(nn.Module):
    """global mean + row bias + column bias, with each row's bias taken from the input itself.

    Holds what `models.baselines.Biases` holds, as buffers, so it is exported with the network.
    """

    global_mean: Tensor
    column_bias_N: Tensor
    row_damping: Tensor

    def __init__(self, global_mean: float, column_bias_N: Tensor, row_damping: float) -> None:
        super().__init__()
        self.register_buffer("global_mean", torch.tensor(global_mean))
        self.register_buffer("column_bias_N", column_bias_N.clone())
        self.register_buffer("row_damping", torch.tensor(row_damping))

    def forward(self, ratings_BN: Tensor, rated_BN: Tensor) -> Tensor:
        """B x N: the bias prediction of every column."""
        return self.everywhere(self.row_bias(ratings_BN, rated_BN))

    def row_bias(self, ratings_BN: Tensor, rated_BN: Tensor) -> Tensor:
        """B x 1: each row's bias from its ratings."""
        column_N = self.global_mean + self.column_bias_N
        left_B1 = ((ratings_BN - column_N) * rated_BN).sum(dim=1, keepdim=True)
        return self._row_bias(left_B1, rated_BN.sum(dim=1, keepdim=True))

    def row_bias_sparse(self, pattern: Pattern, ratings_R: Tensor, rated_R: Tensor) -> Tensor:
        """B x 1: each row's bias from its ratings, counting those where `rated_R` is 1."""
        left_R = (ratings_R - self.global_mean - self.column_bias_N[pattern.column_R]) * rated_R
        ones_N1 = left_R.new_ones(pattern.shape[1], 1)
        return self._row_bias(
            pattern.matrix(left_R) @ ones_N1, pattern.matrix(rated_R.to(left_R)) @ ones_N1
        )

    def everywhere(self, row_bias_B1: Tensor) -> Tensor:
        """B x N: the bias prediction of every cell."""
        return self.global_mean + self.column_bias_N + row_bias_B1

    def at_cells(self, row_bias_B1: Tensor, wanted: Pattern) -> Tensor:
        """W: the bias prediction of the wanted cells."""
        column_W = self.global_mean + self.column_bias_N[wanted.column_R]
        return column_W + row_bias_B1[wanted.row_R, 0]

    def _row_bias(self, left_B1: Tensor, count_B1: Tensor) -> Tensor:
        """B x 1: the damped mean of what mean and columns leave."""
        return left_B1 / (count_B1 + self.row_damping).clamp(min=_SMALLEST_COUNT)


class Encoded(NamedTuple):
    """Rows half way through a predictor: codes, and row biases where there are any."""

    code_BC: Tensor
    row_bias_B1: Tensor | None


class RatingPredictor(nn.Module):
    """Ratings in, predicted ratings out.

    Without biases the network sees and predicts the ratings themselves; with them it sees and
    predicts what they leave of a rating, and they are added back. What it sees and predicts is
    counted in `unit`: ratings on a wider scale are to it what they would be in stars.
    """

    def __init__(
        self, autoencoder: Autoencoder, biases: DampedBiases | None = None, unit: float = 1.0
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.biases = biases
        self.unit = unit

    def in_units(self, ratings: Tensor) -> Tensor:
        """The same, counted in `unit`."""
        return in_units(ratings, self.unit)

    def out_of_units(self, output: Tensor) -> Tensor:
        """The way back."""
        return out_of_units(output, self.unit)

    @property
    def needs_rated(self) -> bool:
        """Whether the ratings alone do not tell it enough."""
        return self.biases is not None or self.autoencoder.has_rated

    def forward(self, ratings_BN: Tensor, rated_BN: Tensor | None = None) -> Tensor:
        """B x N: predicted ratings, not clipped to the scale.

        Args:
            ratings_BN: the ratings; 0 where unrated.
            rated_BN: 1 where rated, 0 elsewhere; see `needs_rated`.
        """
        return self.decode(self.encode(ratings_BN, rated_BN))

    def at_cells(
        self,
        pattern: Pattern,
        ratings_R: Tensor,
        wanted: Pattern,
        visible_R: Tensor | None = None,
    ) -> Tensor:
        """W: what `forward` gives at the wanted cells, in the time that the rated ones take.

        Args:
            pattern: which cells are rated.
            ratings_R: the ratings there.
            wanted: which cells to predict.
            visible_R: 1 where the network may see the rating, 0 where it is taken for unrated.
        """
        return self.decode_cells(self.encode_sparse(pattern, ratings_R, visible_R), wanted)

    def encode(self, ratings_BN: Tensor, rated_BN: Tensor | None = None) -> Encoded:
        """What `forward` makes of its input, half way."""
        if self.biases is None:
            return Encoded(self.autoencoder.encode(self.in_units(ratings_BN), rated_BN), None)
        assert rated_BN is not None, "biases need to know which columns are rated"
        row_bias_B1 = self.biases.row_bias(ratings_BN, rated_BN)
        left_BN = (ratings_BN - self.biases.everywhere(row_bias_B1)) * rated_BN
        return Encoded(self.autoencoder.encode(self.in_units(left_BN), rated_BN), row_bias_B1)

    def encode_sparse(
        self, pattern: Pattern, ratings_R: Tensor, visible_R: Tensor | None = None
    ) -> Encoded:
        """The same of rows that hold `ratings_R` where they are rated; see `at_cells`."""
        rated_R = torch.ones_like(ratings_R) if visible_R is None else visible_R
        if self.biases is None:
            seen_R = self.in_units(ratings_R * rated_R)
            code_BC = self.autoencoder.encode_sparse(pattern, seen_R, rated_R)
            return Encoded(code_BC, None)
        row_bias_B1 = self.biases.row_bias_sparse(pattern, ratings_R, rated_R)
        left_R = (ratings_R - self.biases.at_cells(row_bias_B1, pattern)) * rated_R
        code_BC = self.autoencoder.encode_sparse(pattern, self.in_units(left_R), rated_R)
        return Encoded(code_BC, row_bias_B1)

    def decode(self, encoded: Encoded) -> Tensor:
        """B x N: the predicted ratings of every column."""
        output_BN = self.out_of_units(self.autoencoder.decode(encoded.code_BC))
        if self.biases is None or encoded.row_bias_B1 is None:
            return output_BN
        return self.biases.everywhere(encoded.row_bias_B1) + output_BN

    def decode_cells(self, encoded: Encoded, wanted: Pattern) -> Tensor:
        """W: those of the wanted cells."""
        output_W = self.out_of_units(self.autoencoder.decode_cells(encoded.code_BC, wanted))
        if self.biases is None or encoded.row_bias_B1 is None:
            return output_W
        return self.biases.at_cells(encoded.row_bias_B1, wanted) + output_W


def _weights(shapes: list[tuple[int, int]], generator: torch.Generator) -> nn.ParameterList:
    """One Xavier-uniform matrix a layer, outputs x inputs."""
    return nn.ParameterList(
        nn.init.xavier_uniform_(torch.empty(num_outputs, num_inputs), generator=generator)
        for num_inputs, num_outputs in shapes
    )


def _by_input(weights_HI: nn.ParameterList) -> nn.ParameterList:
    """The same, a row an input: sparse rows read such rows whole, and gradients come as such."""
    return nn.ParameterList(weight_HI.detach().T.contiguous() for weight_HI in weights_HI)


def _biases(shapes: list[tuple[int, int]]) -> nn.ParameterList:
    """One zero vector a layer."""
    return nn.ParameterList(torch.zeros(num_outputs) for _, num_outputs in shapes)


def _normal(num_rows: int, num_columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(num_rows, num_columns, generator=generator)
