import gzip
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deeprec.config.ingestion import Format, IngestConfig
from deeprec.errors import SourceError
from deeprec.readers.detection import find_files

NETFLIX = b"1:\n5,3,2005-09-06\n"
TABS = b"1\t2\t3\t881250949\n"
COLONS = b"1::2::3::978300760\n"
HALF_STARS = b"userId,movieId,rating,timestamp\n1,2,3.5,978300760\n"
PLAIN = b"user,item,stars\n1,2,3\n"


def found(source: Path | str, layout: Format = "auto") -> list[tuple[str, str, str]]:
    return [
        (file.path.name, file.layout.role.value, file.layout.format)
        for file in find_files(str(source), IngestConfig(format=layout))
    ]


def put(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", ".").replace("_IN_", "/")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
    return folder


def test_the_folder_of_the_netflix_prize(tmp_path: Path) -> None:
    put(tmp_path, movie_titles__txt=b"1,2003,A\n", training_set_IN_mv_0000001__txt=NETFLIX)
    expected = [
        ("movie_titles.txt", "movies", "netflix"),
        ("mv_0000001.txt", "ratings", "netflix-folder"),
    ]
    assert expected == found(tmp_path)
    assert expected[1:] == found(tmp_path / "training_set")


def test_a_folder_of_movielens_100k_without_its_splits(tmp_path: Path) -> None:
    put(tmp_path, u__data=TABS, u__item=b"", u__user=b"", u1__base=TABS, README=b"hello")
    assert ["u.data", "u.item", "u.user"] == [name for name, *_ in found(tmp_path)]
    assert [("u1.base", "ratings", "ml-100k")] == found(tmp_path / "u1.*")


def test_a_folder_may_mix_a_table_with_the_catalogs_of_another_format(tmp_path: Path) -> None:
    put(tmp_path, ratings__csv=PLAIN, movies__dat=b"", users__dat=b"")
    assert ["ml-1m", "table", "ml-1m"] == [layout for *_, layout in found(tmp_path)]


def test_tables_beside_the_ratings_of_the_later_movielens_are_left(tmp_path: Path) -> None:
    put(tmp_path, ratings__csv=HALF_STARS, movies__csv=b"movieId,title,genres\n")
    put(tmp_path, links__csv=b"movieId,imdbId\n", tags__csv=b"userId,movieId,tag,timestamp\n")
    put(tmp_path, __hidden__csv=b"\0")
    assert [("movies.csv", "ml-csv"), ("ratings.csv", "ml-csv")] == [
        (name, layout) for name, _, layout in found(tmp_path)
    ]


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        (NETFLIX, "netflix-combined"),
        (TABS, "ml-100k"),
        (COLONS, "ml-1m"),
        (HALF_STARS, "ml-csv"),
        (PLAIN, "table"),
        (PLAIN.replace(b",", b";"), "table"),
        (b"\xef\xbb\xbf" + PLAIN, "table"),
        (gzip.compress(PLAIN, mtime=0), "table"),
    ],
)
def test_a_file_of_any_name_is_known_by_its_looks(
    content: bytes, layout: str, tmp_path: Path
) -> None:
    path = tmp_path / ("some_ratings.gz" if content[:2] == b"\x1f\x8b" else "some_ratings")
    path.write_bytes(content)
    assert [(path.name, "ratings", layout)] == found(path)


def test_a_packed_file_is_known_by_the_name_within(tmp_path: Path) -> None:
    put(tmp_path, u__data__gz=gzip.compress(TABS))
    assert [("u.data.gz", "ratings", "ml-100k")] == found(tmp_path)


def test_two_layouts_in_one_folder_are_a_question(tmp_path: Path) -> None:
    put(tmp_path, combined_data_1__txt=NETFLIX, training_set_IN_mv_0000001__txt=NETFLIX)
    with pytest.raises(SourceError, match=r"netflix-combined, netflix-folder.*ingest\.format"):
        found(tmp_path)
    assert ["mv_0000001.txt"] == [name for name, *_ in found(tmp_path, "netflix-folder")]
    assert ["combined_data_1.txt"] == [name for name, *_ in found(tmp_path, "netflix-combined")]


