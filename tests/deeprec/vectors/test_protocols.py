import logging
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprec.config.evaluation import ProtocolConfig, PublishedCounts
from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import SplitError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.shipped import config_root
from deeprec.splits import Part, Split, TimeSplit
from deeprec.vectors.materialize import materialize, read_split
from deeprec.vectors.protocols import Counts, compare
from deeprec.warehouse.opening import open_warehouse

PROTOCOLS = config_root() / "protocols"
Pair = tuple[int, int]  # movie, user
Rows = dict[Pair, date]

TRAIN, DEV, TEST = Part.TRAIN, Part.DEV, Part.TEST
FOUND = {
    frozenset({TRAIN}): Counts(80, 8, 6),
    frozenset({DEV}): Counts(10, 5, 4),
    frozenset({TEST}): Counts(10, 6, 5),
    frozenset({TRAIN, DEV}): Counts(90, 8, 7),
    frozenset({DEV, TEST}): Counts(20, 7, 5),
}


def protocol(
    dev_from: Literal["train", "held_out"],
    train: PublishedCounts,
    held_out: PublishedCounts | None = None,
) -> ProtocolConfig:
    held_out = held_out or PublishedCounts()
    return ProtocolConfig(name="x", dev_from=dev_from, train=train, held_out=held_out)


@pytest.mark.parametrize(
    ("dev_from", "train", "held_out"),
    [("held_out", (80, 8, 6), (20, 7, 5)), ("train", (90, 8, 7), (10, 6, 5))],
)
def test_dev_counts_on_the_side_that_it_is_a_share_of(
    dev_from: Literal["train", "held_out"],
    train: tuple[int, int, int],
    held_out: tuple[int, int, int],
) -> None:
    names = ("ratings", "users", "movies")
    published = protocol(
        dev_from,
        PublishedCounts(**dict(zip(names, train, strict=True))),
        PublishedCounts(**dict(zip(names, held_out, strict=True))),
    )
    rows = compare(published, FOUND)
    sides = ["train"] * 3 + ["held out"] * 3
    assert list(zip(sides, names * 2, strict=True)) == [(row.part, row.what) for row in rows]
    assert [*train, *held_out] == [row.found for row in rows]
    assert all(row.agrees for row in rows)


def test_a_count_that_differs_does_not_agree() -> None:
    (row,) = compare(protocol("held_out", PublishedCounts(ratings=98_074_901)), FOUND)
    assert (98_074_901, 80, False) == (row.published, row.found, row.agrees)
    assert "train ratings 80, published 98,074,901" == str(row)


def test_counts_that_were_not_published_are_not_compared() -> None:
    assert () == compare(protocol("held_out", PublishedCounts()), FOUND)


def test_a_side_without_a_rating_has_none() -> None:
    (row,) = compare(protocol("held_out", PublishedCounts(users=0)), {})
    assert (0, True) == (row.found, row.agrees)


def write_netflix(file: Path, rows: Rows) -> Path:
    """The rows in Netflix's one-file layout; the stars are made up."""
    file.parent.mkdir(parents=True, exist_ok=True)
    by_movie = defaultdict(list)
    for (movie, user), day in rows.items():
        by_movie[movie].append(f"{user},{1 + (movie + user) % 5},{day}")
    lines = [line for movie, rated in by_movie.items() for line in (f"{movie}:", *rated)]
    file.write_text("\n".join(lines) + "\n")
    return file


def take_in(home: Home, rows: Rows) -> None:
    ingest(home, [str(write_netflix(home.path / "combined_data_1.txt", rows))], Config())


def parts(home: Home, split: Split) -> dict[Part, set[Pair]]:
    """The pairs of every part."""
    with open_warehouse(home) as warehouse:
        ratings = read_split(warehouse, split)
    found = {}
    for part in Part:
        matrix = ratings.part(part)
        users, movies = matrix.values_UM.tocoo().coords
        pairs = zip(matrix.movie_ids_M[movies], matrix.user_ids_U[users], strict=True)
        found[part] = {(int(movie), int(user)) for movie, user in pairs}
    return found


