"""Shape legend: U users, M movies, L places of a code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from deeprec.config.models import RecurrentConfig
from deeprec.config.section import Device
from deeprec.config.training import ExportConfig
from deeprec.errors import BundleError, DeviceError
from deeprec.export.recurrent import export_recurrent
from deeprec.models.recurrent_inference import open_recurrent
from deeprec.models.sequences import UNKNOWN, Clock, Days, user_sequences
from deeprec.networks.recurrent import RecurrentRecommender
from deeprec.networks.recurrent_states import last_states

Ratings = sparse.csr_array[np.float32]

NUM_USERS, NUM_MOVIES = 12, 7
FIRST_DAY = 13000
CONFIG = RecurrentConfig(embedding_size=6, state_size=5, num_dynamic=4, num_stationary=3)
FACTORS, BIAS, ONE = slice(4, 7), 7, 8  # of a user's code; a movie's has the last two swapped


@pytest.fixture(scope="module")
def dated() -> tuple[Ratings, Days]:
    """The last movie has no ratings."""
    rng = np.random.default_rng(1)
    rated = rng.random((NUM_USERS, NUM_MOVIES)) < 0.5
    rated[3], rated[:, -1] = False, False
    values_UM: Ratings = sparse.csr_array(
        np.where(rated, rng.integers(1, 6, rated.shape), 0).astype(np.float32)
    )
    return values_UM, (FIRST_DAY + rng.integers(0, 60, values_UM.nnz)).astype(np.int32)


@pytest.fixture(scope="module")
def network(dated: tuple[Ratings, Days]) -> RecurrentRecommender:
    clock = Clock.of(dated[1], step_days=7)
    made = RecurrentRecommender(NUM_USERS, NUM_MOVIES, clock, 3.5, CONFIG)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for weight in made.parameters():  # factors and biases too, as if trained
            weight.add_(0.2 * torch.randn_like(weight))
    return made


@pytest.fixture(scope="module")
def folder(
    dated: tuple[Ratings, Days],
    network: RecurrentRecommender,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("recurrent")
    export_recurrent(network, *dated, folder, ExportConfig())
    return folder


def test_codes_are_alike_in_any_batch(
    folder: Path, dated: tuple[Ratings, Days], device: Device
) -> None:
    whole = open_recurrent(folder, device)
    row_U, row_M = np.arange(NUM_USERS), np.arange(NUM_MOVIES)
    user_UL, movie_ML = whole.user_codes(*dated, row_U), whole.movie_codes(*dated, row_M)
    assert np.float32 == user_UL.dtype == movie_ML.dtype
    for max_cells in (1, 3 * NUM_USERS):
        batched = open_recurrent(folder, device, max_cells=max_cells)
        np.testing.assert_allclose(user_UL, batched.user_codes(*dated, row_U), atol=1e-5)
        np.testing.assert_allclose(movie_ML, batched.movie_codes(*dated, row_M), atol=1e-5)


def test_any_set_of_users_can_be_asked_for(folder: Path, dated: tuple[Ratings, Days]) -> None:
    codes = open_recurrent(folder, "cpu")
    values_UM, days_R = dated
    picked = [7, 2]
    entries = [range(*values_UM.indptr[user : user + 2]) for user in picked]
    picked_days_R = days_R[np.concatenate(entries)]
    everyone_UL = codes.user_codes(*dated, np.arange(NUM_USERS))
    picked_UL = codes.user_codes(values_UM[picked], picked_days_R, np.array(picked))
    np.testing.assert_allclose(everyone_UL[picked], picked_UL, atol=1e-6)


def test_a_newcomer_has_a_state_and_nothing_stationary(
    folder: Path, network: RecurrentRecommender
) -> None:
    ratings_UM: Ratings = sparse.csr_array(
        (np.array([5, 1], dtype=np.float32), np.array([2, 0]), np.array([0, 2])),
        shape=(1, NUM_MOVIES),
    )
    days_R = np.array([FIRST_DAY + 200, FIRST_DAY + 90], dtype=np.int32)  # after all of training
    codes = open_recurrent(folder, "cpu")
    (code_L,) = codes.user_codes(ratings_UM, days_R, np.array([UNKNOWN]))
    (expected_D,) = last_states(
        network.users, user_sequences(ratings_UM, days_R, network.clock), 1
    ).numpy()
    np.testing.assert_allclose(code_L[:4], expected_D, atol=1e-5)
    assert [0, 0, 0, 0, 1] == [*code_L[FACTORS], code_L[BIAS], code_L[ONE]]


def test_a_user_without_ratings_stands_at_the_start(
    folder: Path, dated: tuple[Ratings, Days], network: RecurrentRecommender
) -> None:
    codes = open_recurrent(folder, "cpu")
    code_L = codes.user_codes(*dated, np.arange(NUM_USERS))[3]
    weights = network.users.state_dict()
    np.testing.assert_allclose(code_L[:4], weights["affine_D"], atol=1e-6)
    np.testing.assert_allclose(code_L[FACTORS], weights["factors_NK"][3], atol=1e-6)
    assert weights["bias_N1"][3].item() == pytest.approx(code_L[BIAS])


def test_a_movie_without_ratings_stands_at_the_start(
    folder: Path, dated: tuple[Ratings, Days], network: RecurrentRecommender
) -> None:
    codes = open_recurrent(folder, "cpu")
    row_M = np.array([*range(NUM_MOVIES - 1), UNKNOWN])
    code_L = codes.movie_codes(*dated, row_M)[-1]
    np.testing.assert_allclose(code_L[:4], network.movies.affine_D.detach(), atol=1e-6)
    # A newcomer's bias is none, and what stands against a user's 1 is the global mean alone.
    assert [0, 0, 0, 1, 3.5] == [*code_L[FACTORS], code_L[BIAS], code_L[ONE]]


@pytest.mark.parametrize("name", ["user_step.onnx", "movie_step.onnx", "stationary.npz"])
@pytest.mark.parametrize("content", [None, b"", b"not what it should be"])
def test_a_damaged_folder_is_named(
    folder: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        open_recurrent(tmp_path, "cpu")


def test_arrays_that_are_missing_are_named(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    np.savez(tmp_path / "stationary.npz", clock=np.array([1, 2, 3]))
    with pytest.raises(BundleError, match=r"stationary.npz: not a recurrent network's: .*users"):
        open_recurrent(tmp_path, "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(DeviceError, match="no usable NVIDIA GPU"):
        open_recurrent(folder, "cuda")