def test_a_table_beside_another_layout_can_be_chosen(tmp_path: Path) -> None:
    put(tmp_path, ratings__dat=COLONS, ratings__csv=PLAIN)
    assert [("ratings.csv", "ratings", "table")] == found(tmp_path, "table")


def test_movielens_names_may_be_divided_by_tabs(tmp_path: Path) -> None:
    put(tmp_path, ratings__tsv=HALF_STARS.replace(b",", b"\t"))
    (file,) = find_files(str(tmp_path), IngestConfig())
    assert ("ml-csv", "\t") == (file.layout.format, getattr(file.layout, "separator", None))


def test_a_file_that_several_names_lead_to_is_taken_once(tmp_path: Path) -> None:
    put(tmp_path, ratings_1__csv=PLAIN)
    (tmp_path / "ratings_2.csv").symlink_to(tmp_path / "ratings_1.csv")
    assert ["ratings_1.csv"] == [name for name, *_ in found(tmp_path)]


@pytest.mark.parametrize(
    "source", ["nowhere", "nowhere/*.csv", "empty", "strange", "strange/x.txt"]
)
def test_a_source_that_holds_no_ratings_is_refused(source: str, tmp_path: Path) -> None:
    put(tmp_path, strange_IN_x__txt=b"Dear diary,\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=source.split("/", maxsplit=1)[0]):
        found(tmp_path / source)


def test_a_layout_that_a_folder_lacks_is_named(tmp_path: Path) -> None:
    put(tmp_path, u__data=TABS)
    with pytest.raises(SourceError, match="in the layout ml-1m"):
        found(tmp_path, "ml-1m")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (PLAIN.decode().encode("utf-16"), "is UTF-16; expected a text in UTF-8"),
        (gzip.compress(PLAIN, mtime=0), "is packed by gzip and not called so"),
        (b"PK\3\4\x14\0", "is a zip archive"),
        (b"PAR1\x15\4", "is Parquet and not called so"),
    ],
)
def test_a_table_that_is_no_text_says_what_it_is(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    put(tmp_path, ratings__csv=content)
    with pytest.raises(SourceError, match=f"csv: {problem}"):
        find_files(str(tmp_path), IngestConfig())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"user,film,points\n1,2,3\n", "no column movie_id among user, film, points"),
        (b"", "no column user_id"),
        (b"1,2,3\n", "no column user_id among 1, 2, 3"),
        (PLAIN[:-7] + b"," * 2**17 + PLAIN[-7:], ":1: a line of more than 32,768 bytes"),
        (b"user,item,stars,date\r1,2,3,4\n5,6,1,4\n", ":1: a carriage return within"),
    ],
)
def test_a_table_without_a_needed_column_says_which(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    put(tmp_path, ratings__csv=content)
    with pytest.raises(SourceError, match=problem):
        found(tmp_path)


def test_a_message_about_names_is_short_and_printable(tmp_path: Path) -> None:
    put(tmp_path, ratings__csv=b"\0\xff" * 10_000)
    with pytest.raises(SourceError, match="no column user_id") as error:
        found(tmp_path)
    assert "\0" not in str(error.value)
    assert 2000 > len(str(error.value))


def test_a_name_in_quotes_may_hold_separators(tmp_path: Path) -> None:
    path = put(tmp_path, x__csv=b'user,"title, year",item,stars\n1,"Up, 2009",2,3\n') / "x.csv"
    (file,) = find_files(str(path), IngestConfig())
    assert "user_id,-,movie_id,rating" in str(file.layout)


def test_columns_can_be_given(tmp_path: Path) -> None:
    path = put(tmp_path, mine__csv=b"who,what,rating,stars\n1,2,x,3\n") / "mine.csv"
    columns = {"user_id": "who", "movie_id": "what", "rating": "stars"}
    (file,) = find_files(str(path), IngestConfig.model_validate({"columns": columns}))
    assert "user_id,movie_id,-,rating" in str(file.layout)
    with pytest.raises(SourceError, match="no column whom among who"):
        find_files(str(path), IngestConfig.model_validate({"columns": {"user_id": "whom"}}))


def test_one_column_cannot_be_two_things(tmp_path: Path) -> None:
    path = put(tmp_path, mine__csv=PLAIN) / "mine.csv"
    columns = IngestConfig.model_validate({"columns": {"user_id": "item"}})
    with pytest.raises(SourceError, match="user_id is item, movie_id is item"):
        find_files(str(path), columns)


@pytest.mark.parametrize("content", [HALF_STARS.partition(b"\n")[2], PLAIN])
def test_a_first_line_without_names_is_no_later_movielens(content: bytes, tmp_path: Path) -> None:
    path = put(tmp_path, ratings__csv=content) / "ratings.csv"
    with pytest.raises(SourceError, match=r"ratings\.csv"):
        found(path, "ml-csv")
    assert [("half.csv", "ratings", "ml-csv")] == found(
        put(tmp_path, half__csv=HALF_STARS) / "half.csv", "ml-csv"
    )


def test_a_parquet_table_that_is_none_is_refused(tmp_path: Path) -> None:
    put(tmp_path, ratings__parquet=b"PAR1 but no more")
    with pytest.raises(SourceError, match="not a Parquet file"):
        found(tmp_path)


def test_a_parquet_table_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    names = ["user", "movie", "rating", "rating"]
    pq.write_table(pa.Table.from_arrays([[1], [2], [3], [4]], names), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match=r"x\.parquet: has 2 columns rating"):
        found(tmp_path)


def test_a_csv_table_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("user_id,movie_id,rating,rating\n1,2,3,5\n")
    with pytest.raises(SourceError, match=r"x\.csv: has 2 columns rating"):
        found(tmp_path)


def test_a_table_with_the_names_of_the_later_movielens_can_be_taken_for_a_table(
    tmp_path: Path,
) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,30,5\n")
    assert [("ratings.csv", "ratings", "ml-csv")] == found(tmp_path)
    assert [("ratings.csv", "ratings", "table")] == found(tmp_path, "table")
    given = IngestConfig.model_validate({"columns": {"movie_id": "item"}})
    with pytest.raises(SourceError, match="no column item among userId, movieId"):
        find_files(str(tmp_path), given)


def test_a_path_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"ratings_\xe9.csv")).write_text("user_id,movie_id,rating\n1,2,3\n")
    with pytest.raises(SourceError, match=r"ratings_\\xe9\.csv': this path is no UTF-8"):
        found(tmp_path)


def test_a_source_without_a_name_is_not_the_current_folder() -> None:
    with pytest.raises(SourceError, match="an empty source"):
        find_files("", IngestConfig())


def test_a_parquet_table_is_known_by_its_columns(tmp_path: Path) -> None:
    pl.DataFrame({"user": [1], "movie": [2], "score": [3.0]}).write_parquet(tmp_path / "x.parquet")
    assert [("x.parquet", "ratings", "table")] == found(tmp_path)


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        ("2005-09-06", "day"),
        ("20050906", "day"),
        ("2005-09-06T10:00:00Z", "timestamp"),
        ("978300760", "unix"),
    ],
)
def test_the_first_row_says_how_dates_are_written(day: str, kind: str, tmp_path: Path) -> None:
    put(tmp_path, ratings__csv=f"user,movie,rating,date\n1,2,3,?\n1,3,3,{day}".encode())
    (file,) = find_files(str(tmp_path), IngestConfig())
    assert f"dates {kind}" in str(file.layout)
