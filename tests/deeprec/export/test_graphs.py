"""Shape legend: B users in a batch, U users, P probe users, M movies."""

import logging
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from scipy import sparse

from deeprec.config.models import Activation
from deeprec.config.training import ExportConfig
from deeprec.errors import ExportError
from deeprec.export.graphs import export_onnx
from deeprec.export.probes import probe_vectors
from deeprec.models.inference import open_graph
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import RatingScale

STARS = RatingScale(1, 5, 1)
NUM_MOVIES = 9


@pytest.fixture(scope="module")
def ratings_UM() -> sparse.csr_array[np.float32]:
    rng = np.random.default_rng(4)
    rated = rng.random((20, NUM_MOVIES)) < np.linspace(0, 0.9, 20)[:, None]
    return sparse.csr_array(np.where(rated, rng.integers(1, 6, rated.shape), 0).astype(np.float32))


def network(center: bool = False, **options: Any) -> RatingPredictor:  # noqa: ANN401 - whatever Autoencoder takes
    biases = DampedBiases(3.0, torch.linspace(-1, 1, NUM_MOVIES), 5.0) if center else None
    made = RatingPredictor(Autoencoder(NUM_MOVIES, [6, 4], **options), biases)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for weight in made.parameters():  # biases too, as if trained
            weight.add_(0.2 * torch.randn_like(weight))
    return made


OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"activation": name, "output_activation": name} for name in get_args(Activation)},
    "tied": {"tied": True},
    "dropout": {"encoder_dropout": 0.5, "code_dropout": 0.5},
    "centred": {"center": True, "output_activation": "identity"},
    "centred, tied, dropout": {"center": True, "tied": True, "encoder_dropout": 0.5},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_onnx_equals_torch(
    ratings_UM: sparse.csr_array[np.float32], options: dict[str, Any], tmp_path: Path
) -> None:
    trained, path = network(**options), tmp_path / "model.onnx"
    report = export_onnx(trained.train(), STARS, ratings_UM, path, ExportConfig())
    ratings_BM = torch.from_numpy(ratings_UM.toarray())
    with torch.no_grad():
        expected_BM = trained.eval()(ratings_BM, (ratings_BM != 0).float()).numpy()
    scores = open_graph(path, "cpu").predict(ratings_UM)
    np.testing.assert_allclose(scores.unclipped_BM, expected_BM, atol=1e-5)
    np.testing.assert_allclose(scores.predicted_BM, expected_BM.clip(1, 5), atol=1e-5)
    assert 0 <= report.largest_difference <= 1e-5
    assert (1e-4, 20 + 1 + 3) == (report.tolerance, report.num_probe_users)


def test_the_graph_is_what_scoring_expects(
    ratings_UM: sparse.csr_array[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    report = export_onnx(network(center=True), STARS, ratings_UM, path, ExportConfig(opset=21))
    model = onnx.load(path)
    assert 21 == report.opset == model.opset_import[0].version
    shapes = {
        node.name: [axis.dim_param or axis.dim_value for axis in node.type.tensor_type.shape.dim]
        for node in (*model.graph.input, *model.graph.output)
    }
    names = ["ratings", "rated", "predicted_ratings", "unclipped_ratings"]
    assert {name: ["batch", NUM_MOVIES] for name in names} == shapes


def test_a_network_that_is_not_centred_takes_ratings_only(
    ratings_UM: sparse.csr_array[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(network(), STARS, ratings_UM, path, ExportConfig())
    assert ["ratings"] == [node.name for node in onnx.load(path).graph.input]


def test_the_file_follows_from_the_network_and_names_no_place(
    ratings_UM: sparse.csr_array[np.float32], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    for path in (first, second):
        export_onnx(network(center=True), STARS, ratings_UM, path, ExportConfig())
    assert first.read_bytes() == second.read_bytes()
    assert b".py" not in first.read_bytes()


def test_the_exporter_is_quiet_and_its_loggers_are_as_before(
    ratings_UM: sparse.csr_array[np.float32],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = logging.getLogger("torch.onnx").level
    export_onnx(network(), STARS, ratings_UM, tmp_path / "model.onnx", ExportConfig())
    assert ("", "") == tuple(capfd.readouterr())
    assert before == logging.getLogger("torch.onnx").level


@pytest.mark.parametrize("weight", [1e6, float("nan")], ids=["huge", "not a number"])
def test_a_graph_that_differs_is_not_written(
    ratings_UM: sparse.csr_array[np.float32], tmp_path: Path, weight: float
) -> None:
    off = network(activation="identity", output_activation="identity")
    with torch.no_grad():
        off.autoencoder.decoder_weights_HI[-1].mul_(weight)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the model before")
    strict = ExportConfig(tolerance=1e-9)
    with pytest.raises(ExportError, match=r"differ by .* export.tolerance allows 1e-09"):
        export_onnx(off, STARS, ratings_UM, path, strict)
    assert [path] == list(tmp_path.iterdir())
    assert b"the model before" == path.read_bytes()


def test_an_opset_that_torch_cannot_write_is_refused(
    ratings_UM: sparse.csr_array[np.float32], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=r"export\.opset = 99 is not one that this torch can"):
        export_onnx(
            network(),
            STARS,
            ratings_UM,
            tmp_path / "model.onnx",
            ExportConfig().model_copy(update={"opset": 99}),
        )
    assert [] == list(tmp_path.iterdir())


def test_probes_are_real_users_and_the_edges() -> None:
    num_ratings = [2, 0, 9, 4, 1]
    rows = [[3.0] * count + [0.0] * (NUM_MOVIES - count) for count in num_ratings]
    probes_PM = probe_vectors(sparse.csr_array(np.array(rows, dtype=np.float32)), STARS)
    empty, lowest, highest = [0.0] * 9, [1.0] + [0.0] * 8, [0.0] * 8 + [5.0]
    assert [*rows, rows[2], empty, lowest, highest] == probes_PM.toarray().tolist()


def test_probes_of_many_users_are_few() -> None:
    many_UM = sparse.csr_array(np.ones((1000, NUM_MOVIES), dtype=np.float32))
    assert (64 + 1 + 3, NUM_MOVIES) == probe_vectors(many_UM, STARS).shape
