import gzip
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprec.errors import SourceError
from deeprec.readers import movielens, netflix
from deeprec.readers.chunks import LONGEST_LINE
from deeprec.readers.delimited import read_ratings
from deeprec.readers.layouts import DateKind, RatingsLayout
from deeprec.readers.lines import Rating, judge
from deeprec.readers.rejections import LONGEST_TEXT, Reason

TABLE = RatingsLayout(
    "table",
    ("user_id", None, "movie_id", "rating", None),
    ",",
    scale=None,
    names_line=True,
)
STAMPED = RatingsLayout(
    "table",
    ("user_id", "movie_id", "rating", "rated_at"),
    ",",
    scale=None,
    dates=DateKind.TIMESTAMP,
    names_line=True,
)


def read(
    texts: bytes | Sequence[bytes],
    layout: RatingsLayout,
    folder: Path,
    chunk_bytes: int = 2**20,
    suffix: str = ".txt",
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Rows and rejected rows, each in the order of file and line."""
    texts = [texts] if isinstance(texts, bytes) else texts
    files = {file_id: folder / f"{file_id}{suffix}" for file_id in range(len(texts))}
    for path, text in zip(files.values(), texts, strict=True):
        path.write_bytes(text)
    batches = list(read_ratings(files, layout, layout.scale, chunk_bytes))
    rows = pl.concat([batch.rows for batch in batches]).sort("file_id", "line_number")
    rejected = pl.concat([batch.rejected for batch in batches]).sort("file_id", "line_number")
    return rows.rows(), rejected.rows()


def reasons(text: bytes, layout: RatingsLayout, folder: Path) -> list[tuple[int, str]]:
    return [(line, reason) for _, line, _, reason in read(text, layout, folder)[1]]  # type: ignore[misc]  # rows are tuples of object


@pytest.mark.parametrize(
    "line",
    [
        b"%d,%d,2005-09-06\n",
        b"%d,%d,2005-09-06\r\n",
        b"%d,%d.0,2005-09-06\n",
        b"%d,%d,2005-9-6\n",
        b" %d,%d,2005-09-06\n",
        b'"%d",%d,2005-09-06\n',
    ],
)
@pytest.mark.parametrize("num_plain", [0, 300, 40_000])
def test_lines_of_every_form_say_the_same(line: bytes, num_plain: int, tmp_path: Path) -> None:
    users = [*range(1, 301), *range(123_456_789, 123_456_889)]
    text = b"".join(line % (user, user % 5 + 1) for user in users)
    plain = b"".join(b"%d,4,2005-09-07\n" % user for user in range(1, num_plain + 1))
    rows, rejected = read(b"7:\n" + text + b"9:\n" + plain, netflix.COMBINED, tmp_path, 2**14)
    assert [(user, 7, user % 5 + 1) for user in users] == [row[:3] for row in rows[: len(users)]]
    assert {"2005-09-06 00:00:00"} == {str(row[3]) for row in rows[: len(users)]}
    assert [(user, 9) for user in range(1, num_plain + 1)] == [
        row[:2] for row in rows[len(users) :]
    ]
    assert [] == rejected


def test_a_header_names_the_movie_of_the_lines_after_it(tmp_path: Path) -> None:
    rows, rejected = read(
        b"7:\n1,3,2005-09-06\n2,4,2005-09-07\n9:\n1,5,2005-09-08\n", netflix.COMBINED, tmp_path
    )
    assert [(1, 7, 3.0), (2, 7, 4.0), (1, 9, 5.0)] == [row[:3] for row in rows]
    assert [2, 3, 5] == [row[5] for row in rows]
    assert [] == rejected


def test_a_header_does_not_reach_into_the_next_file(tmp_path: Path) -> None:
    rows, rejected = read([b"7:\n1,3,2005-09-06\n", b"2,4,2005-09-07\n"], netflix.FOLDER, tmp_path)
    assert [(1, 7)] == [row[:2] for row in rows]
    assert [(1, 1, "2,4,2005-09-07", "before_header")] == rejected


@pytest.mark.parametrize("broken", [b"x8:", b"8", b"\xff8:", b":", b"8;", b"99999999999999999999:"])
def test_rows_after_a_broken_header_are_of_no_movie(broken: bytes, tmp_path: Path) -> None:
    text = b"7:\n1,3,2005-09-06\n" + broken + b"\n2,3,2005-09-06\n9:\n3,3,2005-09-06\n"
    rows, rejected = read(text, netflix.COMBINED, tmp_path)
    assert [(1, 7), (3, 9)] == [row[:2] for row in rows]
    assert [3, 4] == [row[1] for row in rejected]
    assert "before_header" == rejected[1][3]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x\t2\t3\t881250949", "not_a_number"),
        (b"1\t2\tnan\t881250949", "not_a_number"),
        (b"1\t2\tinf\t881250949", "not_a_number"),
        (b"1\t2\t0x3\t881250949", "not_a_number"),
        (b"1\t99999999999999999999\t3\t881250949", "not_a_number"),
        (b"1\t2.5\t3\t881250949", "not_a_number"),
        (b"\x001\t2\t3\t881250949", "not_a_number"),
        (b"1\t\t3\t881250949", "missing_value"),
        (b"1\t2\t6\t881250949", "off_scale"),
        (b"1\t2\t3.5\t881250949", "off_scale"),
        (b"1\t2\t-1\t881250949", "off_scale"),
        (b"1\t2\t1e300\t881250949", "off_scale"),
        (b"1\t2\t3\tyesterday", "unknown_date"),
        (b"1\t2\t3\t", "unknown_date"),
        (b"1\t2\t3\t881250949000", "unknown_date"),
        (b"1\t2\t3\t-5", "unknown_date"),
        (b"1\t2\t3", "wrong_column_count"),
        (b"1\t2\t3\t881250949\t", "wrong_column_count"),
        (b"1\t2\t3\t881250949\t\tx", "wrong_column_count"),
        (b"1,2,3,881250949", "wrong_column_count"),
        (b"1\t2\t\xff\t881250949", "undecodable"),
    ],
)
def test_a_line_that_cannot_be_used_says_why(line: bytes, reason: str, tmp_path: Path) -> None:
    text = b"5\t6\t4\t881250949\n" + line + b"\n7\t8\t4\t881250949\n"
    rows, rejected = read(text, movielens.RATINGS_100K, tmp_path)
    assert [1, 3] == [row[5] for row in rows]
    assert [(2, reason)] == [(row[1], row[3]) for row in rejected]


@pytest.mark.parametrize(
    "line",
    [
        b"1\t2\t3\t881250949\r",
        b' 1 \t"2"\t3.0\t 881250949',
        b"+1\t02\t3e0\t881250949",
        b"1.0\t2\t3.\t881250949.0",
        b" " + b"0" * 5000 + b"1\t+" + b"0" * 30 + b"2\t3\t881250949",
    ],
)
def test_a_line_that_plainly_says_it_is_read(line: bytes, tmp_path: Path) -> None:
    rows, rejected = read(line + b"\n", movielens.RATINGS_100K, tmp_path)
    assert [] == rejected
    assert [(1, 2, 3.0, 881250949)] == [
        (*row[:3], int(row[3].timestamp()))
        for row in pl.DataFrame(rows, orient="row")
        .with_columns(pl.col("column_3").dt.replace_time_zone("UTC"))
        .rows()
    ]


@pytest.mark.parametrize(
    "day", ["06-09-2005", "2005/09/06", "2005-02-30", "05-09-06", "2005-13-01", "x", "0000-01-01"]
)
def test_only_days_of_the_calendar_are_dates(day: str, tmp_path: Path) -> None:
    text = f"7:\n1,3,2005-09-06\n2,3,{day}\n".encode()
    assert [(3, "unknown_date")] == reasons(text, netflix.COMBINED, tmp_path)


def test_blank_lines_and_a_missing_last_line_end_are_no_rows(tmp_path: Path) -> None:
    rows, rejected = read(
        b"\n \r\n1::2::3::881250949\n\n\n4::5::1::881250949", movielens.RATINGS_1M, tmp_path
    )
    assert ([3, 6], []) == ([row[5] for row in rows], rejected)


@pytest.mark.parametrize(
    "line",
    [b"1:x:2::3::4", b"1:2:3:4", b"1::2::3:4", b"1\x1f2::3::4", b"1::2::3::4::5", b"1::::2::3"],
)
def test_a_separator_of_two_marks_is_both_of_them(line: bytes, tmp_path: Path) -> None:
    rows, rejected = read(b"1::2::3::4\n" + line + b"\n", movielens.RATINGS_1M, tmp_path)
    assert (1, 1) == (len(rows), len(rejected))


def test_a_quoted_field_may_hold_separators(tmp_path: Path) -> None:
    text = (
        b'user,title,movie,rating,note\n1,"Up, Down",2,3.5,\n"4",Plain,"5","1",""\n6,\xff,7,2,x\n'
    )
    rows, rejected = read(text, TABLE, tmp_path)
    assert [(1, 2, 3.5), (4, 5, 1.0), (6, 7, 2.0)] == [row[:3] for row in rows]
    assert [] == rejected


@pytest.mark.parametrize("line", [b'1,"Up, 2,3.5,', b'1,",2,3.5,', b'1,"Up, 2,3.5,"'])
def test_a_quote_that_ends_in_another_field_makes_them_one(line: bytes, tmp_path: Path) -> None:
    text = b'user,title,movie,rating,note\n"1","Up",2,3.5,""\n1,U"p",2,3.5,\n' + line + b"\n"
    rows, rejected = read(text, TABLE, tmp_path)
    assert ([2, 3], [(4, "wrong_column_count")]) == (
        [row[5] for row in rows],
        [(row[1], row[3]) for row in rejected],
    )


def test_timestamps_are_kept_as_utc(tmp_path: Path) -> None:
    text = (
        b"u,m,r,t\n1,1,1,2005-09-06 12:00:00\n1,2,1,2005-09-06T12:00:00Z\n"
        b"1,3,1,2005-09-06T14:00:00+02:00\n1,4,1,2005-09-06 12:00:00.000\n"
    )
    rows, rejected = read(text, STAMPED, tmp_path)
    assert [] == rejected
    assert {"2005-09-06 12:00:00"} == {str(row[3]) for row in rows}


def test_rejected_text_is_printable_and_short(tmp_path: Path) -> None:
    _, rejected = read(b"\xff\x00" + b"y" * 5000 + b"\n", movielens.RATINGS_100K, tmp_path)
    assert "\\xff\\x00yyy" == str(rejected[0][2])[:11]
    assert LONGEST_TEXT >= len(str(rejected[0][2]))


def test_a_line_without_an_end_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"0\.txt:2: a line of more than"):
        read(b"1\t2\t3\t4\n" + b"y" * (2 * LONGEST_LINE), movielens.RATINGS_100K, tmp_path, 1024)


def test_packed_files_read_the_same(tmp_path: Path) -> None:
    text = b"7:\n1,3,2005-09-06\n2,9,2005-09-06\n"
    plain = read(text, netflix.COMBINED, tmp_path)
    packed = read(gzip.compress(text), netflix.COMBINED, tmp_path, suffix=".gz")
    assert plain == packed


@pytest.mark.parametrize("cut", [5, -9, -1])
def test_a_cut_packed_file_is_refused(cut: int, tmp_path: Path) -> None:
    packed = gzip.compress(b"7:\n1,3,2005-09-06\n" * 50)
    with pytest.raises(SourceError, match="gzip"):
        read(packed[:cut], netflix.COMBINED, tmp_path, suffix=".gz")


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    rows, rejected = read(b"\xef\xbb\xbf7:\n1,3,2005-09-06\n", netflix.COMBINED, tmp_path)
    assert (1, []) == (len(rows), rejected)


@pytest.mark.parametrize("chunk_bytes", [1, 2**20])
def test_a_byte_order_mark_elsewhere_is_part_of_its_line(chunk_bytes: int, tmp_path: Path) -> None:
    good = b"1\t2\t3\t4\n"
    rows, rejected = read(
        good + b"\xef\xbb\xbf" + good, movielens.RATINGS_100K, tmp_path, chunk_bytes
    )
    assert ([1], [2]) == ([row[5] for row in rows], [row[1] for row in rejected])


def test_a_long_line_of_digits_is_refused_at_once(tmp_path: Path) -> None:
    line = b"1\t2\t" + b"9" * 2**20 + b"x\t4\n"  # hours, were each split of the digits tried
    assert [(1, "not_a_number")] == reasons(line, movielens.RATINGS_100K, tmp_path)


@pytest.mark.parametrize(("rating", "is_held"), [(b"3.4028235e38", True), (b"3.4028236e38", False)])
@pytest.mark.parametrize("blank", [b"", b" "], ids=["fast", "exact"])
def test_the_largest_rating_is_what_float32_holds(
    rating: bytes, is_held: bool, blank: bytes, tmp_path: Path
) -> None:
    text = b"user,title,movie,rating,note\n1,x,2," + blank + rating + b",\n"
    rows, rejected = read(text, TABLE, tmp_path)
    assert (int(is_held), int(not is_held)) == (len(rows), len(rejected))


def test_a_rating_far_off_the_steps_is_off_the_scale(tmp_path: Path) -> None:
    text = b"userId,movieId,rating,timestamp\n1,2,3.4028235e38,4\n"
    assert [(2, "off_scale")] == reasons(text, movielens.RATINGS_CSV, tmp_path)


QUOTED = st.text('"1 ', max_size=6)
FIELDS = st.one_of(st.sampled_from(["1", "2", '"3"', '"4.5"', '"2005-09-06 12:00:00"']), QUOTED)
LINES = st.lists(FIELDS, min_size=3, max_size=6).map(",".join)


@given(
    lines=st.lists(LINES),
    layout=st.sampled_from([TABLE, STAMPED, movielens.RATINGS_CSV]),
    is_crlf=st.booleans(),
)
def test_quotes_mean_what_they_do_to_an_exact_look(
    lines: list[str], layout: RatingsLayout, is_crlf: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    end = "\r\n" if is_crlf else "\n"
    text = end.join(["names", *lines, ""]).encode()
    rows, rejected = read(text, layout, tmp_path_factory.mktemp("quoted"))
    said = {
        number: judge(line.encode(), layout, layout.scale) for number, line in enumerate(lines, 2)
    }
    assert {
        number: (found.user_id, found.movie_id, found.rating)
        for number, found in said.items()
        if isinstance(found, Rating)
    } == {row[5]: row[:3] for row in rows}
    assert {number: found for number, found in said.items() if isinstance(found, Reason)} == {
        row[1]: row[3] for row in rejected
    }


PIECES = st.sampled_from(
    [b"1", b"2", b"77", b"5", b"0", b"3.5", b"x", b"nan", b"", b" ", b'"', b"\xff", b"\0", b"\r",
     b"2005-09-06", b"2005-9-6", b"881250949", b"+", b"-", b"9" * 25, b"1e5", b"\x1f"]
)  # fmt: skip
MARKS = st.sampled_from([b",", b"\t", b"::", b":", b"\n", b"\n", b"\n"])
TEXTS = st.lists(st.tuples(PIECES, MARKS), max_size=60).map(
    lambda pairs: b"".join(piece + mark for piece, mark in pairs)
)
LAYOUTS = st.sampled_from(
    [
        netflix.COMBINED,
        movielens.RATINGS_100K,
        movielens.RATINGS_1M,
        movielens.RATINGS_CSV,
        TABLE,
        STAMPED,
    ]
)


@given(texts=st.lists(TEXTS, min_size=1, max_size=3), layout=LAYOUTS)
def test_any_bytes_are_read_the_same_in_any_chunks(
    texts: list[bytes], layout: RatingsLayout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows, rejected = read(texts, layout, folder)
    assert (rows, rejected) == read(texts, layout, folder, chunk_bytes=1)
    places = [row[4:] for row in rows] + [row[:2] for row in rejected]
    assert len(places) == len(set(places))
    for file_id, text in enumerate(texts):
        lines = text.split(b"\n")
        blank = [
            number for number, line in enumerate(lines, 1) if not line.decode("latin-1").strip()
        ]
        accounted = {line for owner, line in places if owner == file_id}
        headers = set(range(1, len(lines) + 1)) - set(blank) - accounted
        if layout.names_line:
            headers.discard(1)
        if not layout.has_movie_headers:
            assert set() == headers
        else:
            assert all(b":" in lines[number - 1] for number in headers)
