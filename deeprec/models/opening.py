"""Opening the files of an exported model, of whatever kind it is."""

from pathlib import Path

from deeprec.config.models import (
    AutoencoderConfig,
    KernelRidgeConfig,
    MemberModelConfig,
    RecurrentConfig,
)
from deeprec.config.section import Device
from deeprec.errors import BundleError
from deeprec.models.baselines import Biases
from deeprec.models.inference import PRODUCT_GRAPH, open_graph
from deeprec.models.interface import Model
from deeprec.models.learned_codes import ENCODER, USERS, open_code_model
from deeprec.models.recurrent import RECURRENT_FILES, open_recurrent_model
from deeprec.models.vector_models import (
    MOVIE_WEIGHTS,
    USER_ENCODER,
    USER_WEIGHTS,
    KernelModel,
    VectorModel,
    open_factored_model,
)

GRAPH = "model.onnx"


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
        fold_in_ridge: penalty on the code of whoever is folded in; see `learned_codes.CodeModel`.
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
        factored = open_factored_model(
            folder, config, biases, unit, device=device, num_threads=num_threads
        )
        _check_movies(folder, len(factored.weights_MC), biases)
        return factored
    if isinstance(config, AutoencoderConfig) and config.orientation == "movies":
        return open_code_model(
            folder, config, biases, fold_in_ridge, device=device, num_threads=num_threads
        )
    graph = open_graph(folder / GRAPH, device, num_threads)
    _check_movies(folder, graph.num_columns, biases)
    if isinstance(config, KernelRidgeConfig) and config.orientation == "movies":
        return KernelModel(graph, biases, config, unit)
    return VectorModel(graph)


def _check_movies(folder: Path, num_movies: int, biases: Biases) -> None:
    if num_movies != len(biases.movie_bias_M):
        raise BundleError(
            f"{folder}: the graph takes {num_movies} movies, the vocabulary has "
            f"{len(biases.movie_bias_M)}; the bundle was put together wrongly"
        )
