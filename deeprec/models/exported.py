"""Exported models of every kind behind one interface: users' ratings in, predicted ratings out.

Some kinds know each user's vector alone. Others also look from the movies' side, over everybody's
ratings; that is worked out once (`movie_side`) and then serves any number of users.

Shape legend: U users of the ratings at hand, T users known since training, B users in a batch,
M movies of the vocabulary, C a code, R rated cells of one user.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from deeprec.config.models import (
    Activation,
    AutoencoderConfig,
    KernelRidgeConfig,
    MemberModelConfig,
    RecurrentConfig,
)
from deeprec.config.training import Device
from deeprec.errors import BundleError
from deeprec.models.baselines import Biases
from deeprec.models.first_layer import FirstLayer, left_by_biases
from deeprec.models.inference import (
    COUNTED,
    FIRST_LAYER,
    KERNEL,
    MOVIE_CODES,
    PRODUCTS,
    SCALE,
    UNCLIPPED,
    USER_BIAS,
    USER_CODES,
    Graph,
    open_graph,
)
from deeprec.models.kernel_ridge import movie_kernel
from deeprec.models.last_layer import activate
from deeprec.models.recurrent import RECURRENT_FILES, open_recurrent_model
from deeprec.ratings import Digests, Floats, Ids, RatingMatrix, digest_by_row, places_among

GRAPH = "model.onnx"
ENCODER = "movies.onnx"
USER_WEIGHTS = "users.npz"
USER_ENCODER = "users.onnx"
MOVIE_WEIGHTS = "movies.npy"
PRODUCT_GRAPH = "products.onnx"
USERS = "users.parquet"
MovieSide = Mapping[str, Floats]
_FIXED = 1e9  # penalty on what no ratings may move
_LEAST_PENALTY = 1e-3  # keeps the solution one where a configuration asks for no pull at all
_CELLS = 2**23  # of the dense batches in which movies' vectors are encoded


class Model(Protocol):
    """A model that has been exported; users come with movies in the vocabulary's order."""

    @property
    def looks_at_movies(self) -> bool:
        """Whether `movie_side` gives anything, and so needs everybody's ratings."""

    @property
    def needs_days(self) -> bool:
        """Whether ratings must come with their days."""

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """What has to be worked out once, over all ratings that are known."""

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """B x M: predicted ratings, before the clip.

        Args:
            users: some users' ratings.
            side: of everybody's ratings.
            counted: whether these users are among everybody; those who are not are new here.
        """