@dataclass(frozen=True)
class Window:
    train_from: date
    train_through: date
    test_from: date
    test_through: date


@dataclass(frozen=True)
class Divided:
    """What the plain reading of the rules makes of some rows."""

    train: set[Pair]
    held_out: set[Pair]
    unseen_user: set[Pair]
    unseen_movie: set[Pair]


def window(*days: str) -> Window:
    return Window(*map(date.fromisoformat, days))


WINDOWS = {
    "netflix-full": window("1999-12-01", "2005-11-30", "2005-12-01", "2005-12-31"),
    "netflix-3m": window("2005-09-01", "2005-11-30", "2005-12-01", "2005-12-31"),
    "netflix-6m": window("2005-06-01", "2005-11-30", "2005-12-01", "2005-12-31"),
    "netflix-1y": window("2004-06-01", "2005-05-31", "2005-06-01", "2005-06-30"),
}


def divide_by_hand(rows: Rows, days: Window) -> Divided:
    """DeepRecommender's rules in their order: a user at a time, his ratings by date."""
    by_user: dict[int, list[tuple[date, int]]] = defaultdict(list)
    for (movie, user), day in rows.items():
        by_user[user].append((day, movie))
    done = Divided(set(), set(), set(), set())
    for user, rated in by_user.items():
        for day, movie in sorted(rated):
            if days.train_from <= day <= days.train_through:
                done.train.add((movie, user))
            elif days.test_from <= day <= days.test_through:
                is_known = any(trained == user for _, trained in done.train)
                (done.held_out if is_known else done.unseen_user).add((movie, user))
    trained_movies = {movie for movie, _ in done.train}
    done.unseen_movie.update(pair for pair in done.held_out if pair[0] not in trained_movies)
    done.held_out.difference_update(done.unseen_movie)
    return done


def counts_of(pairs: Collection[Pair]) -> PublishedCounts:
    return PublishedCounts(
        ratings=len(pairs),
        users=len({user for _, user in pairs}),
        movies=len({movie for movie, _ in pairs}),
    )


@pytest.fixture(scope="module")
def netflix_like() -> Rows:
    """Made-up ratings whose days crowd around both ends of every window."""
    rng = np.random.default_rng(3)
    ends = [day for days in WINDOWS.values() for day in vars(days).values()]
    around = [day.toordinal() + shift for day in ends for shift in (-1, 0, 1)]
    rows: Rows = {}
    for user in range(1, 61):
        num_ratings = min(24, int(rng.geometric(0.15)))
        for movie in rng.choice(90, size=num_ratings, replace=False):
            rows[int(movie) + 1, 7 * user] = date.fromordinal(int(rng.choice(around)))
    return rows


