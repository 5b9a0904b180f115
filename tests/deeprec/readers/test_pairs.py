import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprec.errors import SourceError
from deeprec.readers.pairs import read_pairs

PROBE = b"1:\n30\n7\n10:\n30\n"


def listed(path: Path) -> list[tuple[int, int, int]]:
    """(movie, user, line) in the order of the file."""
    names = ("movie_id", "user_id", "line_number")
    columns = read_pairs(path).pairs.to_pydict()
    return list(zip(*(columns[name] for name in names), strict=True))


def write(folder: Path, content: bytes, name: str = "probe.txt") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_each_user_is_under_the_movie_before_it(tmp_path: Path) -> None:
    path = write(tmp_path, PROBE)
    assert [(1, 30, 2), (1, 7, 3), (10, 30, 5)] == listed(path)
    assert hashlib.sha256(PROBE).hexdigest() == read_pairs(path).sha256


@pytest.mark.parametrize(
    "content",
    [
        PROBE.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + PROBE,
        PROBE.removesuffix(b"\n"),
        b" 1 :\n 30\n7 \n10:\n30\n\n \n",
    ],
    ids=["windows", "byte order mark", "no last line end", "blanks"],
)
def test_other_writers_lists_say_the_same(tmp_path: Path, content: bytes) -> None:
    assert [(1, 30, 2), (1, 7, 3), (10, 30, 5)] == listed(write(tmp_path, content))


def test_a_list_may_be_packed(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(PROBE), "probe.txt.gz")
    assert [(1, 30, 2), (1, 7, 3), (10, 30, 5)] == listed(path)


def test_a_pair_listed_twice_is_there_twice(tmp_path: Path) -> None:
    assert [(1, 30, 2), (1, 30, 3)] == listed(write(tmp_path, b"1:\n30\n30\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"30\n1:\n30\n", ":1: before_header: 30"),
        (b"1:\n30\nthirty\n", ":3: not_a_number: thirty"),
        (b"1:\n30,2005-12-01\n", ":2: not_a_number: 30,2005-12-01"),
        (b"1:\n30.5\n", ":2: not_a_number: 30.5"),
        (b"1:\n99999999999999999999\n", ":2: not_a_number: 9"),
        (b"1:\n3\xff0\n", ":2: undecodable: 3\\xff0"),
        (b"1:\n30\none:\n30\n", ":3: not_a_number: one:"),
        (b"1:\n30\n2\xff:\n30\n", ":3: undecodable: 2\\xff:"),
        (b"1:\n30\none:\n30\n", ":4: before_header: 30"),
        (b"a\nb\nc\nd\n", "4 of its lines cannot be used"),
        (b"", "lists no pair"),
        (b"1:\n2:\n", "lists no pair"),
    ],
)
def test_a_list_that_cannot_be_used_whole_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(SourceError) as error:
        read_pairs(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "`MOVIE_ID:` lines" in str(error.value)


def test_no_more_examples_are_shown_than_help(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        read_pairs(write(tmp_path, b"x\n" * 1000))
    assert 4 == len(str(error.value).splitlines())


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.txt: cannot be read: No such file"):
        read_pairs(tmp_path / "absent.txt")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 10**18 - 1), st.lists(st.integers(-(2**63), 2**63 - 1)))))
def test_what_is_listed_is_found(
    tmp_path_factory: pytest.TempPathFactory, movies: list[tuple[int, list[int]]]
) -> None:
    lines = [line for movie, users in movies for line in (f"{movie}:", *map(str, users))]
    expected = [(movie, user) for movie, users in movies for user in users]
    path = write(tmp_path_factory.mktemp("list"), "\n".join(lines).encode())
    if expected:
        assert expected == [pair[:2] for pair in listed(path)]
    else:
        with pytest.raises(SourceError, match="lists no pair"):
            read_pairs(path)
