"""One file with the state of a run that has not finished; knows nothing of what the state means."""

import logging
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

_LOG = logging.getLogger(__name__)
# All that torch.load and a look inside have been seen to raise over damaged files.
_DAMAGE = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    pickle.UnpicklingError,
)


def save(path: Path, fingerprint: str, state: Mapping[str, Any]) -> None:
    """Put the state in place of the one before, whole or not at all.

    Args:
        path: the checkpoint file.
        fingerprint: of all that must be the same for the state to be of use.
        state: tensors and plain values.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        torch.save({"fingerprint": fingerprint, "state": dict(state)}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def load(path: Path, fingerprint: str, device: torch.device) -> dict[str, Any] | None:
    """The state saved under this fingerprint, its tensors on `device`; None if there is none.

    A file that is damaged or of another run is left alone and said to be ignored.
    """
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        found, state = saved["fingerprint"], dict(saved["state"])
    except _DAMAGE as error:
        _LOG.warning("%s: ignored, not a readable checkpoint (%s); starting afresh", path, error)
        return None
    if found != fingerprint:
        _LOG.warning("%s: ignored, saved by a run of other data or settings; starting afresh", path)
        return None
    return state
