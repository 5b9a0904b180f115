from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprec.config.evaluation import EvaluateConfig
from deeprec.config.run import Config
from deeprec.errors import SourceError, SplitError
from deeprec.evaluation.evaluate import evaluate
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.splits import ListedSplit, Part, Split, TimeSplit
from deeprec.training.train import train
from deeprec.vectors.materialize import MaterializeReport, materialize, read_split
from deeprec.warehouse.opening import open_warehouse

Pair = tuple[int, int]  # movie, user
Rows = dict[Pair, date]

ROWS: Rows = {
    (10, 7): date(2005, 1, 1),
    (20, 7): date(2005, 1, 2),
    (30, 7): date(2005, 1, 3),
    (10, 9): date(2005, 1, 4),
    (20, 9): date(2005, 1, 5),
    (40, 9): date(2005, 1, 6),
}


def write_netflix(file: Path, rows: Rows) -> Path:
    """The rows in Netflix's one-file layout; the stars are made up."""
    file.parent.mkdir(parents=True, exist_ok=True)
    by_movie = defaultdict(list)
    for (movie, user), day in rows.items():
        by_movie[movie].append(f"{user},{1 + (movie + user) % 5},{day}")
    lines = [line for movie, rated in by_movie.items() for line in (f"{movie}:", *rated)]
    file.write_text("\n".join(lines) + "\n")
    return file


def write_list(file: Path, pairs: Iterable[Pair]) -> Path:
    file.write_text("".join(f"{movie}:\n{user}\n" for movie, user in pairs))
    return file


def take_in(home: Home, rows: Rows) -> None:
    ingest(home, [str(write_netflix(home.path / "combined_data_1.txt", rows))], Config())


def divide(home: Home, split: Split) -> tuple[MaterializeReport, dict[Part, set[Pair]]]:
    report = materialize(home, Config(split=split))
    return report, parts(home, split)


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


def test_a_window_includes_its_first_and_its_last_day(home: Home) -> None:
    rows = {(movie, 1): date(2005, 1, movie) for movie in range(1, 9)}
    take_in(home, rows)
    split = TimeSplit(
        train_from=date(2005, 1, 2),
        train_through=date(2005, 1, 4),
        dev_through=date(2005, 1, 5),
        test_through=date(2005, 1, 7),
        drop_unseen=False,
    )
    _, found = divide(home, split)
    movies = {part: sorted(movie for movie, _ in pairs) for part, pairs in found.items() if pairs}
    assert {
        Part.TRAIN: [2, 3, 4],
        Part.DEV: [5],
        Part.TEST: [6, 7],
        Part.OUTSIDE_WINDOW: [1, 8],
    } == movies


def test_listed_pairs_are_held_out_and_the_rest_is_train(home: Home, tmp_path: Path) -> None:
    take_in(home, ROWS)
    dev = write_list(tmp_path / "probe.txt", [(10, 7), (40, 9)])
    test = write_list(tmp_path / "test.txt", [(20, 7)])
    report, found = divide(home, ListedSplit(dev=dev, test=test))
    assert {(10, 7), (40, 9)} == found[Part.DEV]
    assert {(20, 7)} == found[Part.TEST]
    assert ROWS.keys() - {(10, 7), (40, 9), (20, 7)} == found[Part.TRAIN]
    assert [(Part.DEV, dev, 2, 0, 0), (Part.TEST, test, 1, 0, 0)] == [
        tuple(row.model_dump().values()) for row in report.lists
    ]


def test_listed_pairs_unseen_in_training_are_dropped_when_asked(home: Home, tmp_path: Path) -> None:
    take_in(home, ROWS)
    probe = write_list(tmp_path / "probe.txt", [(40, 9), (20, 7)])
    report, _ = divide(home, ListedSplit(dev=probe, drop_unseen=True))
    assert {Part.TRAIN: 4, Part.DEV: 1, Part.UNSEEN_MOVIE: 1} == report.counts


def test_a_pair_listed_twice_counts_once_and_is_reported(home: Home, tmp_path: Path) -> None:
    take_in(home, ROWS)
    probe = write_list(tmp_path / "probe.txt", [(10, 7), (20, 9), (10, 7), (10, 7)])
    report, found = divide(home, ListedSplit(dev=probe))
    assert {(10, 7), (20, 9)} == found[Part.DEV]
    assert [(2, 2)] == [(row.num_pairs, row.num_repeated) for row in report.lists]


def test_listed_pairs_without_a_rating_are_counted_where_allowed(
    home: Home, tmp_path: Path
) -> None:
    take_in(home, ROWS)
    probe = write_list(tmp_path / "probe.txt", [(10, 7), (99, 7), (10, 99)])
    report, found = divide(home, ListedSplit(dev=probe, max_absent_fraction=0.7))
    assert {(10, 7)} == found[Part.DEV]
    assert [2] == [row.num_absent for row in report.lists]
    again = materialize(home, Config(split=ListedSplit(dev=probe, max_absent_fraction=0.7)))
    assert (False, report.lists) == (again.changed, again.lists)


