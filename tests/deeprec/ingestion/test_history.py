"""What a home was at a moment, whatever has come since."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import ConfigError
from deeprec.home import Home
from deeprec.ingestion.history import home_as_of, parse_moment
from deeprec.ingestion.ingest import ingest
from deeprec.models.registry import newest_bundle
from deeprec.nights.champions import list_models, promote
from deeprec.training.train import train
from deeprec.warehouse.opening import open_warehouse

NAMES = "user_id,movie_id,rating,date\n"


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def take_in(home: Home, file: Path, rows: str) -> datetime:
    """The moment after."""
    file.write_text(NAMES + rows)
    ingest(home, [str(file)], Config())
    return now()


def ratings(home: Home) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute(
            "select user_id, movie_id, rating from ratings order by all"
        ).fetchall()


def test_what_has_lost_changed_or_come_since_is_as_it_was(home: Home, tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    first = take_in(home, one, "1,2,1,2005-01-01\n1,3,4,2005-01-01\n")
    second = take_in(home, other, "1,2,5,2005-02-01\n")
    third = take_in(home, one, "1,2,2,2005-03-01\n7,7,3,2005-03-01\n")
    assert [(1, 2, 1), (1, 3, 4)] == ratings(home_as_of(home, first, Config()))
    assert [(1, 2, 5), (1, 3, 4)] == ratings(home_as_of(home, second, Config()))
    latest = ratings(home_as_of(home, third, Config()))
    assert [(1, 2, 2), (7, 7, 3)] == latest == ratings(home)


def scale(home: Home) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute("from rating_scale").fetchall()


def test_the_scale_is_that_of_then(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    first = take_in(home, file, "1,2,9,2005-01-01\n1,3,4,2005-01-01\n")
    file.write_text(NAMES + "1,2,3,2005-01-01\n1,3,4,2005-01-01\n")
    stated = load_config(None, ["ingest.scale={minimum=1, maximum=5}"])
    ingest(home, [str(file)], stated)
    second = now()
    assert [(4, 9, None, False)] == scale(home_as_of(home, first, Config()))
    assert [(1, 5, None, True)] == scale(home_as_of(home, second, Config()))


def test_a_home_without_ratings_now_may_have_had_some(home: Home, tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    file = tmp_path / "drop" / "ratings.csv"
    file.write_text(NAMES + "1,2,3,2005-01-01\n")
    (tmp_path / "drop" / "movies.csv").write_text("movieId,title,genres\n2,Heat (1995),Drama\n")
    mirrored = load_config(None, ["ingest.forget_gone=true", "ingest.max_gone_fraction=1"])
    ingest(home, [str(tmp_path / "drop")], mirrored)
    then = now()
    file.unlink()
    ingest(home, [str(tmp_path / "drop")], mirrored)
    assert [] == ratings(home)
    assert [(1, 2, 3)] == ratings(home_as_of(home, then, Config()))


def test_models_and_their_champion_are_those_of_then(
    trained_home: Home, tiny_config: Config
) -> None:
    (first,) = trained_home.models.iterdir()
    promote(trained_home, tiny_config, bundle_id=first.name, reason="for a test")
    then = now()
    other = tiny_config.train.model_copy(update={"seed": 1, "num_epochs": 1})
    later = train(trained_home, tiny_config.model_copy(update={"train": other})).bundle_id
    promote(trained_home, tiny_config, bundle_id=later, reason="for a test")
    assert later == list_models(trained_home, tiny_config).champion
    past = home_as_of(trained_home, then, tiny_config)
    found = list_models(past, tiny_config)
    assert (first.name, [first.name]) == (found.champion, [model.bundle for model in found.models])
    with open_warehouse(past) as warehouse:
        assert first.name == newest_bundle(past, warehouse).manifest.bundle_id


def test_a_moment_is_of_utc_and_a_day_is_whole() -> None:
    assert datetime(2026, 1, 31, 23, 59, 59, 999_999) == parse_moment("2026-01-31")  # noqa: DTZ001
    assert datetime(2026, 1, 31, 4) == parse_moment("2026-01-31T04:00")  # noqa: DTZ001
    assert datetime(2026, 1, 31, 2) == parse_moment("2026-01-31T04:00+02:00")  # noqa: DTZ001
    with pytest.raises(ConfigError, match="expected a day as 2026-01-31"):
        parse_moment("yesterday")
