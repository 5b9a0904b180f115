"""A command in a process of its own: what it printed, and what the system says it has used."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict


class Usage(BaseModel):
    """On the clock, of all cores together, and the most memory at any time."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measured(arguments: Sequence[str]) -> tuple[dict[str, Any], Usage]:
    """The JSON that a module of ours prints, and its usage; ends the program where it fails.

    Args:
        arguments: of the interpreter, after `-m`.
    """
    started = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: {' '.join(arguments)} ended with status {process.returncode}")
    report: dict[str, Any] = json.loads(text)
    return report, Usage(
        seconds=time.monotonic() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
    )