def test_a_list_of_other_ratings_is_refused_with_an_example(home: Home, tmp_path: Path) -> None:
    take_in(home, ROWS)
    probe = write_list(tmp_path / "probe.txt", [(10, 7), (99, 7), (10, 99)])
    divide(home, ListedSplit(dev=probe, max_absent_fraction=1))
    with pytest.raises(SplitError) as error:
        divide(home, ListedSplit(dev=probe))
    assert str(error.value).startswith(
        f"{probe}: 2 of its 3 pairs have no rating, as movie 99, user 7 in line 4; more than "
        "split.max_absent_fraction = 0.001 allows"
    )


def test_a_rating_cannot_be_dev_and_test(home: Home, tmp_path: Path) -> None:
    take_in(home, ROWS)
    dev = write_list(tmp_path / "probe.txt", [(10, 7), (20, 9)])
    test = write_list(tmp_path / "test.txt", [(20, 9)])
    with pytest.raises(SplitError) as error:
        divide(home, ListedSplit(dev=dev, test=test))
    assert f"{dev}:4 and {test}:2: movie 20, user 9" in str(error.value)


def test_a_missing_or_broken_list_is_named(home: Home, tmp_path: Path) -> None:
    take_in(home, ROWS)
    with pytest.raises(SourceError, match=r"absent\.txt: cannot be read.*as split\.dev"):
        divide(home, ListedSplit(dev=tmp_path / "absent.txt"))
    probe = tmp_path / "probe.txt"
    probe.write_text("10:\nseven\n")
    with pytest.raises(SourceError, match=r"probe\.txt:2: not_a_number: seven"):
        divide(home, ListedSplit(dev=probe))


def test_a_list_that_changes_makes_another_split(home: Home, tmp_path: Path) -> None:
    take_in(home, ROWS)
    probe = write_list(tmp_path / "probe.txt", [(10, 7)])
    first, _ = divide(home, ListedSplit(dev=probe))
    moved = probe.rename(tmp_path / "moved.txt")
    second, _ = divide(home, ListedSplit(dev=moved))
    assert (first.split_id, False) == (second.split_id, second.changed)
    write_list(moved, [(10, 9)])
    third, found = divide(home, ListedSplit(dev=moved))
    assert first.split_id != third.split_id
    assert {(10, 9)} == found[Part.DEV]


def test_a_list_can_be_told_to_have_a_certain_content(home: Home, tmp_path: Path) -> None:
    take_in(home, ROWS)
    probe = write_list(tmp_path / "probe.txt", [(10, 7)])
    with pytest.raises(SplitError, match="expected the SHA-256 0000"):
        divide(home, ListedSplit(dev=probe, dev_sha256="0" * 64))


def test_a_bundle_is_measured_on_its_list_after_the_file_has_gone(
    home: Home, tmp_path: Path, tiny_config: Config, tiny_sources: list[str]
) -> None:
    ingest(home, tiny_sources, tiny_config)
    lines = Path(tiny_sources[0]).read_text().splitlines()[1::9]
    pairs = [(int(movie), int(user)) for user, movie, _, _ in (line.split(",") for line in lines)]
    probe = write_list(tmp_path / "probe.txt", pairs)
    config = tiny_config.model_copy(
        update={"split": ListedSplit(dev=probe), "evaluate": EvaluateConfig(part="dev")}
    )
    materialized = materialize(home, config)
    trained = train(home, config)
    assert materialized.split_id == trained.split_id
    probe.unlink()
    assert len(pairs) == evaluate(home, config).figures[0].num_ratings


_pairs = st.tuples(st.integers(1, 6), st.integers(1, 6))


@settings(max_examples=8)
@given(st.sets(_pairs, min_size=2), st.lists(_pairs, min_size=1), st.lists(_pairs))
def test_lists_divide_any_ratings(
    tmp_path_factory: pytest.TempPathFactory,
    rated: set[Pair],
    dev: list[Pair],
    test: list[Pair],
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    take_in(home, dict.fromkeys(rated, date(2005, 1, 1)) | {(98, 98): date(2005, 1, 1)})
    split = ListedSplit(
        dev=write_list(home.path / "dev.txt", dev),
        test=write_list(home.path / "test.txt", test) if test else None,
        max_absent_fraction=1,
    )
    if set(dev) & set(test):
        with pytest.raises(SplitError, match="is listed for dev and for test"):
            divide(home, split)
        return
    report, found = divide(home, split)
    assert rated & set(dev) == found[Part.DEV]
    assert rated & set(test) == found[Part.TEST]
    assert rated - set(dev) - set(test) | {(98, 98)} == found[Part.TRAIN]
    expected = [(len(set(pairs)), len(set(pairs) - rated)) for pairs in (dev, test) if pairs]
    assert expected == [(row.num_pairs, row.num_absent) for row in report.lists]
