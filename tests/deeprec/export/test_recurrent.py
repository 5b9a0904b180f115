"""Shape legend: U users, M movies, L places of a code."""

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from scipy import sparse

from deeprec.config.models import RecurrentConfig
from deeprec.config.training import ExportConfig
from deeprec.errors import ExportError
from deeprec.export.graphs import ExportReport
from deeprec.export.recurrent import export_recurrent
from deeprec.models.recurrent_inference import open_recurrent
from deeprec.models.sequences import Clock, Days, movie_sequences, user_sequences
from deeprec.networks.recurrent import Moment, RecurrentRecommender
from deeprec.networks.recurrent_states import last_states

Ratings = sparse.csr_array[np.float32]

NUM_USERS, NUM_MOVIES = 20, 9
FILES = ["movie_step.onnx", "stationary.npz", "user_step.onnx"]
CONFIG = RecurrentConfig(embedding_size=6, state_size=5, num_dynamic=4, num_stationary=3)


@pytest.fixture(scope="module")
def dated() -> tuple[Ratings, Days]:
    """From a user without ratings to one who has rated nearly all."""
    rng = np.random.default_rng(4)
    rated = rng.random((NUM_USERS, NUM_MOVIES)) < np.linspace(0, 0.9, NUM_USERS)[:, None]
    values_UM: Ratings = sparse.csr_array(
        np.where(rated, rng.integers(1, 6, rated.shape), 0).astype(np.float32)
    )
    return values_UM, rng.integers(13000, 13100, values_UM.nnz).astype(np.int32)


def network(dated: tuple[Ratings, Days]) -> RecurrentRecommender:
    clock = Clock.of(dated[1], step_days=7)
    made = RecurrentRecommender(NUM_USERS, NUM_MOVIES, clock, 3.5, CONFIG)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for weight in made.parameters():  # factors and biases too, as if trained
            weight.add_(0.2 * torch.randn_like(weight))
    return made


@pytest.fixture(scope="module")
def exported(
    dated: tuple[Ratings, Days], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ExportReport]:
    folder = tmp_path_factory.mktemp("recurrent") / "new"
    report = export_recurrent(network(dated).train(), *dated, folder, ExportConfig(opset=21))
    return folder, report


def test_onnx_equals_torch(
    dated: tuple[Ratings, Days], exported: tuple[Path, ExportReport]
) -> None:
    trained, (folder, report) = network(dated), exported
    codes = open_recurrent(folder, "cpu")
    user_UL = codes.user_codes(*dated, np.arange(NUM_USERS))
    movie_ML = codes.movie_codes(*dated, np.arange(NUM_MOVIES))
    users = last_states(trained.users, user_sequences(*dated, trained.clock), 3)
    movies = last_states(trained.movies, movie_sequences(*dated, trained.clock), 3)
    user_R, movie_R = torch.cartesian_prod(torch.arange(20), torch.arange(9)).unbind(dim=1)
    with torch.no_grad():
        expected_R = trained(Moment(user_R, users[user_R]), Moment(movie_R, movies[movie_R]))
    assert (NUM_USERS, 4 + 3 + 2) == user_UL.shape
    assert (NUM_MOVIES, 4 + 3 + 2) == movie_ML.shape
    np.testing.assert_allclose((user_UL @ movie_ML.T).flatten(), expected_R, atol=1e-5)
    assert 0 <= report.largest_difference <= 1e-5
    assert (1e-4, 20 + 1 + 2) == (report.tolerance, report.num_probe_users)


def test_the_graphs_take_a_step_of_any_number_of_rows(exported: tuple[Path, ExportReport]) -> None:
    folder, report = exported
    for name, num_columns in (("user_step.onnx", NUM_MOVIES), ("movie_step.onnx", NUM_USERS)):
        model = onnx.load(folder / name)
        assert 21 == report.opset == model.opset_import[0].version
        shapes = {
            node.name: [
                axis.dim_param or axis.dim_value for axis in node.type.tensor_type.shape.dim
            ]
            for node in (*model.graph.input, *model.graph.output)
        }
        widths = {"ratings": num_columns, "newbie": 1, "clock": 2, "hidden": 5, "cell": 5}
        widths |= {"next_hidden": 5, "next_cell": 5}
        assert {key: ["batch", width] for key, width in widths.items()} == shapes


def test_the_files_follow_from_the_network_quietly_and_name_no_place(
    dated: tuple[Ratings, Days],
    exported: tuple[Path, ExportReport],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = logging.getLogger("torch.onnx").level
    again = network(dated).train()
    export_recurrent(again, *dated, tmp_path, ExportConfig(opset=21))
    assert FILES == sorted(path.name for path in tmp_path.iterdir())
    for name in FILES:
        content = (tmp_path / name).read_bytes()
        assert (exported[0] / name).read_bytes() == content
        assert b".py" not in content.replace(b".npy", b"")
    assert ("", "") == tuple(capfd.readouterr())
    assert before == logging.getLogger("torch.onnx").level
    assert not again.training


@pytest.mark.parametrize("weight", [1e6, float("nan")], ids=["huge", "not a number"])
def test_files_that_differ_are_not_written(
    dated: tuple[Ratings, Days], tmp_path: Path, weight: float
) -> None:
    off = network(dated)
    with torch.no_grad():
        off.users.affine_DH.mul_(weight)
    before = tmp_path / "user_step.onnx"
    before.write_bytes(b"the graph before")
    strict = ExportConfig(tolerance=1e-9)
    with pytest.raises(ExportError, match=r"differ by .* export.tolerance allows 1e-09"):
        export_recurrent(off, *dated, tmp_path, strict)
    assert [before] == list(tmp_path.iterdir())
    assert b"the graph before" == before.read_bytes()
