"""What monitors are told."""

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.nights.champions import list_models
from deeprec.nights.status import status
from deeprec.vectors.materialize import materialize

if TYPE_CHECKING:
    from tests.deeprec.conftest import Drop


def test_status_tells_monitors_how_things_stand(drop: "Drop", home: Home) -> None:
    well = status(drop.home, drop.config)
    assert (0, "ok", ()) == (well.exit_code, well.health, well.broken)
    old = status(drop.home, drop.told(nightly={"max_age_hours": 1e-9}))
    assert (1, "warning") == (old.exit_code, old.health)
    (drop.folder / "ratings_bad.csv").write_text("no,columns\n")
    drop.next()
    assert 1 == status(drop.home, drop.config).exit_code
    drop.home.predictions.unlink()
    assert 2 == status(drop.home, drop.config).exit_code
    assert 2 == status(home, drop.config).exit_code
    (_, why) = status(home, drop.config).broken
    assert "has no warehouse; run `deeprec ingest SOURCE` first" in why


def test_status_says_that_a_night_died(drop: "Drop", monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # a kill from outside would have to meet the step
        patched.setattr("deeprec.nights.nightly.materialize", killed)
        with pytest.raises(KeyboardInterrupt):
            drop.next()
    with drop.home.lock("night"):
        running = status(drop.home, drop.config)
    assert (0, True) == (running.exit_code, running.at_work)
    died = status(drop.home, drop.config)
    assert (1, False) == (died.exit_code, died.at_work)
    assert "the last night died" in died.broken[-1]
    drop.next()
    assert 0 == status(drop.home, drop.config).exit_code


def test_status_says_who_keeps_it_from_reading(drop: "Drop") -> None:
    shell = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    told = [sys.executable, "-c", shell, str(drop.home.warehouse)]
    with subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as analyst:
        assert analyst.stdout
        analyst.stdout.readline()
        found = status(drop.home, drop.config)
        analyst.communicate(b"\n")
    assert (1, False) == (found.exit_code, found.at_work)
    assert "held by another process" in found.broken[-1]


def test_an_account_that_may_only_read_can_ask(
    drop: "Drop", monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> bool:
        return False

    # The system lets the tests' account write everywhere where that is root.
    monkeypatch.setattr("deeprec.warehouse.opening.os.access", refused)
    (drop.home.path / ".warehouse.lock").unlink()
    assert "ok" == status(drop.home, drop.config).health
    assert list_models(drop.home, drop.config).champion
    assert not (drop.home.path / ".warehouse.lock").exists()


def test_ratings_that_were_replaced_are_due(drop: "Drop") -> None:
    assert () == status(drop.home, drop.config).due
    file = drop.folder / "ratings_base.csv"
    header, first, *others = file.read_text().splitlines()
    user, movie, rating, day = first.split(",")
    changed = f"{user},{movie},{6 - int(rating)},{day}"
    file.write_text("\n".join([header, changed, *others]) + "\n")
    ingest(drop.home, [str(drop.folder)], drop.config)
    assert status(drop.home, drop.config).due[0].startswith("vectors of ")


def test_status_tells_what_the_next_night_has_to_do(drop: "Drop") -> None:
    assert () == status(drop.home, drop.config).due
    drop.add("ratings_new.csv", drop.new_ratings(0))
    ingest(drop.home, [str(drop.folder)], drop.config)
    (vectors,) = status(drop.home, drop.config).due
    assert vectors.startswith("vectors of 485 ratings")
    materialize(drop.home, drop.config)
    waiting = "5 ratings wait to be held against what is published"
    assert (waiting,) == status(drop.home, drop.config).due


def test_status_sees_that_a_warehouse_is_broken(drop: "Drop") -> None:
    with drop.home.warehouse.open("r+b") as file:
        file.write(bytes(8192))
    found = status(drop.home, drop.config)
    assert (2, False) == (found.exit_code, found.at_work)
    assert "the warehouse cannot be read" in found.broken[-1]


def test_status_answers_while_a_run_is_at_work(drop: "Drop") -> None:
    with drop.home.lock("warehouse"):
        found = status(drop.home, drop.config)
    assert found.at_work
    assert found.published is not None
