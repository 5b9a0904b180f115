"""Where a command finds the stage it runs: imported when it runs, for torch alone takes seconds."""

from importlib import import_module
from types import ModuleType

from deeprec.errors import DeeprecError


def import_stage(module: str) -> ModuleType:
    """A stage's module within deeprec.

    Raises:
        DeeprecError: it needs an extra that is not installed.
    """
    try:
        return import_module(f"deeprec.{module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("deeprec"):
            raise
        raise DeeprecError(
            f"this needs {error.name}, which is not installed; pip install 'deeprec[train,report]'"
        ) from error