class Factors(Protocol):
    """A model whose unclipped predictions are products of a code a user and a code a movie."""

    @property
    def activation(self) -> Activation:
        """What the products go through: increasing, and so without a say in the order."""

    @property
    def unit(self) -> float:
        """What comes of them there is counted in it."""

    def user_codes(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """B x C; arguments as of `Model.predict`."""

    def movie_codes(self, side: MovieSide) -> Floats:
        """M x C."""

    def products(self, user_codes_BC: Floats, movie_codes_MC: Floats) -> Floats:
        """B x M: of codes of any length, of any movies."""


def factors_of(model: Model) -> Factors | None:
    """The model in this form, if it has it."""
    return model if isinstance(model, CodeModel | FactoredModel) else None


def files_of(config: MemberModelConfig) -> tuple[str, ...]:
    """The files of an exported model of this kind."""
    if isinstance(config, AutoencoderConfig) and config.has_user_codes:
        return GRAPH, USER_WEIGHTS, USER_ENCODER, PRODUCT_GRAPH, MOVIE_WEIGHTS
    if isinstance(config, AutoencoderConfig) and config.orientation == "movies":
        return ENCODER, GRAPH, PRODUCT_GRAPH, USERS
    if isinstance(config, RecurrentConfig):
        return RECURRENT_FILES
    return (GRAPH,)


def open_model(
    folder: Path,
    config: MemberModelConfig,
    biases: Biases,
    *,
    fold_in_ridge: float = 0.0,
    unit: float = 1.0,
    device: Device = "auto",
    num_threads: int = 0,
) -> "Model":
    """The model whose files are in a folder, ready to run.

    Args:
        folder: a bundle's, or a member's within it.
        config: what was trained.
        biases: those fitted beside it.
        fold_in_ridge: penalty on the code of a user who is folded in; see `CodeModel`.
        unit: of the scale that it predicts on.
        device: `cuda` insists.
        num_threads: of one operator; 0 takes all cores.

    Raises:
        DeviceError: `cuda` was asked for and cannot be used.
        BundleError: a file cannot be read, or is not of as many movies as the biases.
    """
    if isinstance(config, RecurrentConfig):
        return open_recurrent_model(folder, device, num_threads)
    if isinstance(config, AutoencoderConfig) and config.has_user_codes:
        factored = _open_factored(folder, config, biases, device, num_threads, unit=unit)
        _check_movies(folder, len(factored.weights_MC), biases)
        return factored
    if ENCODER in files_of(config):
        encoder = open_graph(folder / ENCODER, device, num_threads)
        product = open_graph(folder / PRODUCT_GRAPH, device, num_threads)
        codes = _read_codes(folder, encoder.num_columns)
        penalty_C = _penalty(config, codes.codes_TC.shape[1], biases, fold_in_ridge)
        return CodeModel(encoder, product, codes, penalty_C)
    graph = open_graph(folder / GRAPH, device, num_threads)
    _check_movies(folder, graph.num_columns, biases)
    if isinstance(config, KernelRidgeConfig) and config.orientation == "movies":
        return KernelModel(graph, biases, config, unit)
    return VectorModel(graph)


def _open_factored(
    folder: Path,
    config: AutoencoderConfig,
    biases: Biases,
    device: Device,
    num_threads: int,
    *,
    unit: float,
) -> "FactoredModel":
    return FactoredModel(
        first=FirstLayer.read(folder / USER_WEIGHTS),
        biases=None if config.center == "none" else biases,
        encoder=open_graph(folder / USER_ENCODER, device, num_threads),
        product=open_graph(folder / PRODUCT_GRAPH, device, num_threads),
        weights_MC=np.load(folder / MOVIE_WEIGHTS),
        activation=config.output_activation,
        unit=1.0 if config.output_activation == "identity" else unit,
    )


def _check_movies(folder: Path, num_movies: int, biases: Biases) -> None:
    if num_movies != len(biases.movie_bias_M):
        raise BundleError(
            f"{folder}: the graph takes {num_movies} movies, the vocabulary has "
            f"{len(biases.movie_bias_M)}; the bundle was put together wrongly"
        )


@dataclass(frozen=True)
class UserCodes:
    """What training has learned of each user who had ratings: ids, ascending, and a code each.

    `digest_T` is of the ratings that it has learned the code from.
    """

    user_ids_T: Ids
    codes_TC: Floats
    digest_T: Digests

    @cached_property
    def mean_C(self) -> npt.NDArray[np.float64]:
        """The mean of the codes."""
        return np.asarray(self.codes_TC.mean(axis=0, dtype=np.float64))


def _read_codes(folder: Path, num_users: int) -> UserCodes:
    try:
        table = pq.read_table(folder / USERS, columns=["user_id", "code", "digest"])
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{folder / USERS}: not a bundle's user codes: {error}") from error
    if table.num_rows != num_users:
        raise BundleError(
            f"{folder}: the encoder takes {num_users} users, {USERS} has {table.num_rows}; "
            "the bundle was put together wrongly"
        )
    flat = table["code"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    user_ids_T = np.asarray(table["user_id"].to_numpy(), dtype=np.int64)
    codes_TC = np.asarray(flat, np.float32).reshape(num_users, -1)
    return UserCodes(user_ids_T, codes_TC, np.asarray(table["digest"].to_numpy(), np.uint64))


def _penalty(
    config: MemberModelConfig, num_codes: int, biases: Biases, ridge: float
) -> npt.NDArray[np.float64]:
    """C: how each part of a folded-in code is held: weights, his offset, the movies' biases."""
    penalty_C = np.full(num_codes, max(ridge, _LEAST_PENALTY))
    is_centred = isinstance(config, AutoencoderConfig) and config.center != "none"
    penalty_C[-2 if is_centred else -1] = max(biases.user_damping, _LEAST_PENALTY)
    if is_centred:
        penalty_C[-1] = _FIXED
    return penalty_C


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
        """See `Model`."""
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
        """See `Model`."""
        codes_BC = self.user_codes(users, side, counted=counted)
        return activate(self.products(codes_BC, self.weights_MC), self.activation, self.unit)

    def user_codes(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `Factors`."""
        del side, counted
        if self.biases is None:
            return self.encoder.run({FIRST_LAYER: self.first.sums(users.values_UM)}, USER_CODES)
        bias_B = self.biases.user_bias_U(users.values_UM)
        left_BM = left_by_biases(users.values_UM, self.biases, bias_B)
        feeds = {FIRST_LAYER: self.first.sums(left_BM), USER_BIAS: bias_B[:, None]}
        return self.encoder.run(feeds, USER_CODES)

    def movie_codes(self, side: MovieSide) -> Floats:
        """See `Factors`."""
        del side
        return self.weights_MC

    def products(self, user_codes_BC: Floats, movie_codes_MC: Floats) -> Floats:
        """See `Factors`."""
        return _products(self.product, user_codes_BC, movie_codes_MC)


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
        """See `Model`."""
        counted_B1 = np.full((users.num_users, 1), counted, dtype=np.float32)
        vectors = self.graph.vectors(users.values_UM)
        return self.graph.run({**vectors, **side, COUNTED: counted_B1}, UNCLIPPED)


@dataclass(frozen=True)
class CodeModel:
    """Products of a code a user, learned in training, and a code a movie, made of its ratings.

    A movie's code is what the encoder makes of the movie's vector over the T users known since
    training. A learned code stands for as long as its user's ratings are those it was learned from.
    Whoever has others is folded in, known or not: his code is the ridge solution for his own
    ratings, the movies' codes held fixed. That is AutoRec's loss for one user, but for the pull:
    to the mean user's code instead of zero, for a handful of ratings to say how he differs from
    the mean.
    """

    encoder: Graph
    product: Graph
    known: UserCodes
    penalty_C: npt.NDArray[np.float64]
    looks_at_movies: bool = True
    needs_days: bool = False
    activation: Activation = "identity"
    unit: float = 1.0

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """M x C: the movies' codes."""
        vectors_MT = self._vectors_MT(everyone)
        batch_size = max(1, _CELLS // max(vectors_MT.shape[1], 1))
        codes = [
            self.encoder.run(
                self.encoder.vectors(vectors_MT[start : start + batch_size]), MOVIE_CODES
            )
            for start in range(0, vectors_MT.shape[0], batch_size)
        ]
        return {MOVIE_CODES: np.concatenate(codes)}

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `Model`."""
        codes_BC = self.user_codes(users, side, counted=counted)
        return self.products(codes_BC, self.movie_codes(side))

    def user_codes(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """B x C: codes learned from these very ratings, and for others those that fit them best."""
        place_B, is_known_B = self._places(users.user_ids_U)
        codes_BC = self.known.codes_TC[place_B]
        is_learned_B = is_known_B & (self.known.digest_T[place_B] == digest_by_row(users.values_UM))
        for row in np.flatnonzero(~(is_learned_B & counted)):
            codes_BC[row] = self._fold_in(users.values_UM[[row]], side[MOVIE_CODES])
        return codes_BC

    def movie_codes(self, side: MovieSide) -> Floats:
        """See `Factors`."""
        return side[MOVIE_CODES]

    def products(self, user_codes_BC: Floats, movie_codes_MC: Floats) -> Floats:
        """See `Factors`."""
        return _products(self.product, user_codes_BC, movie_codes_MC)

    def _places(self, user_ids_U: Ids) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """Each user's row among the known ones, and whether he is one of them."""
        return places_among(self.known.user_ids_T, user_ids_U)

    def _vectors_MT(self, everyone: RatingMatrix) -> sparse.csr_array[np.float32]:
        """A row a movie, over the users known since training; others' ratings are left out."""
        place_U, is_known_U = self._places(everyone.user_ids_U)
        known = everyone.values_UM[is_known_U].tocoo()
        columns = place_U[is_known_U][known.row]
        shape = (everyone.num_movies, len(self.known.user_ids_T))
        return sparse.csr_array((known.data, (known.col, columns)), shape=shape)

    def _fold_in(self, ratings_1M: sparse.csr_array[np.float32], movie_codes_MC: Floats) -> Floats:
        """C: argmin of squared errors plus the penalties on its distance to the mean code.

        Solved in whichever is smaller, ratings or code, over coordinates that the penalties have
        scaled: the two are equal (Woodbury), and neither sees how far the penalties are apart.
        """
        width_C = self.penalty_C**-0.5
        seen_RC = movie_codes_MC[ratings_1M.indices].astype(np.float64)
        left_R = ratings_1M.data - seen_RC @ self.known.mean_C
        seen_RC *= width_C
        num_ratings, num_codes = seen_RC.shape
        if num_ratings < num_codes:
            gram_RR = seen_RC @ seen_RC.T + np.eye(num_ratings)
            moved_C = seen_RC.T @ np.linalg.solve(gram_RR, left_R)
        else:
            gram_CC = seen_RC.T @ seen_RC + np.eye(num_codes)
            moved_C = np.linalg.solve(gram_CC, seen_RC.T @ left_R)
        code_C = self.known.mean_C + width_C * moved_C
        return np.asarray(code_C, dtype=np.float32)


def _products(graph: Graph, user_codes_BC: Floats, movie_codes_MC: Floats) -> Floats:
    return graph.run({USER_CODES: user_codes_BC, MOVIE_CODES: movie_codes_MC}, PRODUCTS)


@dataclass(frozen=True)
class BlendModel:
    """A weighted sum of models, and a constant."""

    members: Mapping[str, Model]
    weights: Mapping[str, float]
    intercept: float

    @property
    def looks_at_movies(self) -> bool:
        """See `Model`."""
        return any(member.looks_at_movies for member in self.members.values())

    @property
    def needs_days(self) -> bool:
        """See `Model`."""
        return any(member.needs_days for member in self.members.values())

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """Every member's, under its name."""
        return {
            f"{name}.{key}": array
            for name, member in self.members.items()
            for key, array in member.movie_side(everyone).items()
        }

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `Model`."""
        shape = (users.num_users, users.num_movies)
        blended_BM = np.full(shape, self.intercept, dtype=np.float32)
        for name, predicted_BM in self.predict_each(users, side, counted=counted).items():
            blended_BM += np.float32(self.weights[name]) * predicted_BM
        return blended_BM

    def predict_each(
        self, users: RatingMatrix, side: MovieSide, *, counted: bool
    ) -> dict[str, Floats]:
        """B x M of every member."""
        return {
            name: member.predict(users, _of_member(side, name), counted=counted)
            for name, member in self.members.items()
        }


def _of_member(side: MovieSide, name: str) -> MovieSide:
    """A member's part of a blend's movie side."""
    parted = {key: key.partition(".") for key in side}
    return {own: side[key] for key, (member, _, own) in parted.items() if member == name}
