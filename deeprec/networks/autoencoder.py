"""The autoencoder; knows nothing of training, files or formats.

A row is one user's vector over the movies, or one movie's over the users: nothing here asks which.

Shape legend: B rows of a batch, N columns, H one layer's outputs (O of any linear layer), I its
inputs, C the code, R rated cells of the batch, W wanted cells of its output.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeprec.networks.dense_layers import linear, widened
from deeprec.networks.sparse_layers import Pattern, dense_at_cells, sparse_times_dense
from deeprec.networks.sparsity_kernels import SparsityKernel

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
