"""Shape legend: U users, B users in a batch, M movies."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from deeprec.config.section import Device
from deeprec.config.training import ExportConfig
from deeprec.errors import BundleError, DeviceError
from deeprec.export.codes import write_products
from deeprec.export.graphs import export_onnx
from deeprec.models.inference import (
    MOVIE_CODES,
    PRODUCT_GRAPH,
    PRODUCTS,
    USER_CODES,
    open_graph,
    open_session,
)
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import RatingScale

SCALE = RatingScale(0, 5)
NUM_MOVIES = 7


@pytest.fixture(scope="module")
def ratings_UM() -> sparse.csr_array[np.float32]:
    rng = np.random.default_rng(1)
    rated = rng.random((10, NUM_MOVIES)) < 0.5
    rated[3] = False
    return sparse.csr_array(np.where(rated, rng.integers(1, 6, rated.shape), 0).astype(np.float32))


@pytest.fixture(scope="module")
def graph_path(
    ratings_UM: sparse.csr_array[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    biases = DampedBiases(3.0, torch.linspace(-1, 1, NUM_MOVIES), 1.0)
    network = RatingPredictor(Autoencoder(NUM_MOVIES, [5, 3]), biases)
    export_onnx(network, SCALE, ratings_UM, path, ExportConfig())
    return path


def test_a_user_scores_alike_alone_and_in_any_batch(
    graph_path: Path, ratings_UM: sparse.csr_array[np.float32], device: Device
) -> None:
    graph = open_graph(graph_path, device)
    assert (device, NUM_MOVIES) == (graph.device, graph.num_columns)
    whole = graph.predict(ratings_UM)
    for batch_size in (1, 3, 100):
        batches = [ratings_UM[start : start + batch_size] for start in range(0, 10, batch_size)]
        unclipped_UM = np.concatenate([graph.predict(batch).unclipped_BM for batch in batches])
        np.testing.assert_allclose(unclipped_UM, whole.unclipped_BM, atol=1e-5)


def test_a_product_is_the_same_alone_and_in_any_batch(tmp_path: Path) -> None:
    """To the last bit: who is scored again alone must find what was published."""
    write_products(tmp_path, ExportConfig())
    graph = open_graph(tmp_path / PRODUCT_GRAPH, "cpu")
    rng = np.random.default_rng(0)
    user_BC, movie_MC = (rng.normal(size=(rows, 131)).astype(np.float32) for rows in (30, 2000))
    whole_BM = graph.run({USER_CODES: user_BC, MOVIE_CODES: movie_MC}, PRODUCTS)
    np.testing.assert_allclose(whole_BM, user_BC @ movie_MC.T, atol=1e-4)
    for rows in (slice(1), slice(29, 30), slice(2), slice(5, 18)):
        some_BM = graph.run({USER_CODES: user_BC[rows], MOVIE_CODES: movie_MC}, PRODUCTS)
        assert np.array_equal(some_BM, whole_BM[rows])


def test_predictions_are_the_unclipped_ones_on_the_scale(
    graph_path: Path, ratings_UM: sparse.csr_array[np.float32]
) -> None:
    far_UM = ratings_UM * np.float32(9)
    scores = open_graph(graph_path, "cpu").predict(sparse.csr_array(far_UM))
    assert scores.unclipped_BM.max() > 5
    assert np.array_equal(scores.unclipped_BM.clip(0, 5), scores.predicted_BM)


def test_a_rating_of_zero_is_not_a_missing_one(graph_path: Path) -> None:
    graph = open_graph(graph_path, "cpu")
    one_zero = (np.array([0], dtype=np.float32), np.array([2]), np.array([0, 1]))
    zero = graph.predict(sparse.csr_array(one_zero, shape=(1, NUM_MOVIES)))
    nothing = graph.predict(sparse.csr_array(np.zeros((1, NUM_MOVIES), dtype=np.float32)))
    assert zero.unclipped_BM.mean() < nothing.unclipped_BM.mean() - 0.5


def test_a_file_that_is_no_graph_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(BundleError, match=r"model\.onnx: onnxruntime cannot load this graph"):
        open_graph(path, "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an NVIDIA GPU here")
def test_a_gpu_that_is_not_there_is_one_clear_sentence(
    graph_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceError, match=r"^device = cuda was asked for, but onnx"):
        open_graph(graph_path, "cuda")
    assert ("", "") == tuple(capfd.readouterr())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an NVIDIA GPU here")
def test_auto_falls_to_the_cpu(graph_path: Path) -> None:
    assert "cpu" == open_graph(graph_path, "auto").device


def test_a_session_takes_the_cores_that_the_process_may_use(
    graph_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deeprec.models.inference.num_cores", lambda: 3)
    for told, expected in ((0, 3), (1, 1)):
        options = open_session(graph_path, "cpu", told).get_session_options()
        assert expected == options.intra_op_num_threads
