from pathlib import Path

import pytest

from deeprec.readers import movielens, netflix
from deeprec.readers.catalogs import read_catalog
from deeprec.readers.layouts import CatalogLayout


def read(
    text: bytes, layout: CatalogLayout, folder: Path, chunk_bytes: int = 2**20
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    path = folder / "catalog"
    path.write_bytes(text)
    batches = list(read_catalog({0: path}, layout, chunk_bytes))
    rows = [row[:-2] for batch in batches for row in batch.rows.rows()]
    return rows, [row[1:] for batch in batches for row in batch.rejected.rows()]


def test_netflix_titles_hold_commas_and_may_lack_a_year(tmp_path: Path) -> None:
    text = "1,2003,One, Two, Three\n2,NULL,Caf\xe9\n".encode("latin-1") + "3,1997,Café\n".encode()
    expected = [(1, "One, Two, Three", 2003), (2, "Café", None), (3, "Café", 1997)]
    assert (expected, []) == read(text, netflix.TITLES, tmp_path)
    assert (expected, []) == read(text, netflix.TITLES, tmp_path, chunk_bytes=1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x,2003,A", "not_a_number"),
        (b"1,2003", "wrong_column_count"),
        (b"1,2003,", "missing_value"),
        (b"1,03,A", "unknown_date"),
    ],
)
def test_a_title_that_cannot_be_used_says_why(line: bytes, reason: str, tmp_path: Path) -> None:
    rows, rejected = read(b"7,2001,B\n" + line + b"\n\n", netflix.TITLES, tmp_path)
    assert [(7, "B", 2001)] == rows
    assert [(2, line.decode(), reason)] == rejected


def test_items_have_the_year_behind_the_title(tmp_path: Path) -> None:
    tail = b"|01-Jan-1995||url" + b"|0" * 19 + b"\n"
    text = b"1|Toy Story (1995)" + tail + b"2|unknown" + tail + b"3|Short|\n"
    rows, rejected = read(text, movielens.ITEMS_100K, tmp_path)
    assert [(1, "Toy Story", 1995), (2, "unknown", None)] == rows
    assert [(3, "3|Short|", "wrong_column_count")] == rejected


def test_movies_of_the_later_sets_may_be_quoted(tmp_path: Path) -> None:
    text = b'movieId,title,genres\n11,"American President, The (1995)",Comedy|Drama\n12,A (B),x\n'
    expected = [(11, "American President, The", 1995), (12, "A (B)", None)]
    assert (expected, []) == read(text, movielens.MOVIES_CSV, tmp_path)


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        (movielens.USERS_100K, b"1|24|M|technician|85711\nx|2|M|other|1\n3|4\n"),
        (movielens.USERS_1M, b"1::F::1::10::48067\r\nx::F::1::10::48067\n3::F\n"),
    ],
)
def test_users(layout: CatalogLayout, text: bytes, tmp_path: Path) -> None:
    rows, rejected = read(text, layout, tmp_path)
    assert [(1,)] == rows
    assert ["not_a_number", "wrong_column_count"] == [row[2] for row in rejected]


@pytest.mark.parametrize(
    ("first", "expected", "reasons"),
    [
        (b"id,name,genres\n", [(7, "B", None)], []),
        (b"5,A,x\n", [(5, "A", None), (7, "B", None)], []),
        (b"movieId,title,genres\r5,A,x\n", [(7, "B", None)], ["wrong_column_count"]),
    ],
    ids=["names", "a movie", "an old Mac's line ends"],
)
def test_a_first_line_of_movies_is_passed_over_only_where_it_names_columns(
    first: bytes, expected: list[object], reasons: list[str], tmp_path: Path
) -> None:
    rows, rejected = read(first + b"7,B,x\n", movielens.MOVIES_CSV, tmp_path)
    assert (expected, reasons) == (rows, [row[2] for row in rejected])
