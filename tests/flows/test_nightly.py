"""Nights that fail, on a server: whatever ends one, somebody is told of it once, in a sentence."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deeprec.home import Home

WITHIN_S = 150
NIGHT_OF = "2005-03-01"
PROGRAM = """
import json, sys
from pathlib import Path
from threading import Event
from deeprec.home import Home
from flows.embedded import start_server
home = Home(Path(sys.argv[1]))
start_server(home).wait_until_ready()
from flows import nightly
told = []
nightly.emit_event = lambda **event: told.append(event["event"] + ": " + event["payload"]["said"])

def try_night(drop, *overrides, flow=nightly.nightly_flow, night_of=sys.argv[2]):
    told.clear()
    try:
        flow((drop,), home.path, None, overrides, night_of)
        print(json.dumps("it went well"))
    except Exception:
        print(json.dumps(told))

def raise_(error):
    raise error

try_night("drop", "score.nonsense=1")
try_night("drop", night_of="someday")
try_night(str(home.path / "none"))
with home.lock("night", 1):
    try_night("drop", "warehouse.lock_timeout_s=0.1")
nightly.run_night = lambda *_, **__: raise_(OSError(28, "No space left on device"))
try_night("drop")
nightly.run_night = lambda *_, **__: Event().wait()
try_night("drop", flow=nightly.nightly_flow.with_options(timeout_seconds=0.5))
"""


@pytest.mark.server
@pytest.mark.timeout(300)
def test_whatever_ends_a_night_is_told_once(home: Home, migrated: Path) -> None:
    shutil.copytree(migrated, home.prefect)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home.path), NIGHT_OF],
        timeout=WITHIN_S,
        text=True,
        capture_output=True,
        check=True,
    )
    expected = [
        "score.nonsense",
        "night_of",
        "no such file or folder",
        "held by another deeprec process",
        "No space left on device",
        "exceeded timeout of 0.5 second(s)",
    ]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(expected) == len(told), done.stdout
    for part, events in zip(expected, told, strict=True):
        (event,) = events
        assert event.startswith("deeprec.night.failed: ")
        assert part in event
