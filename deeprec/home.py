"""Where a project's state lives on disk, and the lock that keeps it to one writer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from deeprec.errors import WarehouseError

DEFAULT_HOME = Path("home")
LOCK_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Home:
    """One folder that holds everything a project has made.

    `warehouse.duckdb` is the pipeline's own; `predictions.duckdb` is what analysts open.
    """

    path: Path

    @classmethod
    def locate(cls, path: Path | None = None) -> "Home":
        """The folder given, else `DEEPREC_HOME`, else `./home`."""
        chosen = path or Path(os.environ.get("DEEPREC_HOME") or DEFAULT_HOME)
        return cls(chosen.expanduser().resolve())

    @property
    def warehouse(self) -> Path:
        """The DuckDB file of ratings, vectors, splits, runs and figures."""
        return self.path / "warehouse.duckdb"

    @property
    def models(self) -> Path:
        """One folder a bundle."""
        return self.path / "models"

    @property
    def checkpoints(self) -> Path:
        """State of training runs that have not finished."""
        return self.path / "checkpoints"

    @property
    def runs(self) -> Path:
        """State of scoring runs that have not been published."""
        return self.path / "runs"

    @property
    def predictions(self) -> Path:
        """The published DuckDB file; replaced whole, by rename."""
        return self.path / "predictions.duckdb"

    @property
    def prefect(self) -> Path:
        """`PREFECT_HOME` of runs that start no server of their own."""
        return self.path / "prefect"

    @contextmanager
    def lock(self, name: str, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Hold one of the home's locks; see `hold_lock`."""
        self.path.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.path / f".{name}.lock", timeout_s):
            yield


@contextmanager
def hold_lock(file: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold a lock file, one holder among all threads and processes.

    The operating system frees it when a process dies, however it dies.

    Raises:
        WarehouseError: another still holds it after `timeout_s` seconds.
    """
    try:
        with filelock.FileLock(file, timeout=timeout_s):
            yield
    except filelock.Timeout as error:
        raise WarehouseError(
            f"{file}: held by another deeprec process for {timeout_s:.0f} s; "
            "wait for it to end, then run this again"
        ) from error
