from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprec.readers import netflix
from deeprec.readers.lines import Rating, judge
from deeprec.readers.prize_lines import read_prize_lines

Line = tuple[int, int, str]  # user, rating, day


def read(lines: Sequence[str]) -> list[Line | None]:
    """What each line says, None where it is not plain."""
    data = b"".join(line.encode() + b"\n" for line in lines)
    ends_R = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    found = read_prize_lines(data, ends_R)
    days = found.moment_R.astype("datetime64[us]").astype("datetime64[D]").astype(str)
    said = zip(found.user_id_R.tolist(), found.rating_R.tolist(), days.tolist(), strict=True)
    return [line if plain else None for line, plain in zip(said, found.is_plain_R, strict=True)]


def test_users_of_one_to_eight_digits() -> None:
    users = [int("12345678"[:num_digits]) for num_digits in range(1, 9)]
    said = read([f"{user},{user % 10},2005-09-06" for user in users])
    assert [(user, user % 10, "2005-09-06") for user in users] == said


@pytest.mark.parametrize("num_before", [0, 1, 5])
@pytest.mark.parametrize(
    "line",
    [
        *("", "7:", ",3,2005-09-06", "123456789,3,2005-09-06", "3,2005-09-06", "1,3", "1,3,"),
        *("-1,3,2005-09-06", " 1,3,2005-09-06", "1 ,3,2005-09-06", "a1,3,2005-09-06", "1:,3,2005"),
        *(
            "1,33,2005-09-06",
            "1,3.0,2005-09-06",
            "1,,2005-09-06",
            "1,x,2005-09-06",
            "1,-,2005-09-06",
        ),
        *("1;3,2005-09-06", "1,3;2005-09-06", "1,3,2005/09-06", "1,3,2005-09/06", "1,3,2005-9-06"),
        *("1,3,2005-02-29", "1,3,2005-13-01", "1,3,2005-00-01", "1,3,2005-01-00", "1,3,2005-01-32"),
        *(
            "1,3,0000-01-01",
            "1,3,205-09-06",
            "1,3,12005-09-06",
            "1,3,2005-09-06 ",
            "1,3,2005-09-06\r",
        ),
        *(
            '"1",3,2005-09-06',
            "1,3,2005-09-06,",
            "1,3,a005-09-06",
            "1,3,20a5-09-06",
            "1,3,2005-:9-06",
        ),
        *("1,3,é05-09-06", "1,é,005-09-06", "é1,3,2005-09-06", "1,3,2005-09-é", "1\0,3,2005-09-06"),
    ],
)
def test_another_line_is_not_plain_and_changes_no_other(line: str, num_before: int) -> None:
    plain = "1488844,3,2004-02-29"
    expected = (1488844, 3, "2004-02-29")
    said = read([*[plain] * num_before, line, plain])
    assert [*[expected] * num_before, None, expected] == said


def test_no_line_and_no_text() -> None:
    assert [] == read([])


def test_more_lines_than_a_block_holds() -> None:
    lines = [f"{user},{user % 5 + 1},{1900 + user % 200}-01-31" for user in range(1, 100_000)]
    said = read(lines)
    assert [f"{user},{rating},{day}" for user, rating, day in filter(None, said)] == lines


PIECES = st.sampled_from([*"0123456789", ",", "-", ",3,", "2005-09-06", "2004-02-", ":", " ", "é"])


@given(st.lists(st.lists(PIECES, max_size=12).map("".join), max_size=9))
def test_what_a_plain_line_says_is_what_an_exact_look_finds(lines: list[str]) -> None:
    for line, said in zip(lines, read(lines), strict=True):
        if said:
            found = judge(line.encode(), netflix.COMBINED, None)
            assert isinstance(found, Rating)
            user_id, rating, day = said
            moment = (datetime.fromisoformat(day) - datetime(1970, 1, 1)).total_seconds() * 1e6  # noqa: DTZ001 - UTC
            assert (user_id, rating, moment) == (found.user_id, found.rating, found.moment)


@given(st.lists(st.tuples(st.integers(0, 10**8 - 1), st.integers(0, 9), st.dates()), max_size=30))
def test_every_line_of_the_form_is_plain(lines: list[tuple[int, int, object]]) -> None:
    texts = [f"{user_id},{rating},{day}" for user_id, rating, day in lines]
    assert texts == [",".join(map(str, line or ())) for line in read(texts)]
