"""A stage's progress as a bar on its run's page, and for whoever watches this process."""

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from deeprec.progress import Progress, silent

watcher: ContextVar[Progress] = ContextVar("watcher", default=silent)

_LOG = logging.getLogger(__name__)
_EVERY_S = 2.0  # an update is a request to the server
_AWAY_FOR_S = 600.0  # the client has asked for minutes by itself when it gives up
_AWAY = (HTTPError, PrefectException, RuntimeError)  # the last: it does not even say its version


class RunProgress:
    """Progress of the current run; a bar is made when its first part is done.

    A server that is away costs the bars some parts and ends nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at: dict[str, float] = {}
        self._bars: dict[str, UUID] = {}
        self._away_until: float | None = None

    def __call__(self, what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        """Tell the watcher at once, the server now and then and at the end."""
        watcher.get()(what, done, total, unit, note)
        now = self._clock()
        if self._away_until is not None and now < self._away_until:
            return
        if total and (done >= total or now >= self._due_at.get(what, now)):
            self._due_at[what] = now + _EVERY_S
            text = f"{done:,} of {total:,} {unit}" + (f", {note}" if note else "")
            self._show(what, 100 * min(done / total, 1.0), text)

    def _show(self, what: str, percent: float, text: str) -> None:
        try:
            self._draw(what, percent, f"{what}: {text}")
        except _AWAY as error:
            if self._away_until is None:
                _LOG.warning("the Prefect server does not take progress (%s); going on", error)
            self._away_until = self._clock() + _AWAY_FOR_S
        else:
            self._away_until = None

    def _draw(self, what: str, percent: float, description: str) -> None:
        if what in self._bars:
            update_progress_artifact(self._bars[what], percent, description)
        else:
            bar = create_progress_artifact(percent, description=description)
            assert isinstance(bar, UUID), bar  # a coroutine where an event loop runs; none does
            self._bars[what] = bar
