"""Files that nobody meant to write: each is refused by name, or every line of it is accounted for.

`DEEPREC_FAULTS=long` tries thousands of files a layout; `--hypothesis-show-statistics` then tells
how many were taken in and how many refused.
"""

import gzip
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import event, given, reject, settings
from hypothesis import strategies as st

from deeprec.config.ingestion import IngestConfig
from deeprec.config.loading import load_config
from deeprec.errors import DeeprecError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.readers import read_files
from deeprec.readers.chunks import FileDigest
from deeprec.readers.detection import find_files
from deeprec.readers.layouts import (
    Layout,
    MoviesLayout,
    ParquetLayout,
    RatingsLayout,
    UnknownLayout,
)
from deeprec.readers.lines import Rating, judge
from deeprec.readers.rejections import Reason, printable

FAULTS = settings.get_profile("faults")
FEWER = settings(FAULTS, max_examples=max(FAULTS.max_examples // 10, 5))

IDS = (b"1", b"2", b"7", b"2649429", b"0", b"-1", b"9223372036854775807")
STARS = (b"1", b"3", b"5", b"4.0", b"3.5")
DAYS = (b"2005-09-06", b"1999-12-31", b"2004-02-29", b"0001-01-01", b"9999-12-31")
SECONDS = (b"881250949", b"978300760", b"0", b"253402300799")
STAMPS = (b"2005-09-06 12:00:00", b"2005-09-06T12:00:00Z", b"2004-02-29T00:00:00")
WORDS = (b"Heat (1995)", b"Caf\xe9", "Café".encode(), b'"Up, Down (2009)"', b"M")
YEARS = (b"1995", b"NULL", b"2005")
ODD = (
    *[b"", b" ", b"x", b"-", b"+", b".", b"nan", b"NaN", b"inf", b"-Infinity", b"null"],
    *[b"1e5", b"1e308", b"1e999", b"1e-46", b"3.4028235e38", b"-3.4028235e38", b"3.4028236e38"],
    *[b"99999999999999999999", b"9223372036854775808", b"-9223372036854775808", b"-5", b"+3"],
    *[b"03", b"3.", b".5", b"0x3", b"1_0", b"1,5", b"3.0000001", "٣".encode(), b"true"],
    *[b'"', b'"3"', b'"3', b'""', b'"a,b"', b"'3'", b"\0", b"3\0", b"\xff", b"\xc3", b"\x1f"],
    *[b"\x1c", b"\x0b", b"\x0c", b"\x1a", b"\r", b"\x85", "\u2028\ufeff".encode(), b"8:", b":"],
    *[b"2005-02-30", b"0000-01-01", b"10000-01-01", b"2005-9-6", b"06/09/2005", b"20050906"],
    *[b"2005-09-06T24:00:00", b"2005-W36-2", b"0001-01-01T00:00:00+14:00", b"+2005-09-06"],
    *[b"9999-12-31T23:59:59-12:00", b"2005-09-06T12:00:00.123456789", b"2005-09-06T12:00:60"],
    *[b"253402300800", b"-62135596800", b"881250949000", b"9" * 400, b"y" * 5000],
)
NAMES = {
    "user_id": [b"user_id", b"userId", b'"user"', b"Customer_ID"],
    "movie_id": [b"movie_id", b"movieId", b'"item"'],
    "rating": [b"rating", b"Rating", b"stars"],
    "rated_at": [b"date", b"timestamp", b"time"],
    "other": [b"note", b"rating", b"", b"date", b"\xff", b"user_id"],
}
VALUES = {"user_id": IDS, "movie_id": IDS, "rating": STARS, "other": WORDS + ODD}
TOKENS = st.binary(min_size=1, max_size=4) | st.sampled_from(ODD)
LONG_RUNS = st.sampled_from(
    [b"9" * 2**17, b'"' * 2**18, b"," * 2**12, b" " * 2**17, b"\0" * 2**12, b"1" * 2**21]
)
CHUNKS = st.sampled_from([2**26, 2**26, 1024])
POSITIONS = st.integers(0, 2**20)


@dataclass(frozen=True)
class Kind:
    """How files of one layout are called and written."""

    file_name: str
    fields: tuple[tuple[bytes, ...], ...]  # what each may say
    separator: bytes = b","
    has_headers: bool = False  # lines `N:`
    first: bytes = b""  # its first line, mostly


KINDS = {
    "netflix-folder": Kind("mv_000000{}.txt", (IDS, STARS, DAYS), first=b"8:", has_headers=True),
    "netflix-combined": Kind(
        "combined_data_{}.txt", (IDS, STARS, DAYS), first=b"8:", has_headers=True
    ),
    "netflix-titles": Kind("movie_titles.txt", (IDS, YEARS, WORDS)),
    "ml-100k": Kind("u.data", (IDS, IDS, STARS, SECONDS), b"\t"),
    "ml-100k-items": Kind("u.item", (IDS, WORDS, *[YEARS] * 22), b"|"),
    "ml-100k-users": Kind("u.user", (IDS, IDS, WORDS, WORDS, IDS), b"|"),
    "ml-1m": Kind("ratings.dat", (IDS, IDS, STARS, SECONDS), b"::"),
    "ml-1m-movies": Kind("movies.dat", (IDS, WORDS, WORDS), b"::"),
    "ml-1m-users": Kind("users.dat", (IDS, WORDS, IDS, IDS, IDS), b"::"),
    "ml-csv": Kind(
        "ratings.csv", (IDS, IDS, STARS, SECONDS), first=b"userId,movieId,rating,timestamp"
    ),
    "ml-csv-movies": Kind("movies.csv", (IDS, WORDS, WORDS), first=b"movieId,title,genres"),
}
PARQUET = Kind("ratings_{}.parquet", ())
FILES = "select path, rows_read, rows_kept, rows_replaced, rows_rejected from source_files"
PLACES = """
with places as (
    select file_id, line_number from ratings
    union all select file_id, line_number from superseded_ratings
    union all select file_id, line_number from movie_rows
    union all select file_id, line_number from user_rows
    union all select file_id, line_number from rejected_rows
)
select path, line_number from places left join source_files using (file_id) order by all
"""
LENIENT = load_config(None, ["ingest.max_rejected_fraction=1", "warehouse.threads=1"])
STRICT = load_config(None, ["warehouse.threads=1"])


@st.composite
def tables(draw: st.DrawFn) -> Kind:
    """A table of its own names and order of columns, some of them twice or of no use."""
    needed = ["user_id", "movie_id", "rating"]
    others = draw(st.lists(st.sampled_from(["rated_at", "other", "rating"]), max_size=3))
    columns = draw(st.permutations(needed + others))
    separator = draw(st.sampled_from([b",", b";", b"\t", b"|"]))
    dates = draw(st.sampled_from([DAYS, SECONDS, STAMPS]))
    return Kind(
        "ratings_{}.csv",
        tuple(VALUES.get(column, dates) for column in columns),
        separator,
        first=separator.join(draw(st.sampled_from(NAMES[column])) for column in columns),
    )


@st.composite
def lines(draw: st.DrawFn, kind: Kind) -> bytes:
    """A line as it should be, or one with something odd about it."""
    form = draw(st.integers(0, 15))
    if kind.has_headers and form < 3:
        return draw(st.sampled_from([b"8:", b"30:", b"8:", b" 9 :", b"8", b"x8:", b"\xff:"]))
    if form == 15:
        return draw(st.sampled_from([b"", b" ", b"\t", b"\x1c"]) | st.binary(max_size=40))
    choice = draw(
        st.integers(0, 2**64 - 1)
    )  # one draw a line: a draw a field takes many times as long
    fields = []
    for values in kind.fields:
        choice, place = divmod(choice, len(values))
        fields.append(values[place])
    if form > 12:
        fields[draw(st.integers(0, len(fields) - 1))] = draw(st.sampled_from(ODD))
    if form == 14:
        del fields[draw(st.integers(0, len(fields))) :]
    return kind.separator.join(fields)


@st.composite
def texts(draw: st.DrawFn, kind: Kind) -> bytes:
    """A file of such lines, then perhaps damaged, in another encoding, or both."""
    written = draw(st.lists(lines(kind), max_size=20))
    if kind.first and draw(st.integers(0, 15)):
        written.insert(0, kind.first)
    end = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n"]))
    text = end.join(written) + draw(st.sampled_from([b"", end]))
    text = damaged(draw, text * draw(st.sampled_from([1] * 31 + [100])))
    encoding = draw(st.sampled_from([""] * 12 + ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"]))
    return text.decode("latin-1").encode(encoding) if encoding else text


def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some flipped, left out, put in, repeated or cut off; often as they were."""
    for _ in range(max(draw(st.integers(-3, 3)), 0)):
        place = draw(POSITIONS) % (len(content) + 1)
        length = draw(st.integers(1, 8))
        head, piece, tail = content[:place], content[place : place + length], content[place:]
        match draw(st.sampled_from(["flip", "delete", "insert", "repeat", "cut", "long"])):
            case "flip":
                mask = draw(st.integers(1, 255))
                content = head + bytes(byte ^ mask for byte in piece[:1]) + tail[1:]
            case "delete":
                content = head + tail[length:]
            case "insert":
                content = head + draw(TOKENS) + tail
            case "repeat":
                content = head + piece * draw(st.integers(2, 50)) + tail[length:]
            case "cut":
                content = head
            case "long":
                content = head + draw(LONG_RUNS) + tail
    return content


@st.composite
def packed(draw: st.DrawFn, kind: Kind) -> bytes:
    """A text file packed with gzip, in one piece or two, and perhaps damaged since."""
    pieces = [gzip.compress(draw(texts(kind)), mtime=0) for _ in range(draw(st.integers(1, 2)))]
    return damaged(draw, b"".join(pieces))


FIXED_WIDTH = [
    *[pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()],
    *[pa.date32(), pa.date64(), pa.time64("us"), pa.duration("ms"), pa.float16()],
    *[pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")],
    *[pa.timestamp("us", zone) for zone in ("UTC", "Asia/Tokyo", "+02:00", "Nowhere/Land")],
    *[pa.decimal128(12, 2), pa.decimal256(40, 1), pa.binary(4)],
]
LISTED = [
    *[pa.null(), pa.bool_(), pa.list_(pa.int64()), pa.struct({"user_id": pa.int64()})],
    pa.dictionary(pa.int32(), pa.string()),
]
TEXTUAL = [pa.string(), pa.large_string(), pa.binary()]
USUAL = {
    "user_id": [pa.int64(), pa.int32(), pa.string()],
    "movie_id": [pa.int64(), pa.string()],
    "rating": [pa.float32(), pa.float64(), pa.int8(), pa.string()],
    "rated_at": [pa.timestamp("us"), pa.int64(), pa.string(), pa.date32()],
}
COUNTS = st.one_of(
    st.integers(1, 5),
    st.sampled_from([0, -1, 12_345, 1_125_000_000, 2**31 - 1, 2**40, 2**53, 2**62, 2**63 - 1]),
    st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def arrays(draw: st.DrawFn, dtype: pa.DataType, num_rows: int) -> pa.Array:
    """A column of any values that its type can hold, some of them missing."""

    def drawn(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=num_rows, max_size=num_rows))

    is_there = pa.array(drawn(st.sampled_from([True] * 7 + [False])), pa.bool_()).buffers()[1]
    if dtype in FIXED_WIDTH:
        width = dtype.bit_width // 8
        if pa.types.is_floating(dtype) and draw(st.booleans()):
            return pa.array(drawn(st.sampled_from(STARS).map(float)), pa.float64()).cast(dtype)
        held = b"".join(drawn(COUNTS.map(lambda n: n.to_bytes(32, "little", signed=True)[:width])))
        return pa.Array.from_buffers(dtype, num_rows, [is_there, pa.py_buffer(held)])
    if dtype in TEXTUAL:  # with bytes that are no UTF-8 too, which nobody checks
        words = pa.array(
            drawn(st.sampled_from(IDS + STARS + DAYS + STAMPS + ODD)), pa.large_binary()
        )
        offsets, data = words.buffers()[1:]
        if dtype == pa.large_string():
            return pa.Array.from_buffers(dtype, num_rows, [is_there, offsets, data])
        return words.cast(pa.binary()).view(dtype)
    values = {
        pa.null(): st.none(),
        pa.bool_(): st.booleans(),
        LISTED[2]: st.lists(st.integers(0, 9)),
    }
    values |= {
        LISTED[3]: st.none() | st.just({"user_id": 1}),
        LISTED[4]: st.sampled_from(["1", "3.5", "x"]),
    }
    return pa.array(drawn(values[dtype]), dtype)


@st.composite
def parquet_tables(draw: st.DrawFn) -> bytes:
    """A Parquet table of usual columns and odd ones, then perhaps damaged."""
    num_rows = draw(st.integers(0, 8))
    needed = ["user_id", "movie_id", "rating"]
    names, made = [], []
    others = draw(st.lists(st.sampled_from(["rated_at", "other", "rating"]), max_size=2))
    for column in needed + others:
        usual = USUAL.get(column, []) if draw(st.integers(0, 7)) else []
        names.append(draw(st.sampled_from(NAMES[column])).decode("latin-1"))
        dtype = draw(st.sampled_from(usual or FIXED_WIDTH + LISTED + TEXTUAL))
        made.append(draw(arrays(dtype, num_rows)))
    written = io.BytesIO()
    try:
        table = pa.Table.from_arrays(made, names)
        pq.write_table(table, written, row_group_size=draw(st.sampled_from([3, 1000])))
    except pa.ArrowException:  # a moment that Parquet cannot say
        reject()
    content = written.getvalue()
    return damaged(draw, content) if draw(st.booleans()) else content


@contextmanager
def put(file_name: str, *contents: bytes) -> Iterator[list[Path]]:
    """Files in a folder of their own, which is removed afterwards."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder).resolve() / file_name.format(n) for n in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        yield paths


def lines_of_data(path: Path, layout: Layout) -> dict[int, bytes]:
    """The lines that should each become a row, by their number, found without our readers."""
    if isinstance(layout, ParquetLayout):
        return dict.fromkeys(range(1, pq.read_metadata(path).num_rows + 1), b"")
    text = path.read_bytes()
    if path.suffix == ".gz":
        text = gzip.decompress(text)
    numbered = dict(enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1))
    assert not isinstance(layout, UnknownLayout)
    if layout.names_line and is_names(numbered[1], layout):
        del numbered[1]
    has_headers = isinstance(layout, RatingsLayout) and layout.has_movie_headers
    return {
        number: line
        for number, line in numbered.items()
        if line.strip() and not (has_headers and is_header(line))
    }


def is_header(line: bytes) -> bool:
    movie_id, colon, rest = line.decode("utf-8", errors="replace").partition(":")
    movie_id = movie_id.strip()
    is_number = movie_id.isascii() and movie_id.isdigit() and len(movie_id) <= 18
    return bool(is_number and colon and not rest.strip())


def is_names(line: bytes, layout: Layout) -> bool:
    """Whether the first line has names only; another of `movies.csv` is taken as it is."""
    assert not isinstance(layout, RatingsLayout) or b"\r" not in line.rstrip(b"\r")
    return not isinstance(layout, MoviesLayout) or (
        layout.read_line(line.decode("latin-1")) is Reason.NOT_A_NUMBER
    )


Found = tuple[Layout, pl.DataFrame, pl.DataFrame]


def read(path: Path, chunk_bytes: int) -> Found:
    """The file's layout, its rows and its rejected rows, in the order of its lines."""
    (file,) = find_files(str(path), IngestConfig())
    batches = list(read_files({5: file}, getattr(file.layout, "scale", None), chunk_bytes))
    assert [FileDigest(5, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())] == [
        digest for batch in batches for digest in batch.ended
    ]
    rows = pl.concat([batch.rows for batch in batches])
    rejected = pl.concat([batch.rejected for batch in batches])
    assert {5} >= {*rows["file_id"], *rejected["file_id"]}
    return file.layout, rows.sort("line_number"), rejected.sort("line_number")


def try_to_read(path: Path, chunk_bytes: int) -> Found | None:
    """The same, or None for a file that is refused by name."""
    try:
        found = read(path, chunk_bytes)
    except DeeprecError as error:
        check_refusal(error, path)
        return None
    event("accepted" if found[1].height else "accepted, no row of it usable")
    return found


def check_refusal(error: DeeprecError, path: Path) -> None:
    event("refused")
    assert str(path) in str(error)


def check_lines(path: Path, chunk_bytes: int) -> None:
    """Each line is a row or a rejected one, and a rating what an exact reading of it alone says."""
    found = try_to_read(path, chunk_bytes)
    if not found:
        return
    layout, rows, rejected = found
    expected = lines_of_data(path, layout)
    assert sorted(expected) == sorted([*rows["line_number"], *rejected["line_number"]])
    for number, text in rejected.select("line_number", "text").iter_rows():
        assert isinstance(layout, ParquetLayout) or printable(expected[number]) == text
    if isinstance(layout, RatingsLayout):
        named = rows.with_columns(pl.col("rated_at").cast(pl.Int64)).iter_rows(named=True)
        for row in named:
            said = judge(expected[row["line_number"]], layout, layout.scale)
            assert isinstance(said, Rating)
            assert (row["user_id"], row["rated_at"]) == (said.user_id, said.moment)
            assert np.float32(row["rating"]) == np.float32(said.rating)
            assert said.movie_id in {None, row["movie_id"]}


@pytest.mark.parametrize("name", KINDS)
@FAULTS
@given(data=st.data(), chunk_bytes=CHUNKS)
def test_every_line_of_a_text_is_read_or_rejected(
    name: str, data: st.DataObject, chunk_bytes: int
) -> None:
    kind = KINDS[name]
    with put(kind.file_name, data.draw(texts(kind))) as (path,):
        check_lines(path, chunk_bytes)


@FAULTS
@given(data=st.data(), kind=tables(), chunk_bytes=CHUNKS)
def test_every_line_of_a_table_is_read_or_rejected(
    data: st.DataObject, kind: Kind, chunk_bytes: int
) -> None:
    with put(kind.file_name, data.draw(texts(kind))) as (path,):
        check_lines(path, chunk_bytes)


@FAULTS
@given(data=st.data(), kind=st.sampled_from([*KINDS.values()]) | tables(), chunk_bytes=CHUNKS)
def test_every_line_of_a_packed_text_is_read_or_rejected(
    data: st.DataObject, kind: Kind, chunk_bytes: int
) -> None:
    with put(f"{kind.file_name}.gz", data.draw(packed(kind))) as (path,):
        check_lines(path, chunk_bytes)


@FAULTS
@given(data=st.data(), kind=st.sampled_from([*KINDS.values()]) | tables())
def test_every_line_of_a_file_of_no_known_name_is_read_or_rejected(
    data: st.DataObject, kind: Kind
) -> None:
    with put("some_ratings", data.draw(texts(kind))) as (path,):
        check_lines(path, 2**26)


@FAULTS
@given(content=parquet_tables())
def test_every_row_of_a_parquet_table_is_read_or_rejected(content: bytes) -> None:
    with put("ratings.parquet", content) as (path,):
        check_lines(path, 2**26)


@st.composite
def sources(draw: st.DrawFn, name: str) -> tuple[Kind, list[bytes]]:
    """Up to three files of one layout."""
    kind = draw(tables()) if name == "table" else KINDS.get(name, PARQUET)
    made = parquet_tables() if kind is PARQUET else texts(kind)
    num_files = 3 if "{}" in kind.file_name else 1
    return kind, draw(st.lists(made, min_size=1, max_size=num_files))


@pytest.mark.parametrize("name", [*KINDS, "table", "parquet"])
@FEWER
@given(data=st.data(), lenient=st.sampled_from([True, True, False]))
def test_a_source_is_taken_in_whole_or_not_at_all(
    name: str, data: st.DataObject, lenient: bool
) -> None:
    kind, contents = data.draw(sources(name))
    with put(kind.file_name, *contents) as paths, TemporaryDirectory() as folder:
        home, source = Home(Path(folder)), str(paths[0].parent)
        try:
            report = ingest(home, [source], LENIENT if lenient else STRICT)
        except DeeprecError as error:
            check_refusal(error, paths[0].parent)
            assert [] == stored(home, FILES) == stored(home, PLACES)
            return
        event("accepted")
        expected = {
            str(file.path): lines_of_data(file.path, file.layout)
            for file in find_files(source, IngestConfig())
        }
        assert {str(path) for path in paths} == {*expected}
        places = [(path, line) for path, lines in expected.items() for line in lines]
        assert sorted(places) == stored(home, PLACES)
        files = stored(home, FILES)
        assert {path: len(lines) for path, lines in expected.items()} == {
            path: num_read for path, num_read, *_ in files
        }
        assert all(num_read == sum(rest) for _, num_read, *rest in files)
        counts = [sum(column) for column in list(zip(*files, strict=True))[1:]]
        told = report.sources[0]
        assert counts == [told.rows_read, told.rows_kept, told.rows_replaced, told.rows_rejected]


def stored(home: Home, query: str) -> list[tuple[Any, ...]]:
    """What the warehouse holds; nothing where the source was refused before it was opened."""
    if not home.warehouse.exists():
        return []
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()
