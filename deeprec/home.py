"""Where a project's state lives on disk, and the lock that keeps it to one writer."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from deeprec.errors import HeldError, WarehouseError

DEFAULT_HOME = Path("home")
LOCK_TIMEOUT_S = 600.0
_SAID_AFTER_S = 2.0
_LOG = logging.getLogger(__name__)


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
        try:
            str(chosen).encode()  # DuckDB names files in UTF-8
            path = chosen.expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            shown = os.fsencode(chosen).decode(errors="backslashreplace")
            raise WarehouseError(f"{shown}: cannot be a project's home: {error}") from error
        if path.is_file():
            raise WarehouseError(f"{path}: is a file; a project's home is a folder")
        return cls(path)

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
    def shards(self) -> Path:
        """Parquet files of scoring runs: kept until a run is published, or while that is a view."""
        return self.path / "predictions"

    @property
    def predictions(self) -> Path:
        """The published DuckDB file; replaced whole, by rename."""
        return self.path / "predictions.duckdb"

    @property
    def past(self) -> Path:
        """Files that were published before, one a run, to roll back to."""
        return self.path / "past"

    @property
    def reports(self) -> Path:
        """One page a night."""
        return self.path / "reports"

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

    def is_held(self, name: str) -> bool:
        """Whether somebody holds one of the home's locks right now."""
        try:
            descriptor = os.open(self.path / f".{name}.lock", os.O_RDONLY)
        except OSError:  # never made
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # as filelock does, to read
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


@contextmanager
def hold_lock(file: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold a lock file, one holder among all threads and processes.

    The operating system frees it when a process dies, however it dies.

    Raises:
        HeldError: another still holds it after `timeout_s` seconds.
    """
    lock = filelock.FileLock(file)
    try:
        _acquire(lock, timeout_s)
    except filelock.Timeout as error:
        raise HeldError(
            f"{file}: held by another deeprec process for {timeout_s:.0f} s; "
            "wait for it to end, then run this again"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: filelock.BaseFileLock, timeout_s: float) -> None:
    """Take the lock, saying so when that takes a while."""
    try:
        lock.acquire(timeout=min(_SAID_AFTER_S, timeout_s))
    except filelock.Timeout:
        if timeout_s <= _SAID_AFTER_S:
            raise
        _LOG.warning("waiting for another deeprec process that holds %s", lock.lock_file)
        lock.acquire(timeout=timeout_s - _SAID_AFTER_S)
