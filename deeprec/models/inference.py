"""Running one exported graph with onnxruntime; knows nothing of torch, nor of kinds of models.

Shape legend: B rows of a batch, N columns, M movies, C a code.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import onnxruntime as ort
from scipy import sparse

from deeprec.config.section import Device
from deeprec.cores import num_cores
from deeprec.errors import BundleError, DeviceError
from deeprec.ratings import Floats, rated_cells

BATCH = "batch"  # the first axis of a graph's inputs that have a row a user
RATINGS = "ratings"
RATED = "rated"
PREDICTED = "predicted_ratings"
UNCLIPPED = "unclipped_ratings"
USER_CODES = "user_codes"
MOVIE_CODES = "movie_codes"
PRODUCTS = "products"
KERNEL = "kernel"
SCALE = "scale"
COUNTED = "counted"
FIRST_LAYER = "first_layer"
USER_BIAS = "user_bias"
PRODUCT_GRAPH = "products.onnx"  # a file of its own beside any graph whose codes it multiplies

_ONE_AT_A_TIME = Lock()
_NVIDIA_DEVICE = Path("/dev/nvidiactl")
_FATAL = 4  # the rest goes to stderr in red, and our own errors say it in one sentence
# Tensor cores round to ten bits of mantissa, a hundred times the difference an export allows.
_CUDA = ("CUDAExecutionProvider", {"use_tf32": "0"})


@dataclass(frozen=True)
class Scores:
    """What a graph says of B rows: ratings on the scale, and before the clip to it."""

    predicted_BM: Floats
    unclipped_BM: Floats


class Graph:
    """An onnxruntime session over one exported graph."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._inputs = {node.name: node.shape for node in session.get_inputs()}
        self._batched = [name for name, shape in self._inputs.items() if shape[:1] == [BATCH]]
        self.device = "cuda" if "CUDAExecutionProvider" in session.get_providers() else "cpu"

    @property
    def num_columns(self) -> int:
        """N, the length of the vectors that it takes."""
        return int(self._inputs[RATINGS][1])

    def products(self, user_codes_BC: Floats, movie_codes_MC: Floats) -> Floats:
        """B x M: of one that multiplies codes."""
        return self.run({USER_CODES: user_codes_BC, MOVIE_CODES: movie_codes_MC}, PRODUCTS)

    def run(self, feeds: Mapping[str, Floats], output: str) -> Floats:
        """One output for these inputs."""
        (result,) = self._fetch([output], feeds)
        return result

    def vectors(self, values_BN: sparse.csr_array[np.float32]) -> dict[str, Floats]:
        """The inputs that hold these ratings, dense."""
        dense: dict[str, Floats] = {RATINGS: values_BN.toarray()}
        if RATED in self._inputs:
            dense[RATED] = rated_cells(values_BN).toarray()
        return dense

    def predict(self, values_BN: sparse.csr_array[np.float32], **others: Floats) -> Scores:
        """Scores of every column for each row of the batch."""
        feeds = {**self.vectors(values_BN), **others}
        return Scores(*self._fetch([PREDICTED, UNCLIPPED], feeds))

    def _fetch(self, outputs: list[str], feeds: Mapping[str, Floats]) -> list[Floats]:
        """Some outputs for these inputs, each row the same in whatever batch it comes.

        A row by itself would be multiplied by other kernels, which add in another order: it is
        given twice.
        """
        if any(len(feeds[name]) != 1 for name in self._batched):
            return list(self._session.run(outputs, dict(feeds)))
        twice = {name: np.repeat(feeds[name], 2, axis=0) for name in self._batched}
        return [result[:1] for result in self._session.run(outputs, {**feeds, **twice})]


def open_graph(path: Path, device: Device = "auto", num_threads: int = 0) -> Graph:
    """An exported graph, ready to run; arguments and errors as of `open_session`."""
    session = open_session(path, device, num_threads)
    try:
        return Graph(session)
    except (IndexError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: has other inputs than a graph of ours: {error}") from error


def open_session(path: Path, device: Device = "auto", num_threads: int = 0) -> ort.InferenceSession:
    """A session on the device asked for; `auto` takes a GPU where one works.

    Args:
        path: the exported graph.
        device: `cuda` insists.
        num_threads: of one operator; 0 takes every core that this process may use.

    Raises:
        DeviceError: `cuda` was asked for and cannot be used.
        BundleError: the graph cannot be loaded.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads or num_cores()  # by itself it counts the node's
    options.log_severity_level = _FATAL
    ort.set_default_logger_severity(_FATAL)
    providers = _providers(device)
    try:  # where a GPU turns out not to work it prints why, and goes on without
        with _unsaid() if len(providers) > 1 else contextlib.nullcontext():
            session = ort.InferenceSession(path, options, providers=providers)
    except Exception as error:
        raise BundleError(f"{path}: onnxruntime cannot load this graph: {error}") from error
    if device == "cuda" and _CUDA[0] not in session.get_providers():
        raise DeviceError(
            "device = cuda was asked for, but onnxruntime finds no usable NVIDIA GPU here; "
            "use device = auto or cpu, or install the NVIDIA driver"
        )
    return session


def _providers(device: Device) -> list[str | tuple[str, dict[str, str]]]:
    """CUDA first where it may work; naming it elsewhere costs a search for its libraries."""
    wanted = device == "cuda" or (device == "auto" and _NVIDIA_DEVICE.exists())
    if not wanted or _CUDA[0] not in ort.get_available_providers():
        return ["CPUExecutionProvider"]
    with _unsaid():  # it prints which libraries are missing
        ort.preload_dlls()  # those that a CUDA torch brought along
    return [_CUDA, "CPUExecutionProvider"]


@contextlib.contextmanager
def _unsaid() -> Iterator[None]:
    """What is printed goes nowhere; one thread at a time, for all of them share stdout."""
    with _ONE_AT_A_TIME, contextlib.redirect_stdout(io.StringIO()):
        yield
