"""Progress of a run whose server goes away: nothing ends, and its bars go on when it is back."""

import logging
from uuid import UUID, uuid4

import pytest
from httpx import ConnectError
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows import progress
from flows.progress import RunProgress, watcher


class Clock:
    """Time that stands still until it is told to go on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Holds bars, when it is there.

    A fake: a server that goes away and comes back at a moment of a fit would take half a minute.
    """

    def __init__(self) -> None:
        self.away: Exception | None = None
        self.num_asked = 0
        self.bars: dict[UUID, float] = {}

    def create(self, percent: float, *, description: str) -> UUID:
        del description
        bar = uuid4()
        self.update(bar, percent, "")
        return bar

    def update(self, bar: UUID, percent: float, description: str) -> None:
        del description
        self.num_asked += 1
        if self.away:
            raise self.away
        self.bars[bar] = percent


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(progress, "create_progress_artifact", made.create)
    monkeypatch.setattr(progress, "update_progress_artifact", made.update)
    return made


@pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow")
def test_a_server_that_is_not_there_ends_nothing_and_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched: list[int] = []
    told = watcher.set(lambda _what, done, *_: watched.append(done))
    nobody = {PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    run = RunProgress(Clock())
    with temporary_settings(nobody), caplog.at_level(logging.WARNING, "flows"):
        for done in range(1, 4):
            run("train", done, 3, "epochs")
    watcher.reset(told)
    assert [1, 2, 3] == watched
    (record,) = [each for each in caplog.records if each.name == "flows.progress"]
    assert "does not take progress" in record.message


@pytest.mark.parametrize(
    "error",
    [ConnectError("refused"), ObjectNotFound(Exception()), RuntimeError("Failed to reach API")],
)
def test_bars_go_on_some_time_after_the_server_is_back(server: Server, error: Exception) -> None:
    clock = Clock()
    run = RunProgress(clock)
    run("train", 1, 10, "epochs")
    server.away = error
    for done in (2, 3, 10):
        clock.now += 10
        run("train", done, 10, "epochs")
    assert 2 == server.num_asked
    server.away = None
    clock.now += 600
    run("train", 5, 10, "epochs")
    assert [50.0] == list(server.bars.values())
    assert 3 == server.num_asked