@pytest.mark.parametrize("name", WINDOWS)
def test_a_netflix_window_gives_what_deeprecommenders_rules_give(
    home: Home, netflix_like: Rows, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    take_in(home, netflix_like)
    expected = divide_by_hand(netflix_like, WINDOWS[name])
    assert expected.unseen_user
    assert expected.unseen_movie
    config = load_config(protocol=PROTOCOLS / f"{name}.toml")
    here = ProtocolConfig(
        name="by hand", train=counts_of(expected.train), held_out=counts_of(expected.held_out)
    )
    report = materialize(home, config.model_copy(update={"protocol": here}))
    assert 6 == len(report.published)
    assert () == report.deviations
    assert "" == caplog.text

    found = parts(home, config.split)
    assert expected.train == found[Part.TRAIN]
    assert expected.held_out == found[Part.DEV] | found[Part.TEST]
    assert expected.unseen_user == found[Part.UNSEEN_USER]
    assert expected.unseen_movie == found[Part.UNSEEN_MOVIE]
    assert len(expected.unseen_user) == report.counts[Part.UNSEEN_USER]
    assert len(expected.unseen_movie) == report.counts[Part.UNSEEN_MOVIE]
    assert len(netflix_like) == sum(report.counts.values())
    half = len(expected.held_out) / 2
    assert half == pytest.approx(report.counts[Part.DEV], rel=0.4)


def test_counts_that_differ_are_reported_and_logged_and_no_error(
    home: Home, netflix_like: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    take_in(home, netflix_like)
    config = load_config(protocol=PROTOCOLS / "netflix-full.toml")
    for _ in range(2):  # whether or not the split is applied anew
        caplog.clear()
        report = materialize(home, config)
        assert "netflix-full" == report.protocol
        assert 6 == len(report.deviations)
        (record,) = caplog.records
        assert logging.WARNING == record.levelno
        assert "published 98,074,901" in record.message
        assert f"held out users {report.published[4].found}, published 173,482" in record.message


_days = st.dates(date(2005, 1, 1), date(2005, 1, 28))


@settings(max_examples=8)
@given(
    st.dictionaries(st.tuples(st.integers(1, 6), st.integers(1, 6)), _days, min_size=3),
    st.tuples(_days, _days, _days).map(sorted),
)
def test_any_window_gives_what_the_rules_give(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, days: list[date]
) -> None:
    first, middle, last = days
    home = Home(tmp_path_factory.mktemp("home"))
    take_in(home, rows)
    split = TimeSplit(train_from=first, train_through=middle, test_through=last)
    after = date.fromordinal(middle.toordinal() + 1)
    expected = divide_by_hand(rows, Window(first, middle, after, last))
    if not expected.train:
        with pytest.raises(SplitError, match="no rating to train on"):
            materialize(home, Config(split=split))
        return
    report = materialize(home, Config(split=split))
    found = parts(home, split)
    assert expected.train == found[Part.TRAIN]
    assert expected.held_out == found[Part.DEV] | found[Part.TEST]
    assert expected.unseen_user == found[Part.UNSEEN_USER]
    assert expected.unseen_movie == found[Part.UNSEEN_MOVIE]
    assert len(rows) == sum(map(len, found.values())) == sum(report.counts.values())


@pytest.mark.parametrize("file", sorted(PROTOCOLS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_protocol_applies_to_small_dated_data(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    days = [date(1998, 3, 31), date(1998, 4, 1), date(2005, 5, 31), date(2005, 6, 1)]
    days += [date(2005, 11, 30), date(2005, 12, 31)]
    rows = {
        (movie, user): days[(movie + user) % len(days)]
        for movie in range(1, 13)
        for user in range(1, 13)
    }
    tested = {pair: day for pair, day in rows.items() if pair[0] > 9}
    base = {pair: day for pair, day in rows.items() if pair not in tested}
    files = (("u1.base", base), ("u1.test", tested))
    ingest(home, [str(write_netflix(tmp_path / name, some)) for name, some in files], Config())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "probe.txt").write_text("3:\n4\n5:\n6\n")
    config = load_config(protocol=file)
    report = materialize(home, config)
    assert file.stem == report.protocol
    assert len(rows) == sum(report.counts.values())
    assert {Part.TRAIN, Part.DEV} <= report.counts.keys()
    assert (file.stem == "netflix-probe") == (Part.TEST not in report.counts)
    has_counts = file.stem not in {"last-1", "ml-100k-time", "random-90-10"}
    assert has_counts == bool(report.published)


def test_the_canonical_files_have_the_counts_they_are_known_by(
    home: Home, shared_data: Path
) -> None:
    ingest(home, [str(shared_data / "ml-100k" / f"u1.{end}") for end in ("base", "test")], Config())
    report = materialize(home, load_config(protocol=PROTOCOLS / "ml-100k-u1.toml"))
    assert 6 == len(report.published)
    assert () == report.deviations
    assert 4_000 == pytest.approx(report.counts[Part.DEV], abs=200)


def test_a_tenth_of_ml_100k_comes_after_the_day_of_its_protocol(
    home: Home, shared_data: Path
) -> None:
    ingest(home, [str(shared_data / "ml-100k" / "u.data")], Config())
    counts = materialize(home, load_config(protocol=PROTOCOLS / "ml-100k-time.toml")).counts
    assert 100_000 - 9_359 == counts[Part.TRAIN]
    assert 2_274 == counts[Part.DEV] + counts[Part.TEST]
    assert 7_085 == counts[Part.UNSEEN_USER] + counts[Part.UNSEEN_MOVIE]
