from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprec.readers import netflix
from deeprec.readers.lines import Rating, judge
from deeprec.readers.prize_lines import read_prize_lines

Line = tuple[int, int, str]  # user, rating, day


def read(lines: Sequence[str | bytes]) -> list[Line | None]:
    """What each line says, None where it is not plain."""
    texts = [line.encode() if isinstance(line, str) else line for line in lines]
    data = b"".join(text + b"\n" for text in texts)
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


NUMBERS = st.tuples(*[st.integers(0, top) for top in (10**9, 10, 2100, 13, 32)])
PLAIN = NUMBERS.map(lambda of: b"%d,%d,%04d-%02d-%02d" % of)
BYTES = st.sampled_from([bytes([byte]) for byte in range(256) if byte != ord("\n")])


@st.composite
def lines_like_the_prizes(draw: st.DrawFn) -> bytes:
    """A line of the form, perhaps of no day there is, with up to two bytes changed or added."""
    line = draw(PLAIN)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(line)))
        line = line[:place] + draw(BYTES) + line[place + draw(st.integers(0, 1)) :]
    return line


def agrees(line: bytes, said: Line | None) -> bool:
    """Whether an exact look finds the same in a line, if it was taken for plain."""
    found = judge(line, netflix.COMBINED, None)
    if not said:
        return True
    user_id, rating, day = said
    moment = int(np.datetime64(day, "us").astype(np.int64))
    return found == Rating(user_id, None, rating, moment)


@given(st.lists(lines_like_the_prizes(), min_size=1, max_size=30))
def test_what_a_plain_line_says_is_what_an_exact_look_finds(lines: list[bytes]) -> None:
    assert all(agrees(line, said) for line, said in zip(lines, read(lines), strict=True))


@pytest.mark.parametrize("num_changed", [0, 1, 2])
def test_many_changed_lines_among_them_plain_and_other_ones(num_changed: int) -> None:
    draw = np.random.default_rng(num_changed)
    lines = []
    for user_id in draw.integers(1, 10**7, 20_000).tolist():
        line = bytearray(b"%d,%d,2005-%02d-%02d" % (user_id, user_id % 5 + 1, 2, user_id % 31))
        for place in draw.integers(0, len(line), num_changed).tolist():
            line[place] = draw.choice(list(b"0123456789,-:/ .\r\0\xff"))
        lines.append(bytes(line))
    said = read(lines)
    assert all(agrees(line, one) for line, one in zip(lines, said, strict=True))
    assert 1_000 < sum(one is not None for one in said) < 19_000


@given(st.lists(st.tuples(st.integers(0, 10**8 - 1), st.integers(0, 9), st.dates()), max_size=30))
def test_every_line_of_the_form_is_plain(lines: list[tuple[int, int, object]]) -> None:
    texts = [f"{user_id},{rating},{day}" for user_id, rating, day in lines]
    assert texts == [",".join(map(str, line or ())) for line in read(texts)]
