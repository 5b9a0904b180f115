import gzip
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprec.config.run import Config
from deeprec.errors import SplitError, WarehouseError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.ratings import UNDATED, RatingMatrix
from deeprec.splits import FileSplit, LastKSplit, Part, RandomSplit, Split, TimeSplit
from deeprec.vectors import user_lists
from deeprec.vectors.materialize import (
    MaterializeReport,
    SplitRatings,
    materialize,
    movie_ids,
    rating_matrix,
    read_split,
    read_users,
)
from deeprec.warehouse.opening import open_warehouse

# user_id, movie_id, rating, day of January 2005
Rows = list[tuple[int, int, int, int]]
ROWS: Rows = [
    (7, 30, 5, 1),
    (7, 10, 3, 2),
    (7, 20, 4, 3),
    (9, 20, 1, 4),
    (9, 30, 2, 5),
    (4, 40, 5, 9),
]


def take_in(home: Home, rows: Rows, name: str = "ratings.csv") -> None:
    home.path.mkdir(parents=True, exist_ok=True)
    file = home.path / name
    lines = [f"{user},{movie},{rating},2005-01-{day:02}" for user, movie, rating, day in rows]
    file.write_text("\n".join(["user_id,movie_id,rating,date", *lines]) + "\n")
    ingest(home, [str(file)], Config())


def divide(home: Home, split: Split) -> tuple[MaterializeReport, SplitRatings]:
    report = materialize(home, Config(split=split))
    with open_warehouse(home) as warehouse:
        return report, read_split(warehouse, split)


def pairs(ratings: SplitRatings, part: Part) -> set[tuple[int, int, float]]:
    matrix = ratings.part(part)
    entries = matrix.values_UM.tocoo()
    return {
        (int(matrix.user_ids_U[user]), int(matrix.movie_ids_M[movie]), float(rating))
        for user, movie, rating in zip(*entries.coords, entries.data, strict=True)
    }


def test_a_vector_holds_a_users_movies_in_order_and_their_ratings(home: Home) -> None:
    take_in(home, ROWS)
    _, ratings = divide(home, RandomSplit())
    everything = ratings.everything
    assert [4, 7, 9] == everything.user_ids_U.tolist()
    assert [10, 20, 30, 40] == everything.movie_ids_M.tolist()
    assert [[0, 0, 0, 5], [3, 4, 5, 0], [0, 1, 2, 0]] == everything.values_UM.toarray().tolist()


NEW_YEAR_2005 = 12_784  # days after 1970-01-01


def days_of(ratings: RatingMatrix) -> list[int]:
    assert ratings.days_R is not None
    days: list[int] = ratings.days_R.tolist()
    return days


def days_by_pair(ratings: RatingMatrix) -> dict[tuple[int, int], int]:
    return dict(zip(zip(*ratings.values_UM.nonzero(), strict=True), days_of(ratings), strict=True))


def test_a_rating_has_its_day_beside_it(home: Home) -> None:
    take_in(home, ROWS)
    _, ratings = divide(home, RandomSplit(test_fraction=0.4, dev_fraction=0.2))
    in_order_R = NEW_YEAR_2005 + np.array([8, 1, 2, 0, 3, 4])
    assert in_order_R.tolist() == days_of(ratings.everything)
    assert 6 == sum(len(days_of(ratings.part(part))) for part in Part)
    whole = days_by_pair(ratings.everything)
    assert all(days_by_pair(ratings.part(part)).items() <= whole.items() for part in Part)


def test_a_day_is_whole_and_may_be_missing_or_long_ago(home: Home) -> None:
    home.path.mkdir()
    files = {
        "dated.csv": "user_id,movie_id,rating,date\n"
        "1,10,1,2005-01-01 23:59:59\n1,30,2,1969-12-31 00:00:01\n1,40,3,9999-12-31\n",
        "undated.csv": "user_id,movie_id,rating\n1,20,4\n",
    }
    for name, text in files.items():
        (home.path / name).write_text(text)
        ingest(home, [str(home.path / name)], Config())
    _, ratings = divide(home, RandomSplit())
    assert [NEW_YEAR_2005, UNDATED, -1, 2_932_896] == days_of(ratings.everything)


