"""One of the processes that fit a network together; run by torchrun, told all by a job folder.

    torchrun --nproc-per-node 2 -m deeprec.training.fit_process JOB

The first process writes what `parallel_fit` waits for: a line of JSON whenever there is progress,
the fitted weights at the end.
"""

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import torch

from deeprec.errors import DeeprecError
from deeprec.progress import silent
from deeprec.training.device import resolve_device
from deeprec.training.epochs import EpochRecord
from deeprec.training.fit_jobs import FitJob, write_result
from deeprec.training.process_group import joined_group

_WATCH_EVERY_S = 0.5


def main(folder: Path) -> None:
    """Fit with the others, each to rows of its own."""
    job = FitJob.read(folder)
    rank = int(os.environ["LOCAL_RANK"])
    device = resolve_device(job.settings.device, rank)
    if device.type == "cuda":
        torch.cuda.set_device(rank)
    with joined_group(device) as group:
        is_first = group.rank == 0
        result = job.run(
            _tell_progress if is_first else silent, _tell_epoch if is_first else None, group
        )
        if is_first:
            write_result(folder, job.network, result)


def _tell_progress(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
    _tell(progress=[what, done, total, unit, note])


def _tell_epoch(record: EpochRecord) -> None:
    _tell(epoch=asdict(record))


def _tell(**message: object) -> None:
    """One line; fails where nobody reads any more, and so ends a fit that nobody waits for."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """End this process soon after torchrun has died: nobody else would ever stop it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_EVERY_S)
        os._exit(1)  # whatever the other threads wait for

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    _end_with_parent()
    try:
        main(Path(sys.argv[1]))
    except DeeprecError as error:
        _tell(error=[type(error).__name__, str(error)])
        sys.exit(1)
    os._exit(0)  # all is written: threads of torch's have aborted a process while it was torn down
