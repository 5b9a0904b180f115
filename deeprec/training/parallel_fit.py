"""Fitting one network in several processes of this machine, which torchrun starts and watches."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deeprec import errors
from deeprec.cores import num_cores
from deeprec.errors import DeeprecError, DeviceError, TrainingError
from deeprec.progress import Progress, silent
from deeprec.training.device import resolve_device
from deeprec.training.epochs import EpochRecord, FitResult
from deeprec.training.fit_jobs import FitJob, read_result

if TYPE_CHECKING:
    from deeprec.config.training import TrainConfig

_LAST_WORDS = 60  # lines


def fit_job(
    job: FitJob,
    progress: Progress = silent,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> FitResult:
    """What `trainer.fit` gives, by as many processes as the settings say.

    Their steps are those of one process over the same batches, up to the order in which numbers
    are added, unless dropout or hidden ratings are drawn: each process draws its own.

    Raises:
        DeviceError: a device was asked for that cannot be used.
        TrainingError: there is nothing to train on, the fit diverged, or a process has died.
    """
    if job.settings.processes == 1 or job.settings.takes_everything:
        return job.run(progress, on_epoch)
    # Decided once: processes that found other devices would wait for each other in vain.
    decided = job.settings.model_copy(update={"device": _device_of_all(job.settings)})
    with _job_folder(job.checkpoint) as folder:
        replace(job, settings=decided).write(folder)
        _run(folder, job.settings.processes, progress, on_epoch)
        return read_result(folder, job.network)


def _device_of_all(settings: "TrainConfig") -> str:
    """What all processes compute on; there is a GPU for each, where they are used at all."""
    device = resolve_device(settings.device).type
    if device != "cuda":
        return device
    num_here = torch.cuda.device_count()
    if num_here < settings.processes:
        raise DeviceError(
            f"train.processes = {settings.processes}, but this machine has {num_here} GPUs; give "
            "it as many, or train on the CPU with train.device = cpu"
        )
    return device


@contextmanager
def _job_folder(checkpoint: Path | None) -> Iterator[Path]:
    """An empty folder, beside the checkpoint where there is one; gone in the end."""
    if checkpoint is None:
        with tempfile.TemporaryDirectory(prefix="deeprec-fit-") as name:
            yield Path(name)
        return
    folder = checkpoint.with_suffix(".job")
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    folder: Path,
    num_processes: int,
    progress: Progress,
    on_epoch: Callable[[EpochRecord], None] | None,
) -> None:
    """Start the processes, pass on what the first one says, and wait for their end."""
    cores_each = max(1, num_cores() // num_processes)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(num_processes), "--log-dir", str(folder / "logs")]
    command += ["-m", "deeprec.training.fit_process", str(folder)]
    environment = {"OMP_NUM_THREADS": str(cores_each), **os.environ}
    failure: list[str] = []
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(  # noqa: S603 - of our own making
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, env=environment
        ) as torchrun,
    ):
        assert torchrun.stdout
        try:
            for line in torchrun.stdout:
                message = _message(line)
                if message is None:  # of a library, as of NCCL with NCCL_DEBUG
                    complaints.write(line)
                    continue
                if "progress" in message:
                    progress(*message["progress"])
                elif "epoch" in message and on_epoch:
                    on_epoch(EpochRecord(**message["epoch"]))
                failure = message.get("error", failure)
        except BaseException:
            torchrun.terminate()
            torchrun.wait()
            raise
        if torchrun.wait() != 0:
            complaints.seek(0)
            raise _error(failure, complaints, num_processes)


def _message(line: str) -> dict[str, Any] | None:
    """What a process of ours says; None where it is not ours that speaks."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _error(failure: list[str], complaints: Iterable[str], num_processes: int) -> DeeprecError:
    """What has ended the fit: an error that its processes know, or else their last words."""
    if failure:
        name, text = failure
        error: DeeprecError = getattr(errors, name)(text)
        return error
    last_words = "".join(deque(complaints, _LAST_WORDS))
    return TrainingError(
        f"one of the {num_processes} processes of the fit has died; run the same again to go on "
        f"from the last checkpoint. The last that was heard of them:\n{last_words}"
    )