@pytest.mark.parametrize("ratings_at_once", [1, 3, 4_000_000])
def test_a_split_is_read_whole_whatever_the_ranges(
    home: Home, ratings_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(home, [(7, 40, 1, 9), *ROWS[:3], (1, 10, 2, 3)], "dated.csv")
    others = {
        "undated.csv": "user_id,movie_id,rating\n8,20,4\n8,30,0\n7,50,2\n",
        "users.dat": "3::F::1::10::48067\n99::M::56::16::70072\n",  # who have rated nothing
    }
    for name, text in others.items():
        (home.path / name).write_text(text)
        ingest(home, [str(home.path / name)], Config())
    split = RandomSplit(seed=3, test_fraction=0.3, dev_fraction=0.3)
    materialize(home, Config(split=split))
    monkeypatch.setattr(user_lists, "_RATINGS_AT_ONCE", ratings_at_once)
    with open_warehouse(home) as warehouse:
        found = read_split(warehouse, split)
        everything = warehouse.table(
            "vectors/of_split", split_id=split.split_id, first_user=0, end_user=9
        )
        whole = rating_matrix(everything, movie_ids(warehouse))
    assert [1, 3, 7, 8, 99] == whole.user_ids_U.tolist()
    part_R = np.array([part for parts in everything["parts"].to_pylist() for part in parts])
    for part in Part:
        expected, matrix = whole.select_ratings(part_R == part), found.part(part)
        np.testing.assert_array_equal(whole.user_ids_U, matrix.user_ids_U)
        np.testing.assert_array_equal(whole.movie_ids_M, matrix.movie_ids_M)
        np.testing.assert_array_equal(expected.values_UM.indptr, matrix.values_UM.indptr)
        np.testing.assert_array_equal(expected.values_UM.indices, matrix.values_UM.indices)
        np.testing.assert_array_equal(expected.values_UM.data, matrix.values_UM.data)
        np.testing.assert_array_equal(expected.days_R, matrix.days_R)
    assert 8 == sum(found.part(part).num_ratings for part in (Part.TRAIN, Part.DEV, Part.TEST))


@pytest.mark.parametrize(("sorted_at_once", "written_at_once"), [(1, 1), (2, 3), (3, 2), (99, 99)])
def test_vectors_are_the_same_whatever_the_ranges(
    home: Home, sorted_at_once: int, written_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(home, ROWS[::-1])
    others = {
        "undated.csv": "user_id,movie_id,rating\n8,20,4\n8,10,0\n7,5,2\n",
        "users.dat": "3::F::1::10::48067\n99::M::56::16::70072\n",  # who have rated nothing
    }
    for name, text in others.items():
        (home.path / name).write_text(text)
        ingest(home, [str(home.path / name)], Config())
    monkeypatch.setattr(user_lists, "_RATINGS_SORTED_AT_ONCE", sorted_at_once)
    monkeypatch.setattr(user_lists, "_RATINGS_WRITTEN_AT_ONCE", 2 * sorted_at_once)
    monkeypatch.setattr(user_lists, "_USERS_WRITTEN_AT_ONCE", written_at_once)
    materialize(home, Config())
    with open_warehouse(home) as warehouse:
        vectors = rating_matrix(read_users(warehouse, 0, 6, with_days=True), movie_ids(warehouse))
    assert [3, 4, 7, 8, 9, 99] == vectors.user_ids_U.tolist()
    assert [5, 10, 20, 30, 40] == vectors.movie_ids_M.tolist()
    assert [0, 0, 1, 5, 7, 9, 9] == vectors.values_UM.indptr.tolist()
    assert [4, 0, 1, 2, 3, 1, 2, 2, 3] == vectors.values_UM.indices.tolist()
    assert [5, 2, 3, 4, 5, 0, 4, 1, 2] == vectors.values_UM.data.tolist()
    days = [NEW_YEAR_2005 + day for day in (8, 1, 2, 0, 3, 4)]
    expected = [days[0], UNDATED, *days[1:4], UNDATED, UNDATED, *days[4:]]
    assert expected == days_of(vectors)


def test_training_days_are_left_unread_when_nobody_asks(home: Home) -> None:
    take_in(home, ROWS)
    split = LastKSplit(test_k=1, dev_k=1)
    _, ratings = divide(home, split)
    with open_warehouse(home) as warehouse:
        plain = read_split(warehouse, split, train_days=False)
    assert plain.part(Part.TRAIN).days_R is None
    assert plain.part(Part.TRAIN, Part.DEV).days_R is None
    assert days_of(ratings.part(Part.DEV)) == days_of(plain.part(Part.DEV))
    assert pairs(ratings, Part.TRAIN) == pairs(plain, Part.TRAIN)


def test_users_come_with_days_only_when_asked(home: Home) -> None:
    take_in(home, ROWS)
    materialize(home, Config())
    with open_warehouse(home) as warehouse:
        movies = movie_ids(warehouse)
        plain = rating_matrix(read_users(warehouse, 1, 3), movies)
        dated = rating_matrix(read_users(warehouse, 1, 3, with_days=True), movies)
    assert plain.days_R is None
    assert [7, 9] == plain.user_ids_U.tolist() == dated.user_ids_U.tolist()
    assert [NEW_YEAR_2005 + day for day in (1, 2, 0, 3, 4)] == days_of(dated)


def test_materializing_again_changes_nothing(home: Home) -> None:
    take_in(home, ROWS)
    first, before = divide(home, RandomSplit())
    second, after = divide(home, RandomSplit())
    assert (True, False) == (first.changed, second.changed)
    assert [pairs(before, part) for part in Part] == [pairs(after, part) for part in Part]


def test_new_ratings_make_vectors_and_splits_stale_until_they_are_rebuilt(home: Home) -> None:
    take_in(home, ROWS)
    divide(home, RandomSplit())
    take_in(home, [(4, 10, 2, 10)], "more.csv")
    with open_warehouse(home) as warehouse, pytest.raises(WarehouseError, match="materialize"):
        read_split(warehouse, RandomSplit())
    report, ratings = divide(home, RandomSplit())
    assert (True, 7) == (report.changed, ratings.everything.num_ratings)


def test_an_empty_warehouse_says_what_to_do(home: Home) -> None:
    with pytest.raises(WarehouseError, match="deeprec ingest"):
        materialize(home, Config())


def test_a_split_that_was_not_applied_is_refused(home: Home) -> None:
    take_in(home, ROWS)
    divide(home, RandomSplit())
    with open_warehouse(home) as warehouse, pytest.raises(WarehouseError, match="not been applied"):
        read_split(warehouse, RandomSplit(seed=1))


def test_splits_live_side_by_side(home: Home) -> None:
    take_in(home, ROWS)
    _, first = divide(home, RandomSplit(seed=1))
    divide(home, RandomSplit(seed=2))
    with open_warehouse(home) as warehouse:
        again = read_split(warehouse, RandomSplit(seed=1))
    assert [pairs(first, part) for part in Part] == [pairs(again, part) for part in Part]


def test_time_divides_at_its_days(home: Home) -> None:
    take_in(home, ROWS)
    days: dict[str, Any] = {
        "train_from": "2005-01-02",
        "train_through": "2005-01-03",
        "dev_through": "2005-01-04",
        "test_through": "2005-01-05",
    }
    report, ratings = divide(home, TimeSplit(**days, drop_unseen=False))
    assert {(7, 10, 3.0), (7, 20, 4.0)} == pairs(ratings, Part.TRAIN)
    assert {(9, 20, 1.0)} == pairs(ratings, Part.DEV)
    assert {(9, 30, 2.0)} == pairs(ratings, Part.TEST)
    assert {(7, 30, 5.0), (4, 40, 5.0)} == pairs(ratings, Part.OUTSIDE_WINDOW)
    assert ("2005-01-02", "2005-01-03") == (
        str(ratings.first_train_day),
        str(ratings.last_train_day),
    )
    assert 6 == sum(report.counts.values())


def test_users_and_movies_unseen_in_training_are_dropped_and_counted(home: Home) -> None:
    take_in(home, [*ROWS, (7, 50, 1, 8)])
    split = TimeSplit.model_validate({"train_through": "2005-01-03", "dev_through": "2005-01-04"})
    report, _ = divide(home, split)
    assert {Part.TRAIN: 3, Part.UNSEEN_USER: 3, Part.UNSEEN_MOVIE: 1} == report.counts


def test_the_last_ratings_of_each_user_are_held_out(home: Home) -> None:
    take_in(home, ROWS)
    _, ratings = divide(home, LastKSplit(test_k=1, dev_k=1))
    assert {(7, 20, 4.0)} == pairs(ratings, Part.TEST)
    assert {(7, 10, 3.0)} == pairs(ratings, Part.DEV)
    assert {(7, 30, 5.0), (9, 20, 1.0), (9, 30, 2.0), (4, 40, 5.0)} == pairs(ratings, Part.TRAIN)


def test_which_of_a_users_ratings_of_one_day_are_last_is_drawn_by_the_seed(home: Home) -> None:
    take_in(home, [(user, movie, 3, 1) for user in range(1, 41) for movie in (10, 20, 30)])
    drawn = []
    for seed in (0, 1):
        _, ratings = divide(home, LastKSplit(seed=seed))
        assert 40 == len(pairs(ratings, Part.TEST)) == len(pairs(ratings, Part.DEV))
        drawn.append(pairs(ratings, Part.TEST))
        assert {10, 20, 30} == {movie for _, movie, _ in drawn[-1]}
    assert drawn[0] != drawn[1]


def test_files_that_are_split_already_keep_their_parts(home: Home) -> None:
    take_in(home, ROWS[:3], "u1.base")
    take_in(home, ROWS[3:5], "u1.test")
    take_in(home, ROWS[5:], "extra.csv")
    _, ratings = divide(home, FileSplit(train="u1.base", test="u1.test", dev_fraction=0))
    assert {row[:2] for row in ROWS[:3]} == {pair[:2] for pair in pairs(ratings, Part.TRAIN)}
    assert {row[:2] for row in ROWS[3:5]} == {pair[:2] for pair in pairs(ratings, Part.TEST)}
    assert {row[:2] for row in ROWS[5:]} == {pair[:2] for pair in pairs(ratings, Part.OTHER_FILE)}


def test_a_packed_file_is_of_the_part_that_its_plain_name_says(home: Home) -> None:
    take_in(home, ROWS[:3], "u1.base")
    take_in(home, ROWS[3:], "plain.csv")
    packed = gzip.compress((home.path / "plain.csv").read_bytes())
    (home.path / "u1.test.gz").write_bytes(packed)
    ingest(home, [str(home.path / "u1.test.gz")], Config())
    _, ratings = divide(home, FileSplit(train="u1.base", test="u1.test", dev_fraction=0))
    assert {row[:2] for row in ROWS[3:]} == {pair[:2] for pair in pairs(ratings, Part.TEST)}


@pytest.mark.parametrize("others", [[], ["u1.test", "u2.base"]])
def test_a_file_split_names_the_file_that_it_has_no_rating_of(
    home: Home, others: list[str]
) -> None:
    take_in(home, ROWS, "u1.base")
    for name in others:  # of which the last has the same ratings as the one before
        take_in(home, ROWS[3:], name)
    with pytest.raises(SplitError, match=r"none that counts.* came in a file named u1\.test"):
        divide(home, FileSplit(train="u1.base", test="u1.test"))


@pytest.mark.parametrize(
    "split",
    [LastKSplit(), TimeSplit.model_validate({"train_through": "2005-01-03"})],
    ids=lambda split: split.kind,
)
def test_a_split_by_date_needs_dates(home: Home, split: Split) -> None:
    home.path.mkdir(parents=True)
    file = home.path / "undated.csv"
    file.write_text("user_id,movie_id,rating\n1,1,1\n2,1,5\n")
    ingest(home, [str(file)], Config())
    with pytest.raises(SplitError, match="2 have none"):
        divide(home, split)


def test_a_split_must_leave_something_to_train_on(home: Home) -> None:
    take_in(home, ROWS)
    split = TimeSplit.model_validate({"train_through": "2004-01-01", "drop_unseen": False})
    with pytest.raises(SplitError, match="no rating to train on"):
        divide(home, split)


def test_a_refused_split_leaves_the_one_before_it(home: Home) -> None:
    take_in(home, ROWS)
    divide(home, RandomSplit())
    with pytest.raises(SplitError):
        divide(home, TimeSplit.model_validate({"train_through": "2004-01-01"}))
    with open_warehouse(home) as warehouse:
        assert 6 == read_split(warehouse, RandomSplit()).everything.num_ratings


days = st.integers(1, 28)
splits = st.one_of(
    st.builds(
        RandomSplit,
        seed=st.integers(0, 9),
        test_fraction=st.floats(0, 0.4),
        dev_fraction=st.floats(0, 0.4),
        drop_unseen=st.booleans(),
    ),
    st.builds(LastKSplit, test_k=st.integers(0, 3), dev_k=st.integers(0, 3)),
    days.map(lambda day: TimeSplit.model_validate({"train_through": f"2005-01-{day:02}"})),
)


@settings(max_examples=12)
@given(
    st.dictionaries(
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        st.tuples(st.integers(1, 5), days),
        min_size=2,
    ),
    splits,
)
def test_parts_are_disjoint_and_sum_to_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    cells: dict[tuple[int, int], tuple[int, int]],
    split: Split,
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    rows = [(user, movie, *cell) for (user, movie), cell in cells.items()]
    take_in(home, [*rows, (99, 99, 1, 1), (99, 98, 5, 1)])
    try:
        report, ratings = divide(home, split)
    except SplitError:
        assert not isinstance(split, TimeSplit)  # there is a rating on the first day
        return
    parts = [pairs(ratings, part) for part in Part]
    assert len(rows) + 2 == sum(map(len, parts)) == sum(report.counts.values())
    assert {(u, m, float(r)) for u, m, r, _ in rows} <= set.union(*parts)
    if split.drop_unseen:
        trained = parts[0]
        known_users, known_movies = {u for u, _, _ in trained}, {m for _, m, _ in trained}
        assert all(u in known_users and m in known_movies for u, m, _ in parts[1] | parts[2])


def test_another_seed_draws_other_ratings_in_the_stated_shares(home: Home) -> None:
    take_in(home, [(user, movie, 1 + user % 5, 1) for user in range(60) for movie in range(50)])
    first, ratings = divide(home, RandomSplit(seed=0, test_fraction=0.1, dev_fraction=0.2))
    _, others = divide(home, RandomSplit(seed=1, test_fraction=0.1, dev_fraction=0.2))
    assert 300 == pytest.approx(first.counts[Part.TEST], abs=60)
    assert 600 == pytest.approx(first.counts[Part.DEV], abs=80)
    assert pairs(ratings, Part.TEST) != pairs(others, Part.TEST)
