from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from deeprec.ingestion.repeats import Suspects

Pair = tuple[int, int]  # movie, user
PAIRS = st.tuples(st.integers(1, 9), st.integers(1, 40))


def suspects_of(*batches: list[Pair], rated: tuple[int, ...] = ()) -> set[int]:
    suspects = Suspects(rated)
    for pairs in batches:
        suspects.add(pl.DataFrame(pairs, schema=["movie_id", "user_id"], orient="row"))
    return set(suspects.table()["movie_id"].to_pylist())


def movie(movie_id: int, num_users: int = 20) -> list[Pair]:
    return [(movie_id, user_id) for user_id in range(num_users)]


def test_a_movie_whole_in_one_batch_is_none() -> None:
    assert set() == suspects_of(movie(7) + movie(8), movie(9))


def test_one_that_a_batch_repeats_a_user_of_is_one() -> None:
    assert {8} == suspects_of(movie(7) + movie(8) + [(8, 3)] + movie(9))


def test_one_that_goes_on_into_the_next_batch_is_none() -> None:
    pairs = movie(7) + movie(8) + movie(9)
    assert set() == suspects_of(pairs[:30], pairs[30:])


def test_one_that_repeats_a_user_in_the_next_batch_is_one() -> None:
    assert {8} == suspects_of(movie(7) + movie(8), [(8, 3), *movie(9)])
    assert {8} == suspects_of(movie(7) + movie(8), movie(9) + movie(8), movie(10))


def test_one_that_comes_again_later_is_one() -> None:
    assert {8} == suspects_of(movie(8) + movie(7), [*movie(9), (8, 100), *movie(10)])
    assert {8} == suspects_of(movie(7) + movie(8), movie(9) + movie(10), [(8, 100), *movie(11)])


def test_one_that_fills_a_batch_is_one_if_it_goes_on() -> None:
    assert set() == suspects_of(movie(7), movie(8))
    assert {7} == suspects_of(movie(7), [(7, 100), *movie(8)])


def test_one_that_was_rated_before_is_one() -> None:
    assert {8} == suspects_of(movie(7) + movie(8), rated=(8, 9))


def test_all_of_a_batch_that_mixes_them_are() -> None:
    mixed = sorted(movie(7) + movie(8), key=lambda pair: pair[1])
    assert {7, 8} == suspects_of(mixed, movie(9))


def test_a_batch_without_a_row_says_nothing() -> None:
    assert set() == suspects_of([], movie(7), [])


def test_largest_and_smallest_ids_are_told_apart() -> None:
    ends = (-(2**63), -1, 0, 2**63 - 1)
    pairs = [(movie_id, user_id) for movie_id in ends for user_id in (*ends, *range(1, 20))]
    assert set() == suspects_of(pairs)
    assert {ends[0]} == suspects_of([pairs[0], *pairs])


@given(
    st.lists(PAIRS, max_size=200),
    st.lists(st.integers(0, 80), min_size=1, max_size=30),
    st.booleans(),
    st.sets(st.integers(1, 9)),
    st.booleans(),
)
def test_none_that_is_rated_twice_by_a_user_is_missed(
    pairs: list[Pair], sizes: list[int], by_movie: bool, rated: set[int], from_both_ends: bool
) -> None:
    if from_both_ends:  # of the numbers that 64 bits hold
        pairs = [(_far(movie_id), _far(user_id)) for movie_id, user_id in pairs]
        rated = {*map(_far, rated)}
    pairs = sorted(pairs) if by_movie else pairs
    batches = []
    for size in (*sizes, len(pairs)):
        batches.append(pairs[:size])
        pairs = pairs[size:]
    counts = Counter(pair for batch in batches for pair in batch)
    repeated = {movie_id for (movie_id, _), count in counts.items() if count > 1}
    repeated |= rated & {movie_id for movie_id, _ in counts}
    assert repeated <= suspects_of(*batches, rated=tuple(rated))


def _far(number: int) -> int:
    """Small numbers as far from 0 as they go, the odd ones below it."""
    return 2**63 - number if number % 2 == 0 else number - 2**63
