import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from deeprec import ratings as ratings_module
from deeprec.ratings import (
    UNDATED,
    RatingMatrix,
    RatingScale,
    count_by_column,
    digest_by_row,
    index_type,
    places_among,
    runs_of_rows,
    sum_by_column,
)


def matrix() -> RatingMatrix:
    """Three users, movies 10, 20, 30; the second user has rated nothing, a 0 is a rating."""
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            np.array([5, 0, 3], dtype=np.float32),
            np.array([0, 2, 1], dtype=np.int32),
            np.array([0, 2, 2, 3], dtype=np.int32),
        ),
        shape=(3, 3),
    )
    return RatingMatrix(np.array([1, 2, 3]), np.array([10, 20, 30]), values_UM)


@pytest.mark.parametrize(
    ("scale", "admitted"),
    [
        (RatingScale(1, 5, 1), [False, False, True, False, True, False, False]),
        (RatingScale(0.5, 5, 0.5), [False, True, True, True, True, False, False]),
        (RatingScale(0, 10), [True, True, True, True, True, True, False]),
    ],
)
def test_a_scale_admits_its_values(scale: RatingScale, admitted: list[bool]) -> None:
    values = np.array([0, 0.5, 1, 1.5, 5, 6, np.nan], dtype=np.float32)
    assert admitted == scale.admits(values).tolist()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_scale_admits_its_steps_as_any_float_holds_them(kind: type[np.floating]) -> None:
    scale = RatingScale(0, 1000, 0.01)
    assert scale.admits((np.arange(0, 100_001) / 100).astype(kind)).all()
    assert not scale.admits((np.arange(0, 100_000) / 100 + 0.005).astype(kind)).any()


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (RatingScale(1, 5), "1 to 5"),
        (RatingScale(0.5, float(np.float32(4.1)), 0.1), "0.5 to 4.1 in steps of 0.1"),
        (RatingScale(1_000_001, 1_000_004), "1000001 to 1000004"),
    ],
)
def test_a_scale_in_words_tells_its_ends_apart(scale: RatingScale, said: str) -> None:
    assert said == str(scale)


def test_a_scale_needs_room() -> None:
    with pytest.raises(ValueError, match="minimum < maximum"):
        RatingScale(5, 5)


def test_a_zero_is_a_rating() -> None:
    assert 3 == matrix().num_ratings
    assert 3 == matrix().restrict_movies(np.array([10, 20, 30])).num_ratings


def test_movies_outside_the_vocabulary_are_left_out() -> None:
    restricted = matrix().restrict_movies(np.array([20, 30, 40]))
    assert [[0, 0, 0], [0, 0, 0], [3, 0, 0]] == restricted.values_UM.toarray().tolist()
    assert [0, 1, 1, 2] == restricted.values_UM.indptr.tolist()


def test_a_vocabulary_of_no_movies_leaves_no_rating() -> None:
    assert 0 == matrix().restrict_movies(np.array([], dtype=np.int64)).num_ratings


def test_marked_ratings_and_users_are_kept() -> None:
    kept = matrix().select_ratings(np.array([True, False, True]))
    assert [[5, 0, 0], [0, 0, 0], [0, 3, 0]] == kept.values_UM.toarray().tolist()
    users = matrix().select_users(np.array([False, True, True]))
    assert [2, 3] == users.user_ids_U.tolist()
    assert [1, 2] == matrix().select_rows(slice(0, 2)).user_ids_U.tolist()


def dated() -> RatingMatrix:
    """As `matrix`, given on the days 100, none and 300."""
    days_R = np.array([100, UNDATED, 300], dtype=np.int32)
    return dataclasses.replace(matrix(), days_R=days_R)


@pytest.mark.parametrize(
    ("selected", "days"),
    [
        (dated().restrict_movies(np.array([20, 30, 40])), [UNDATED, 300]),
        (dated().restrict_movies(np.array([], dtype=np.int64)), []),
        (dated().select_ratings(np.array([True, False, True])), [100, 300]),
        (dated().select_rows(slice(0, 2)), [100, UNDATED]),
        (dated().select_rows(slice(1, 9)), [300]),
        (dated().select_rows(slice(1, 2)), []),
        (dated().select_users(np.array([False, True, True])), [300]),
    ],
)
def test_a_rating_keeps_its_day(selected: RatingMatrix, days: list[int]) -> None:
    assert selected.days_R is not None
    assert days == selected.days_R.tolist()


