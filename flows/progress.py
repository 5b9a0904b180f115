"""A stage's progress as a bar on its run's page, and for whoever watches this process."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from deeprec.progress import Progress, silent

watcher: ContextVar[Progress] = ContextVar("watcher", default=silent)

_EVERY_S = 2.0  # an update is a request to the server


class RunProgress:
    """Progress of the current run; a bar is made when its first part is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at: dict[str, float] = {}
        self._bars: dict[str, UUID] = {}

    def __call__(self, what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        """Tell the watcher at once, the server now and then and at the end."""
        watcher.get()(what, done, total, unit, note)
        now = self._clock()
        if total and (done >= total or now >= self._due_at.get(what, now)):
            self._due_at[what] = now + _EVERY_S
            text = f"{done:,} of {total:,} {unit}" + (f", {note}" if note else "")
            self._show(what, 100 * min(done / total, 1.0), text)

    def _show(self, what: str, percent: float, text: str) -> None:
        description = f"{what}: {text}"
        if what in self._bars:
            update_progress_artifact(self._bars[what], percent, description)
        else:
            bar = create_progress_artifact(percent, description=description)
            assert isinstance(bar, UUID), bar  # a coroutine where an event loop runs; none does
            self._bars[what] = bar
