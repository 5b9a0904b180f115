"""Opening the files of an exported model, of whatever kind it is.

Shape legend: T users known since training, M movies of the vocabulary, C a code.
"""

from pathlib import Path

import numpy as np

from deeprec.config.models import (
    AutoencoderConfig,
    KernelRidgeConfig,
    MemberModelConfig,
    RecurrentConfig,
)
from deeprec.config.training import Device
from deeprec.errors import BundleError
from deeprec.models.baselines import Biases
from deeprec.models.first_layer import FirstLayer
from deeprec.models.inference import open_graph
from deeprec.models.interface import Factors, Model
from deeprec.models.recurrent import RECURRENT_FILES, open_recurrent_model
from deeprec.models.user_codes import USERS, CodeModel, penalty, read_codes
from deeprec.models.user_vectors import FactoredModel, KernelModel, VectorModel

GRAPH = "model.onnx"
ENCODER = "movies.onnx"
USER_WEIGHTS = "users.npz"
USER_ENCODER = "users.onnx"
MOVIE_WEIGHTS = "movies.npy"
PRODUCT_GRAPH = "products.onnx"


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
) -> Model:
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
        codes = read_codes(folder, encoder.num_columns)
        penalty_C = penalty(config, codes.codes_TC.shape[1], biases, fold_in_ridge)
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
) -> FactoredModel:
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
