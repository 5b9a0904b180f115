"""Models over users' vectors: a graph, one taken apart into codes, and a kernel of the movies.

Shape legend: U or B users at hand, M movies of the vocabulary, C a code.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeprec.config.models import Activation, AutoencoderConfig, KernelRidgeConfig
from deeprec.config.section import Device
from deeprec.models.baselines import Biases
from deeprec.models.first_layer import FirstLayer, left_by_biases
from deeprec.models.inference import (
    COUNTED,
    FIRST_LAYER,
    KERNEL,
    PRODUCT_GRAPH,
    SCALE,
    UNCLIPPED,
    USER_BIAS,
    USER_CODES,
    Graph,
    open_graph,
)
from deeprec.models.interface import MovieSide
from deeprec.models.kernel_ridge import movie_kernel
from deeprec.models.last_layer import activate
from deeprec.ratings import Floats, RatingMatrix

USER_WEIGHTS = "users.npz"
USER_ENCODER = "users.onnx"
MOVIE_WEIGHTS = "movies.npy"


@dataclass(frozen=True)
class VectorModel:
    """A graph that needs a user's vector and nothing else."""

    graph: Graph
    looks_at_movies: bool = False
    needs_days: bool = False

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """Nothing."""
        del everyone
        return {}

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `interface.Model`."""
        del side, counted
        return self.graph.run(self.graph.vectors(users.values_UM), UNCLIPPED)


@dataclass(frozen=True)
class FactoredModel:
    """A network taken apart: first layer, the graph up to the user's code, the last layer.

    The first layer is worked out over what is rated; graphs take dense vectors. A prediction is
    counted in `unit` after its activation; where that is linear the weights hold it.
    """

    first: FirstLayer
    biases: Biases | None
    encoder: Graph
    product: Graph
    weights_MC: Floats
    activation: Activation
    unit: float = 1.0
    looks_at_movies: bool = False
    needs_days: bool = False

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """Nothing."""
        del everyone
        return {}

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `interface.Model`."""
        codes_BC = self.user_codes(users, side, counted=counted)
        return activate(self.products(codes_BC, self.weights_MC), self.activation, self.unit)

    def user_codes(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `interface.Factors`."""
        del side, counted
        if self.biases is None:
            return self.encoder.run({FIRST_LAYER: self.first.sums(users.values_UM)}, USER_CODES)
        bias_B = self.biases.user_bias_U(users.values_UM)
        left_BM = left_by_biases(users.values_UM, self.biases, bias_B)
        feeds = {FIRST_LAYER: self.first.sums(left_BM), USER_BIAS: bias_B[:, None]}
        return self.encoder.run(feeds, USER_CODES)

    def movie_codes(self, side: MovieSide) -> Floats:
        """See `interface.Factors`."""
        del side
        return self.weights_MC

    def products(self, user_codes_BC: Floats, movie_codes_MC: Floats) -> Floats:
        """See `interface.Factors`."""
        return self.product.products(user_codes_BC, movie_codes_MC)


@dataclass(frozen=True)
class KernelModel:
    """Regressions over each user's movies, on a kernel of the movies over everybody."""

    graph: Graph
    biases: Biases
    config: KernelRidgeConfig
    unit: float = 1.0
    looks_at_movies: bool = True
    needs_days: bool = False

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """The kernel and its scales."""
        kernel = movie_kernel(everyone.values_UM, self.biases, self.config, self.unit)
        return {KERNEL: kernel.kernel_MM, SCALE: kernel.scale_M}

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `interface.Model`."""
        counted_B1 = np.full((users.num_users, 1), counted, dtype=np.float32)
        vectors = self.graph.vectors(users.values_UM)
        return self.graph.run({**vectors, **side, COUNTED: counted_B1}, UNCLIPPED)


def open_factored_model(
    folder: Path,
    config: AutoencoderConfig,
    biases: Biases,
    unit: float,
    *,
    device: Device,
    num_threads: int,
) -> FactoredModel:
    """The model whose files are in a folder; arguments and errors as of `opening.open_model`."""
    return FactoredModel(
        first=FirstLayer.read(folder / USER_WEIGHTS),
        biases=None if config.center == "none" else biases,
        encoder=open_graph(folder / USER_ENCODER, device, num_threads),
        product=open_graph(folder / PRODUCT_GRAPH, device, num_threads),
        weights_MC=np.load(folder / MOVIE_WEIGHTS),
        activation=config.output_activation,
        unit=1.0 if config.output_activation == "identity" else unit,
    )
