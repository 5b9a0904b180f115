"""Two real processes, started by torchrun, that talk gloo over loopback."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from deeprec.config.training import TrainConfig
from deeprec.errors import DeviceError, TrainingError
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import RatingScale
from deeprec.training import parallel_fit
from deeprec.training.checkpoint import load as load_checkpoint
from deeprec.training.epochs import EpochRecord
from deeprec.training.fit_jobs import FitJob
from deeprec.training.parallel_fit import fit_job
from deeprec.training.process_group import ProcessGroup

Ratings = sparse.csr_array[np.float32]

NUM_USERS, NUM_MOVIES = 31, 12
RICH: dict[str, Any] = {"has_rated": True, "kernel_size": 2}


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")


def some_ratings(seed: int, share: float) -> Ratings:
    rng = np.random.default_rng(seed)
    rating_UM = rng.integers(1, 6, (NUM_USERS, NUM_MOVIES)).astype(np.float32)
    rating_UM[rng.random(rating_UM.shape) > share] = 0
    return sparse.csr_array(rating_UM)


def new_job(processes: int, checkpoint: Path | None = None, **settings: Any) -> FitJob:  # noqa: ANN401 - whatever TrainConfig takes
    """A small fit; steps of five rows, the last one of a pass smaller."""
    told = {"num_epochs": 3, "batch_size": 5, "device": "cpu", "checkpoint_every_s": 0, **settings}
    biases = DampedBiases(3.0, torch.linspace(-1, 1, NUM_MOVIES), 5.0)
    network = RatingPredictor(Autoencoder(NUM_MOVIES, [6, 4], seed=0, **RICH), biases)
    return FitJob(
        network=network,
        train_UN=some_ratings(1, 0.4),
        dev_UN=some_ratings(2, 0.1),
        watched_UN=None,
        settings=TrainConfig(processes=processes, **told),
        scale=RatingScale(1, 5, 1),
        checkpoint=checkpoint,
        fingerprint="these ratings",
    )


def weights_of(job: FitJob) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in job.network.state_dict().values()])


def rmses(records: tuple[EpochRecord, ...]) -> list[float]:
    return [rmse for record in records for rmse in (record.train_rmse, record.dev_rmse or 0)]


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_every_row_belongs_to_one_process(num_processes: int) -> None:
    groups = [ProcessGroup(rank, num_processes) for rank in range(num_processes)]
    rows = np.flatnonzero(np.arange(40) % 3)
    drawn_B = np.random.default_rng(0).permutation(len(rows))[:9]
    found = [group.own(rows)[group.places(drawn_B)] for group in groups]
    assert sorted(rows) == sorted(np.concatenate([group.own(rows) for group in groups]))
    assert sorted(rows[drawn_B]) == sorted(np.concatenate(found))


@pytest.mark.parametrize(
    "settings",
    [
        {
            "optimizer": "adamw",
            "weight_decay": 0.01,
            "average_decay": 0.5,
            "loss": "sum",
            "l2": 0.1,
        },
        {"optimizer": "sgd", "refeed_steps": 2, "batch_size": 1},  # one process has no row of it
    ],
    ids=["a sum with penalties", "means, fed again"],
)
def test_two_processes_take_the_steps_of_one(settings: dict[str, Any]) -> None:
    alone, shared = new_job(1, **settings), new_job(2, **settings)
    expected, found = fit_job(alone), fit_job(shared)
    assert rmses(expected.epochs) == pytest.approx(rmses(found.epochs), rel=1e-5)
    assert expected.best_epoch == found.best_epoch
    torch.testing.assert_close(weights_of(alone), weights_of(shared), rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_what_a_library_prints_does_not_end_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NCCL does where NCCL_DEBUG is set."""
    (tmp_path / "sitecustomize.py").write_text("import os; os.write(1, b'NCCL version 2\\n[1]\\n')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert 2 <= len(fit_job(new_job(2)).epochs)


def test_fewer_gpus_than_processes_are_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for a machine with one GPU, which few have."""
    monkeypatch.setattr(parallel_fit, "resolve_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match=r"train\.processes = 2, but this machine has 1 GPUs"):
        fit_job(new_job(2))


def test_a_fit_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    alone, shared, again = new_job(1), new_job(2, path), new_job(1, path)
    expected = fit_job(alone)

    def stop(record: EpochRecord) -> None:
        if record.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_job(shared, on_epoch=stop)
    assert [path] == list(tmp_path.iterdir())
    ran: list[EpochRecord] = []
    found = fit_job(again, on_epoch=ran.append)
    assert ran[0].epoch > 1 or not ran
    assert rmses(expected.epochs) == pytest.approx(rmses(found.epochs), rel=1e-5)
    torch.testing.assert_close(weights_of(alone), weights_of(again), rtol=1e-4, atol=1e-5)


def test_an_error_of_a_process_is_that_of_the_fit() -> None:
    wild = new_job(2, learning_rate=1e30)
    told: list[str] = []

    def tell(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        told.append(f"{what} {done} of {total} {unit} {note}")

    with pytest.raises(TrainingError, match=r"^training diverged in epoch 1: .* lower"):
        fit_job(wild, tell)
    assert ["train 0 of 3 epochs cpu"] == told


def taking_part(*which: str) -> list[int]:
    """The processes of a fit that `pgrep` finds."""
    command = ["pgrep", *which]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


@pytest.mark.parametrize(
    "killed",
    ["a process", *(pytest.param(one, marks=pytest.mark.long) for one in ("another", "torchrun"))],
)
def test_a_process_that_is_killed_ends_the_fit_and_leaves_its_checkpoint(
    tmp_path: Path, killed: str
) -> None:
    path = tmp_path / "run.pt"
    command_line = f"deeprec.training.fit_process {path.with_suffix('.job')}"
    endless = new_job(2, path, num_epochs=10**6, patience=10**6)

    def kill(record: EpochRecord) -> None:
        if record.epoch == 2:
            [torchrun] = taking_part("-P", str(os.getpid()), "-f", command_line)
            one, another = taking_part("-P", str(torchrun), "-f", command_line)
            pids = {"torchrun": torchrun, "a process": one, "another": another}
            os.kill(pids[killed], signal.SIGKILL)

    with pytest.raises(TrainingError, match=r"one of the 2 processes .* has died"):
        fit_job(endless, on_epoch=kill)
    saved = load_checkpoint(path, endless.fingerprint, torch.device("cpu"))
    assert saved, "a kill in the midst of a save leaves the one before"
    assert not path.with_suffix(".job").exists()
    assert not taking_part("-f", command_line)
