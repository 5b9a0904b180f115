"""Published files and those before them, as a crash at any moment leaves them."""

import os
from pathlib import Path

import duckdb
import pytest

from deeprec.config.warehouse import WarehouseConfig
from deeprec.home import Home
from deeprec.scoring.past_runs import keep_published, kept_runs, prune, put_back, replace_published


@pytest.fixture
def published(home: Home) -> Home:
    home.path.mkdir()
    with duckdb.connect(home.predictions) as connection:
        connection.execute(
            "create table scoring_runs as select 'one' as run_id, 'any' as bundle_id, "
            "'published' as status, now() as started_at, now() as finished_at, "
            "1 as num_users, 1 as num_movies, 1 as num_predictions"
        )
    return home


def finished(home: Home) -> Path:
    file = home.path / "scores.duckdb"
    file.write_bytes(b"a run")
    return file


def test_a_run_is_on_disk_before_it_is_published_and_its_name_after(
    published: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, synced = finished(published), []
    place, folder = file.stat().st_ino, published.path.stat().st_ino

    def look(descriptor: int) -> None:
        is_published = b"a run" == published.predictions.read_bytes()
        synced.append((os.fstat(descriptor).st_ino, is_published))

    monkeypatch.setattr(os, "fsync", look)
    replace_published(published, file)
    assert [(place, False), (folder, True)] == synced


def test_a_log_that_a_session_left_does_not_meet_the_new_file(published: Home) -> None:
    log = published.predictions.with_name("predictions.duckdb.wal")
    log.write_bytes(b"of the file before")
    replace_published(published, finished(published))
    assert not log.exists()


def test_a_file_is_kept_as_a_link_whatever_a_crash_has_left(published: Home) -> None:
    published.past.mkdir()
    (published.past / "one.duckdb.partial").write_bytes(b"half")
    keep_published(published, WarehouseConfig())
    assert published.predictions.samefile(published.past / "one.duckdb")
    assert {"one"} == kept_runs(published)


def test_a_damaged_file_is_not_kept_to_roll_back_to(
    published: Home, caplog: pytest.LogCaptureFixture
) -> None:
    published.predictions.write_bytes(bytes(8192))
    keep_published(published, WarehouseConfig())
    assert frozenset() == kept_runs(published)
    assert "what was published is not kept" in caplog.text


def test_a_file_is_put_back_and_kept_whatever_a_crash_has_left(published: Home) -> None:
    keep_published(published, WarehouseConfig())
    before = published.predictions.read_bytes()
    replace_published(published, finished(published))
    (published.path / ".one.partial").write_bytes(b"half")
    put_back(published, "one")
    assert before == published.predictions.read_bytes()
    assert published.predictions.samefile(published.past / "one.duckdb")


def test_the_newest_that_are_there_are_kept_and_what_a_crash_has_left_is_not(home: Home) -> None:
    home.past.mkdir(parents=True)
    for name in ("a.duckdb", "b.duckdb", "c.duckdb", "b.duckdb.partial"):
        (home.past / name).touch()
    (home.path / ".c.partial").touch()
    prune(home, ["never kept", "c", "b", "a"], 1, ["a"])
    assert {"a.duckdb", "c.duckdb"} == {file.name for file in home.past.iterdir()}
    assert [home.past] == list(home.path.iterdir())