def test_days_that_were_not_read_stay_so() -> None:
    ratings = matrix()
    for selected in (
        ratings.restrict_movies(np.array([20])),
        ratings.select_ratings(np.array([True, False, True])),
        ratings.select_rows(slice(0, 2)),
        ratings.select_users(np.array([False, True, True])),
    ):
        assert selected.days_R is None


@given(st.sets(st.integers(0, 12)), st.sets(st.integers(0, 12), min_size=1))
def test_restricting_keeps_exactly_the_known_movies(here: set[int], known: set[int]) -> None:
    ids_M = np.array(sorted(here), dtype=np.int64)
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        np.asarray([ids_M + 1], dtype=np.float32)
    )
    ratings = RatingMatrix(np.array([1]), ids_M, values_UM)
    known_ids = np.array(sorted(known), dtype=np.int64)
    restricted = ratings.restrict_movies(known_ids)
    found = dict(zip(restricted.values_UM.indices, restricted.values_UM.data, strict=True))
    assert {int(np.searchsorted(known_ids, i)): i + 1 for i in here & known} == found


def test_what_stays_as_it_is_is_not_copied() -> None:
    ratings = dated()
    assert ratings.restrict_movies(np.array([10, 20, 30])) is ratings
    assert ratings.select_ratings(np.ones(3, dtype=bool)) is ratings
    assert ratings.select_users(np.ones(3, dtype=bool)) is ratings
    moved = ratings.restrict_movies(np.array([5, 10, 20, 30]))
    assert [1, 3, 2] == moved.values_UM.indices.tolist()
    assert np.shares_memory(ratings.values_UM.data, moved.values_UM.data)
    assert moved.days_R is ratings.days_R


def test_a_selection_is_counted_in_the_same_integers() -> None:
    whole = matrix()
    for selected in (
        whole.restrict_movies(np.array([20, 30])),
        whole.select_ratings(np.array([True, False, True])),
        whole.select_users(np.array([True, False, True])),
        whole.select_rows(slice(0, 2)),
    ):
        assert np.int32 == selected.values_UM.indices.dtype == selected.values_UM.indptr.dtype


def test_more_ratings_than_an_int32_counts_are_counted_in_int64() -> None:
    assert np.int32 is index_type(2**31 - 1)
    assert np.int64 is index_type(2**31)


@given(st.lists(st.integers(0, 9), max_size=20))
def test_runs_are_all_rows_in_order(lengths: list[int]) -> None:
    row_starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings_module, "_ENTRIES_AT_ONCE", 4)
        runs = list(runs_of_rows(row_starts))
    assert list(range(len(lengths))) == [row for run in runs for row in range(run.start, run.stop)]
    # Less than four entries and a row that begins among them.
    assert all(row_starts[run.stop] - row_starts[run.start] < 4 + 9 for run in runs)


def test_entries_are_counted_and_summed_by_column_and_zeros_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ratings_module, "_ENTRIES_AT_ONCE", 2)
    assert [1, 1, 1] == count_by_column(matrix().values_UM).tolist()
    rows = np.array([[1, 1, 0], [1, 0, 0]], dtype=np.float32)
    assert [2, 1, 0] == count_by_column(sparse.csr_array(rows)).tolist()
    assert [5, 3, 0] == sum_by_column(matrix().values_UM).tolist()


def test_ids_have_their_places_among_those_that_are_known() -> None:
    place_U, is_known_U = places_among(np.array([3, 5, 9]), np.array([5, 4, 9, 99, 3]))
    assert [True, False, True, False, True] == is_known_U.tolist()
    assert [1, 2, 0] == place_U[is_known_U].tolist()
    assert place_U.max() < 3


def test_a_digest_is_of_a_rows_entries_and_of_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = {0: 5.0, 3: 1.0}
    others = [{}, {0: 0.0}, {0: 5.0}, {0: 5.0, 3: 2.0}, {0: 1.0, 3: 5.0}, {0: 5.0, 2: 1.0}]
    rows = [first, *others, dict(reversed(first.items()))]
    values: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            np.array([rating for row in rows for rating in row.values()], dtype=np.float32),
            np.array([column for row in rows for column in row], dtype=np.int32),
            np.cumsum([0, *map(len, rows)]),
        ),
        shape=(len(rows), 4),
    )
    digests = digest_by_row(values)
    assert len(rows) - 1 == len(set(digests.tolist()))
    assert digests[0] == digests[-1]
    monkeypatch.setattr(ratings_module, "_ENTRIES_AT_ONCE", 3)  # so that it takes several
    assert digests.tolist() == digest_by_row(values).tolist()
    assert [digests[2]] == digest_by_row(values[[2]]).tolist()
    assert [] == digest_by_row(values[:0]).tolist()
