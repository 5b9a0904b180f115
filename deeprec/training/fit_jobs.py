"""A fit as one value, and as a folder of files by which it reaches other processes.

Their arrays are mapped, not read: a process takes into memory only the rows that it fits.

Shape legend: U rows, N columns.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse

from deeprec.config.training import TrainConfig
from deeprec.networks.predictor import RatingPredictor
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingScale
from deeprec.training.epochs import EpochRecord, FitResult
from deeprec.training.process_group import ALONE, ProcessGroup
from deeprec.training.trainer import fit

_TOLD, _RESULT = "told.pt", "result.pt"
_ARRAYS = ("data", "indices", "indptr")


@dataclass(frozen=True)
class FitJob:
    """The arguments of `trainer.fit`."""

    network: RatingPredictor
    train_UN: sparse.csr_array[np.float32]
    dev_UN: sparse.csr_array[np.float32] | None
    watched_UN: sparse.csr_array[np.float32] | None
    settings: TrainConfig
    scale: RatingScale
    checkpoint: Path | None
    fingerprint: str

    def run(
        self,
        progress: Progress = silent,
        on_epoch: Callable[[EpochRecord], None] | None = None,
        group: ProcessGroup = ALONE,
    ) -> FitResult:
        """Fit in this process, by itself or as one of a group; see `trainer.fit`."""
        return fit(
            self.network,
            self.train_UN,
            self.dev_UN,
            self.settings,
            self.scale,
            watched_UN=self.watched_UN,
            checkpoint=self.checkpoint,
            fingerprint=self.fingerprint,
            progress=progress,
            on_epoch=on_epoch,
            group=group,
        )

    def write(self, folder: Path) -> None:
        """Put it into an empty folder, as `read` finds it."""
        for name, matrix in self._matrices().items():
            if matrix is not None:
                _write_matrix(folder / name, matrix)
        told = {
            "network": self.network,
            "settings": self.settings.model_dump_json(),
            "scale": asdict(self.scale),
            "checkpoint": str(self.checkpoint) if self.checkpoint else None,
            "fingerprint": self.fingerprint,
            "shape": self.train_UN.shape,
        }
        torch.save(told, folder / _TOLD)

    @classmethod
    def read(cls, folder: Path) -> "FitJob":
        """The job in a folder that this project has written: a network is code as well."""
        told = torch.load(folder / _TOLD, weights_only=False)
        train_UN = _read_matrix(folder / "train", told["shape"])
        assert train_UN is not None, folder
        return cls(
            network=told["network"],
            train_UN=train_UN,
            dev_UN=_read_matrix(folder / "dev", told["shape"]),
            watched_UN=_read_matrix(folder / "watched", told["shape"]),
            settings=TrainConfig.model_validate_json(told["settings"]),
            scale=RatingScale(**told["scale"]),
            checkpoint=Path(told["checkpoint"]) if told["checkpoint"] else None,
            fingerprint=told["fingerprint"],
        )

    def _matrices(self) -> dict[str, sparse.csr_array[np.float32] | None]:
        return {"train": self.train_UN, "dev": self.dev_UN, "watched": self.watched_UN}


def write_result(folder: Path, network: RatingPredictor, result: FitResult) -> None:
    """Leave the fitted weights, and how it went."""
    torch.save({"weights": network.state_dict(), "result": asdict(result)}, folder / _RESULT)


def read_result(folder: Path, network: RatingPredictor) -> FitResult:
    """How it went; the network gets the fitted weights and is left on the CPU, in eval mode."""
    left = torch.load(folder / _RESULT, map_location="cpu", weights_only=True)
    network.load_state_dict(left["weights"])
    network.to("cpu").eval()
    epochs = tuple(EpochRecord(**record) for record in left["result"]["epochs"])
    return FitResult(epochs, left["result"]["best_epoch"], left["result"]["device"])


def _write_matrix(folder: Path, matrix_UN: sparse.csr_array[np.float32]) -> None:
    folder.mkdir()
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(matrix_UN, name))


def _read_matrix(folder: Path, shape: tuple[int, int]) -> sparse.csr_array[np.float32] | None:
    if not folder.exists():
        return None
    arrays = tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
    matrix_UN: sparse.csr_array[np.float32] = sparse.csr_array(arrays, shape=shape, copy=False)
    return matrix_UN
