import hashlib
from collections.abc import Iterator
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from deeprec.home import Home
from deeprec.splits import Part
from deeprec.vectors.divided import Tally, UserRows
from deeprec.vectors.protocols import Counts
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse

TRAIN, DEV, TEST = (list(Part).index(part) for part in (Part.TRAIN, Part.DEV, Part.TEST))
NEW_YEAR_2005 = 12_784  # days after 1970-01-01


@pytest.fixture
def rows() -> UserRows:
    """Users 3, 4 and 5 of six, the second without a rating."""
    return UserRows.of(
        pa.table(
            {
                "user_index": pa.array([3, 4, 5], pa.int32()),
                "user_id": [30, 40, 50],
                "movie_indexes": pa.array([[0, 2], [], [0, 1, 2]], pa.list_(pa.int32())),
                "rating_days": pa.array(
                    [[NEW_YEAR_2005, None], [], [NEW_YEAR_2005 + 1, NEW_YEAR_2005 + 9, None]],
                    pa.list_(pa.int32()),
                ),
            }
        )
    )


def codes(*parts: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.array(parts, dtype=np.uint8)


def test_rows_are_told_with_the_ids_of_the_source(rows: UserRows) -> None:
    assert [
        (0, 30, 7, date(2005, 1, 1)),
        (1, 30, 9, None),
        (2, 50, 7, date(2005, 1, 2)),
        (3, 50, 8, date(2005, 1, 10)),
        (4, 50, 9, None),
    ] == [tuple(row.values()) for row in rows.table(np.array([7, 8, 9])).to_pylist()]


def test_a_rating_is_found_by_its_user_and_movie(rows: UserRows) -> None:
    user_H, movie_H = np.array([[5, 1], [3, 2], [3, 1], [4, 0], [5, 9]], dtype=np.int32).T
    assert [3, 1, -1, -1, -1] == rows.places(user_H, movie_H).tolist()


def test_nothing_is_found_where_nobody_has_rated() -> None:
    lists = pa.array([[]], pa.list_(pa.int32()))
    user = {"user_index": pa.array([0], pa.int32()), "user_id": [1]}
    rows = UserRows.of(pa.table({**user, "movie_indexes": lists, "rating_days": lists}))
    some = np.array([0], dtype=np.int32)
    assert [-1] == rows.places(some, some).tolist()


def test_parts_lie_beside_their_user(rows: UserRows) -> None:
    assert [["train", "test"], [], ["dev", "train", "train"]] == rows.lists(
        codes(TRAIN, TEST, DEV, TRAIN, TRAIN)
    )["parts"].to_pylist()


def test_a_user_or_movie_of_two_parts_counts_once(rows: UserRows) -> None:
    tally = Tally(num_users=6, num_movies=4)
    tally.add(rows, codes(TRAIN, TEST, DEV, TRAIN, TRAIN))
    assert Counts(3, 2, 3) == tally.counts([Part.TRAIN])
    assert Counts(4, 2, 3) == tally.counts([Part.TRAIN, Part.DEV])
    assert Counts(2, 2, 2) == tally.counts([Part.DEV, Part.TEST])
    assert Counts(0, 0, 0) == tally.counts([Part.UNSEEN_USER])


def test_training_days_span_all_users_and_pass_over_undated_ratings(rows: UserRows) -> None:
    tally = Tally(num_users=6, num_movies=4)
    tally.add(rows, codes(DEV, TRAIN, DEV, DEV, TRAIN))
    assert (None, None) == (tally.first_train_day, tally.last_train_day)
    tally.add(rows, codes(DEV, TRAIN, TRAIN, TRAIN, TRAIN))
    tally.add(rows, codes(TRAIN, DEV, DEV, DEV, DEV))
    assert (date(2005, 1, 1), date(2005, 1, 10)) == (tally.first_train_day, tally.last_train_day)


def test_a_held_out_rating_of_the_unseen_is_dropped_the_user_first(rows: UserRows) -> None:
    tally = Tally(num_users=6, num_movies=4)
    part_R = codes(DEV, TEST, TRAIN, TEST, DEV)
    tally.add(rows, part_R)
    assert ["unseen_user", "unseen_user", "train", "unseen_movie", "unseen_movie"] == [
        list(Part)[code] for code in tally.without_unseen(rows, part_R)
    ]


@pytest.fixture
def warehouse(home: Home) -> Iterator[Database]:
    with open_warehouse(home) as database:
        yield database


PAIRS = [(7, 10), (2_649_429, 17_770), (-3, 0)]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_draw_is_the_second_half_of_the_md5_of_seed_user_and_movie(
    warehouse: Database, seed: int
) -> None:
    batch = pa.table(
        {
            "row_index": pa.array(range(len(PAIRS)), pa.int32()),
            "user_id": [user for user, _ in PAIRS],
            "movie_id": [movie for _, movie in PAIRS],
        }
    )
    for row, (user, movie) in enumerate(PAIRS):
        digest = hashlib.md5(f"{seed}:{user}:{movie}".encode(), usedforsecurity=False).digest()
        place = int.from_bytes(digest[8:], "little") / 2**64
        for threshold, expected in ((place, False), (np.nextafter(place, 1), True)):
            drawn = warehouse.table_with(
                "splits/random", batch, seed=seed, test_fraction=float(threshold), dev_fraction=0.0
            )
            assert expected == (row in drawn["row_index"].to_pylist())
