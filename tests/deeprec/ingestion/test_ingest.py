import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import SourceError
from deeprec.home import Home
from deeprec.ingestion.ingest import IngestReport, ingest

Files = dict[str, str | bytes]
TITLES = b"8,2004,What the #$*! Do We Know!?\n30,NULL,Am\xe9lie, Part 1, Uncut\n17,1999,7 Seconds\n"
NETFLIX: Files = {
    "training_set/mv_0000008.txt": "8:\n6,5,2005-09-06\n7,3,2004-05-13\n",
    "training_set/mv_0000030.txt": "30:\n6,1,1999-12-31\n",
    "movie_titles.txt": TITLES,
}
COMBINED: Files = {
    "combined_data_1.txt": "8:\n6,5,2005-09-06\n7,3,2004-05-13\n30:\n6,1,1999-12-31\n",
    "movie_titles.csv": TITLES,
}
LENIENT = load_config(None, ["ingest.max_rejected_fraction=1"])
DAY = 86_400


def write(folder: Path, files: Files) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(folder)


def query(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def ratings(home: Home) -> list[tuple[Any, ...]]:
    return query(
        home, "select user_id, movie_id, rating, rated_at::date::varchar from ratings order by all"
    )


def rejected(home: Home) -> list[tuple[Any, ...]]:
    return query(
        home,
        "select parse_filename(path), line_number, reason from rejected_rows "
        "join source_files using (file_id) order by all",
    )


def take_in(home: Home, folder: Path, files: Files, config: Config = LENIENT) -> IngestReport:
    return ingest(home, [write(folder, files)], config)


@pytest.mark.parametrize("files", [NETFLIX, COMBINED], ids=["folder", "combined"])
def test_both_netflix_layouts_give_the_same_rows(home: Home, tmp_path: Path, files: Files) -> None:
    report = take_in(home, tmp_path / "netflix", files, Config())
    assert [
        (6, 8, 5.0, "2005-09-06"),
        (6, 30, 1.0, "1999-12-31"),
        (7, 8, 3.0, "2004-05-13"),
    ] == ratings(home)
    assert [
        (0, 8, "What the #$*! Do We Know!?", 2004),
        (1, 17, "7 Seconds", 1999),
        (2, 30, "Amélie, Part 1, Uncut", None),
    ] == query(home, "select * from movies order by all")
    assert [(0, 6), (1, 7)] == query(home, "select * from users order by all")
    assert ("1 to 5 in steps of 1", 3, 2, 3) == (
        report.scale,
        report.num_ratings,
        report.num_users,
        report.num_movies,
    )


def movielens(layout: str) -> Files:
    users, movies = [(1, 7), (2, 7), (1, 9)], {7: "Heat (1995)", 9: "Café, The (1990)"}
    match layout:
        case "ml-100k":
            return {
                "u.data": "".join(f"{u}\t{m}\t4\t{10 * DAY + 5}\n" for u, m in users),
                "u.item": "".join(
                    f"{m}|{title}|01-Jan-1995||{'|0' * 19}\n" for m, title in movies.items()
                ).encode("latin-1"),
                "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n3|23|M|writer|32067\n",
                "u1.base": "9\t9\t1\t5\n",
            }
        case "ml-1m":
            return {
                "ratings.dat": "".join(f"{u}::{m}::4::{10 * DAY + 5}\n" for u, m in users),
                "movies.dat": "".join(
                    f"{m}::{title}::Drama|Comedy\n" for m, title in movies.items()
                ).encode("latin-1"),
                "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n3::M::25::15::55117\n",
            }
        case _:
            return {
                "ratings.csv": "userId,movieId,rating,timestamp\n"
                + "".join(f"{u},{m},4.0,{10 * DAY + 5}\n" for u, m in users),
                "movies.csv": "movieId,title,genres\n7,Heat (1995),Drama\n"
                '9,"Café, The (1990)",Drama\n',
                "links.csv": "movieId,imdbId,tmdbId\n7,1,2\n",
                "tags.csv": "userId,movieId,tag,timestamp\n1,7,good,5\n",
            }


@pytest.mark.parametrize(
    ("layout", "num_users", "scale"),
    [
        ("ml-100k", 3, "1 to 5 in steps of 1"),
        ("ml-1m", 3, "1 to 5 in steps of 1"),
        ("ml-csv", 2, "0.5 to 5 in steps of 0.5"),
    ],
)
def test_movielens_layouts(
    home: Home, tmp_path: Path, layout: str, num_users: int, scale: str
) -> None:
    report = take_in(home, tmp_path / layout, movielens(layout), Config())
    assert [(1, 7, 4.0, "1970-01-11"), (1, 9, 4.0, "1970-01-11"), (2, 7, 4.0, "1970-01-11")] == (
        ratings(home)
    )
    assert [(7, "Heat", 1995), (9, "Café, The", 1990)] == query(
        home, "select movie_id, title, year from movies order by all"
    )
    assert (num_users, scale, layout) == (
        report.num_users,
        report.scale,
        report.sources[0].format,
    )
    assert datetime(1970, 1, 11, 0, 0, 5) == query(home, "select max(rated_at) from ratings")[0][0]  # noqa: DTZ001 - stored as UTC without a zone


@pytest.mark.parametrize(
    "content",
    [
        "user_id,movie_id,rating,date\n1,2,7,2005-01-02\n3,2,9,2005-01-03\n",
        "Date;Rating;extra;Customer_ID;Movie\n2005-01-02;7;x;1;2\n2005-01-03;9;;3;2\n",
        '"user","item","stars","timestamp"\n"1","2","7","1104624000"\n"3","2","9","1104710400"\n',
        "user\titem\tscore\ttime\n1\t2\t7\t2005-01-02T00:00:00\n3\t2\t9\t2005-01-03T00:00:00Z\n",
    ],
    ids=["plain", "other-names", "quoted", "timestamps"],
)
def test_a_table_is_read_by_the_names_of_its_columns(
    home: Home, tmp_path: Path, content: str
) -> None:
    report = take_in(home, tmp_path / "table", {"mine.csv": content}, Config())
    assert [(1, 2, 7.0, "2005-01-02"), (3, 2, 9.0, "2005-01-03")] == ratings(home)
    assert "7 to 9" == report.scale


def test_columns_can_be_named_and_the_scale_stated(home: Home, tmp_path: Path) -> None:
    config = load_config(
        None,
        ["ingest.columns.rating=liking", "ingest.scale={minimum=0, maximum=10}"],
    )
    files: Files = {"mine.csv": "user_id,movie_id,liking\n1,2,10\n3,2,0\n"}
    report = take_in(home, tmp_path / "table", files, config)
    assert ("0 to 10", [(1, 2, 10.0, None), (3, 2, 0.0, None)]) == (report.scale, ratings(home))


def test_parquet_is_read_by_the_names_of_its_columns(home: Home, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user_id": [1, 3, None, 5],
            "movie_id": [2, 2, 2, 2],
            "rating": [1.0, 5.0, 3.0, float("nan")],
            "rated_at": [datetime(2005, 1, 2)] * 4,  # noqa: DTZ001
        }
    )
    frame.write_parquet(tmp_path / "mine.parquet")
    report = ingest(home, [str(tmp_path / "mine.parquet")], LENIENT)
    assert [(1, 2, 1.0, "2005-01-02"), (3, 2, 5.0, "2005-01-02")] == ratings(home)
    assert [
        ("mine.parquet", 3, "missing_value"),
        ("mine.parquet", 4, "not_a_number"),
    ] == rejected(home)
    assert 4 == report.sources[0].rows_read


def test_compressed_text_is_unpacked(home: Home, tmp_path: Path) -> None:
    packed: Files = {
        f"{name}.gz": gzip.compress(content.encode() if isinstance(content, str) else content)
        for name, content in COMBINED.items()
    }
    assert 3 == take_in(home, tmp_path / "packed", packed, Config()).num_ratings


def test_a_glob_and_a_file_are_sources_too(home: Home, tmp_path: Path) -> None:
    folder = Path(write(tmp_path / "netflix", NETFLIX))
    glob = str(folder / "training_set" / "mv_*.txt")
    titles = str(folder / "movie_titles.txt")
    report = ingest(home, [glob, titles], Config())
    assert (2, 1, 3) == (*(source.num_files for source in report.sources), report.num_ratings)


GOOD = "6,5,2005-09-06"
BAD_LINES = {
    "a word for a rating": (b"7,good,2005-09-06", "not_a_number"),
    "a word for a user": (b"anna,5,2005-09-06", "not_a_number"),
    "nan": (b"7,nan,2005-09-06", "not_a_number"),
    "a blank rating": (b"7,,2005-09-06", "missing_value"),
    "a blank user": (b",5,2005-09-06", "missing_value"),
    "off the scale": (b"7,6,2005-09-06", "off_scale"),
    "off the steps": (b"7,2.5,2005-09-06", "off_scale"),
    "infinite": (b"7,1e99,2005-09-06", "off_scale"),
    "an impossible day": (b"7,5,2005-02-30", "unknown_date"),
    "no date": (b"7,5,", "unknown_date"),
    "a day of another form": (b"7,5,06/09/2005", "unknown_date"),
    "a field too many": (b"7,5,2005-09-06,1", "wrong_column_count"),
    "a trailing comma": (b"7,5,2005-09-06,", "wrong_column_count"),
    "a field too few": (b"7,5", "wrong_column_count"),
    "undecodable bytes": (b"7,\xff\xfe,2005-09-06", "undecodable"),
    "a nul": (b"7,\x00,2005-09-06", "not_a_number"),
    "a huge user id": (b"99999999999999999999,5,2005-09-06", "not_a_number"),
    "an old Mac's line ends": (b"7,5,2005-09-06\r8,5,2005-09-06", "wrong_column_count"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_line_that_cannot_be_used_is_kept_with_its_reason(
    home: Home, tmp_path: Path, name: str
) -> None:
    line, reason = BAD_LINES[name]
    content = b"8:\n" + GOOD.encode() + b"\n" + line + b"\n9,1,2005-09-07\n"
    report = take_in(home, tmp_path / "netflix", {"combined_data_1.txt": content})
    assert [("combined_data_1.txt", 3, reason)] == rejected(home)
    assert [(6, 8, 5.0, "2005-09-06"), (9, 8, 1.0, "2005-09-07")] == ratings(home)
    source = report.sources[0]
    assert (3, 2, 0, 1) == (
        source.rows_read,
        source.rows_kept,
        source.rows_replaced,
        source.rows_rejected,
    )


def test_what_is_plainly_meant_is_understood(home: Home, tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf8:\r\n 6 , 5 ,2005-09-06\r\n\r\n"7","3.0","2004-05-13"\r\n'
    take_in(home, tmp_path / "netflix", {"combined_data_1.txt": content}, Config())
    assert [(6, 8, 5.0, "2005-09-06"), (7, 8, 3.0, "2004-05-13")] == ratings(home)


def test_a_rating_before_any_header_belongs_to_no_movie(home: Home, tmp_path: Path) -> None:
    files: Files = {
        "mv_0000001.txt": "1:\n6,5,2005-09-06\n",
        "mv_0000002.txt": "7,5,2005-09-06\n2:\n8,5,2005-09-06\n",
    }
    take_in(home, tmp_path / "netflix", files)
    assert [("mv_0000002.txt", 1, "before_header")] == rejected(home)
    assert [1, 2] == [movie for _, movie, _, _ in ratings(home)]


def test_ratings_after_a_broken_header_are_not_given_to_the_movie_before_it(
    home: Home, tmp_path: Path
) -> None:
    content = "1:\n6,5,2005-09-06\n2x:\n7,5,2005-09-06\n3:\n8,5,2005-09-06\n"
    take_in(home, tmp_path / "netflix", {"combined_data_1.txt": content})
    assert [
        ("combined_data_1.txt", 3, "not_a_number"),
        ("combined_data_1.txt", 4, "before_header"),
    ] == rejected(home)
    assert [1, 3] == [movie for _, movie, _, _ in ratings(home)]


def test_too_many_unusable_rows_change_nothing_and_are_shown(home: Home, tmp_path: Path) -> None:
    take_in(home, tmp_path / "good", NETFLIX, Config())
    before = ratings(home)
    bad: Files = {"combined_data_2.txt": "9:\n" + "1,5,2005-01-01\n" * 20 + "2,9,2005-01-01\n"}
    with pytest.raises(SourceError) as error:
        take_in(home, tmp_path / "bad", bad, Config())
    assert "1 of 21 rows of ratings cannot be used (off_scale 1)" in str(error.value)
    assert "combined_data_2.txt:22: off_scale: 2,9,2005-01-01" in str(error.value)
    assert before == ratings(home)
    assert [] == rejected(home)


def test_taking_in_the_same_again_does_nothing(home: Home, tmp_path: Path) -> None:
    first = take_in(home, tmp_path / "netflix", NETFLIX, Config())
    second = take_in(home, tmp_path / "netflix", NETFLIX, Config())
    assert (True, False) == (first.changed, second.changed)
    assert (3, 3) == (second.sources[0].num_files, second.sources[0].num_files_unchanged)
    assert first.data_digest == second.data_digest


def test_taking_in_the_same_again_writes_nothing(home: Home, tmp_path: Path) -> None:
    take_in(home, tmp_path / "netflix", NETFLIX)
    before = home.warehouse.read_bytes()
    take_in(home, tmp_path / "netflix", NETFLIX)
    assert before == home.warehouse.read_bytes()


def test_the_ratings_do_not_hide_that_the_titles_are_broken(home: Home, tmp_path: Path) -> None:
    many = "8:\n" + "".join(f"{user},5,2005-01-01\n" for user in range(3000))
    files: Files = {"mv_0000008.txt": many, "movie_titles.txt": "8,2004,Eight\nnine\n"}
    with pytest.raises(SourceError, match="1 of 2 rows of movies cannot be used"):
        take_in(home, tmp_path / "netflix", files, Config())


def test_an_empty_file_among_others_is_taken_in(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "netflix"
    take_in(home, folder, NETFLIX)
    report = take_in(home, folder, {"training_set/mv_0000008.txt": b""})
    assert [(6, 30, 1.0, "1999-12-31")] == ratings(home)
    assert 2 == report.sources[0].num_files_unchanged
    with pytest.raises(SourceError, match="holds no row"):
        take_in(home, tmp_path / "other", {"mv_0000008.txt": b""})


def test_the_digest_changes_when_two_files_swap_what_they_hold(home: Home, tmp_path: Path) -> None:
    low, high = (f"user_id,movie_id,rating\n1,2,{rating}\n3,4,3\n" for rating in (1, 5))
    first = take_in(home, tmp_path / "a", {"ratings_1.csv": low, "ratings_2.csv": high})
    assert 5 == ratings(home)[0][2]
    second = take_in(home, tmp_path / "a", {"ratings_1.csv": high, "ratings_2.csv": low})
    assert 1 == ratings(home)[0][2]
    assert first.data_digest != second.data_digest


def test_the_digest_is_the_same_wherever_the_folder_lies(tmp_path: Path) -> None:
    digests = {
        take_in(Home(tmp_path / f"home-{name}"), tmp_path / name, NETFLIX).data_digest
        for name in ("here", "there")
    }
    assert 1 == len(digests)


def test_the_digest_changes_when_other_columns_are_read(home: Home, tmp_path: Path) -> None:
    files: Files = {"ratings.csv": "user_id,movie_id,rating,liking\n1,2,5,4\n3,4,4,5\n"}
    first = take_in(home, tmp_path / "table", files)
    second = take_in(
        home, tmp_path / "table", files, load_config(None, ["ingest.columns.rating=liking"])
    )
    assert [4, 5] == [rating for _, _, rating, _ in ratings(home)]
    assert first.scale == second.scale
    assert first.data_digest != second.data_digest


def test_progress_ends_at_the_bytes_on_disk(home: Home, tmp_path: Path) -> None:
    content = gzip.compress(str(COMBINED["combined_data_1.txt"]).encode() * 500)
    source = write(tmp_path, {"combined_data_1.txt.gz": content})
    seen: list[tuple[str, int, int | None, str, str]] = []

    def tell(what: str, done: int, total: int | None, unit: str, note: str = "") -> None:
        seen.append((what, done, total, unit, note))

    ingest(home, [source], LENIENT, tell)
    assert ("ingest", len(content), len(content), "bytes", "") == seen[-1]


def test_a_scale_that_is_stated_anew_is_taken_over(home: Home, tmp_path: Path) -> None:
    files: Files = {"ratings.dat": "1::2::3::4\n1::3::3.5::4\n"}
    first = take_in(home, tmp_path / "ml", files)
    half = load_config(
        None, ["ingest.scale.minimum=0.5", "ingest.scale.maximum=5", "ingest.scale.step=0.5"]
    )
    second = take_in(home, tmp_path / "ml", files, half)
    assert (1, 2) == (first.num_ratings, second.num_ratings)
    assert "0.5 to 5 in steps of 0.5" == second.scale


@pytest.mark.parametrize("rating", ["3.5", "0", "6"])
def test_ratings_that_are_not_on_a_later_scale_are_not_mixed_in(
    home: Home, tmp_path: Path, rating: str
) -> None:
    table = f"user_id,movie_id,rating\n1,2,{rating}\n1,3,5\n"
    take_in(home, tmp_path / "table", {"ratings.csv": table})
    with pytest.raises(SourceError, match=rf"1 ratings, from {rating} to {rating}, of files"):
        take_in(home, tmp_path / "ml", {"ratings.dat": "7::2::3::4\n"})
    assert 2 == len(ratings(home))


def test_a_rating_that_lost_has_to_be_on_a_later_scale_too(home: Home, tmp_path: Path) -> None:
    table = "user_id,movie_id,rating,date\n1,2,3.5,2005-01-01\n1,2,4,2005-01-02\n1,3,5,2005-01-01\n"
    take_in(home, tmp_path / "table", {"ratings.csv": table})
    with pytest.raises(SourceError, match=r"1 ratings, from 3\.5 to 3\.5, of files"):
        take_in(home, tmp_path / "ml", {"ratings.dat": "7::2::3::4\n"})


def test_a_changed_file_replaces_its_own_rows(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "netflix"
    first = take_in(home, folder, NETFLIX, Config())
    changed: Files = {**NETFLIX, "training_set/mv_0000008.txt": "8:\n7,2,2004-05-13\n"}
    second = take_in(home, folder, changed, Config())
    assert [(6, 30, 1.0, "1999-12-31"), (7, 8, 2.0, "2004-05-13")] == ratings(home)
    assert 2 == second.sources[0].num_files_unchanged
    assert first.data_digest != second.data_digest


def test_the_later_date_wins_whatever_came_first_and_losers_return(
    home: Home, tmp_path: Path
) -> None:
    old: Files = {"a.csv": "user_id,movie_id,rating,date\n1,2,1,2005-01-01\n1,3,4,2005-01-01\n"}
    new: Files = {"b.csv": "user_id,movie_id,rating,date\n1,2,5,2005-02-01\n"}
    take_in(home, tmp_path / "new", new, LENIENT)
    report = take_in(home, tmp_path / "old", old, LENIENT)
    assert [(1, 2, 5.0, "2005-02-01"), (1, 3, 4.0, "2005-01-01")] == ratings(home)
    assert (2, 1, 1) == (
        report.sources[0].rows_read,
        report.sources[0].rows_kept,
        report.sources[0].rows_replaced,
    )
    emptied: Files = {"b.csv": "user_id,movie_id,rating,date\n7,2,5,2005-02-01\n"}
    take_in(home, tmp_path / "new", emptied, LENIENT)
    assert [
        (1, 2, 1.0, "2005-01-01"),
        (1, 3, 4.0, "2005-01-01"),
        (7, 2, 5.0, "2005-02-01"),
    ] == ratings(home)
    assert [("a.csv", 2, 0), ("b.csv", 1, 0)] == query(
        home,
        "select parse_filename(path), rows_kept, rows_replaced from source_files order by 1",
    )


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    folder = Path(
        write(
            tmp_path / "files",
            {
                f"{name}.csv": f"user_id,movie_id,rating,date\n1,2,{rating},2005-01-01\n"
                for name, rating in (("a", 1), ("b", 2), ("c", 3))
            },
        )
    )
    files = [str(folder / f"{name}.csv") for name in "abc"]
    found = []
    for place, order in enumerate((files, files[::-1])):
        home = Home(tmp_path / f"home{place}")
        config = load_config(None, ["ingest.scale={minimum=1, maximum=5}"])
        digest = ingest(home, order, config).data_digest
        found.append((digest, ratings(home)))
    assert found[0] == found[1]
    assert [(1, 2, 3.0, "2005-01-01")] == found[0][1]


def scattered(seed: int) -> Files:
    """Three files movie by movie, of whose ratings some repeat one of the same or another file."""
    rng = np.random.default_rng(seed)
    files: Files = {}
    for name in ("combined_data_1.txt", "combined_data_2.txt", "combined_data_3.txt"):
        lines = []
        for movie in rng.integers(1, 12, size=4):
            lines.append(f"{movie}:")
            users = rng.integers(1, 1000, size=rng.integers(1, 60))
            lines += [
                f"{user},{rng.integers(1, 6)},2005-01-0{rng.integers(1, 8)}" for user in users
            ]
        files[name] = "\n".join(lines)
    return files


@pytest.mark.parametrize("seed", range(8))
def test_what_stands_is_what_the_files_say_whatever_they_said_before(
    tmp_path: Path, seed: int
) -> None:
    then, now = scattered(2 * seed), scattered(2 * seed + 1)
    now["combined_data_2.txt"] = then["combined_data_2.txt"]
    config = load_config(None, ["ingest.chunk_bytes=1024"])
    changed, new = Home(tmp_path / "changed"), Home(tmp_path / "new")
    take_in(changed, tmp_path / "files", then, config)
    take_in(changed, tmp_path / "files", now, config)
    take_in(new, tmp_path / "files", now, config)
    lost = "select user_id, movie_id, rating, rated_at from superseded_ratings order by all"
    assert query(new, lost)
    assert (ratings(new), query(new, lost)) == (ratings(changed), query(changed, lost))
    once = "select count(*) = count(distinct (user_id, movie_id)) from ratings"
    assert [(True,)] == query(new, once)


def test_a_date_wins_over_none_whatever_the_path(home: Home, tmp_path: Path) -> None:
    files: Files = {
        "ratings_1.csv": "user_id,movie_id,rating,date\n1,2,5,2005-01-01\n",
        "ratings_2.csv": "user_id,movie_id,rating\n1,2,1\n3,2,1\n",
    }
    take_in(home, tmp_path / "both", files)
    assert [(1, 2, 5.0, "2005-01-01"), (3, 2, 1.0, None)] == ratings(home)


def test_the_later_title_wins_with_its_year_or_without(home: Home, tmp_path: Path) -> None:
    files: Files = {
        **NETFLIX,
        "movie_titles.csv": "8,1999,Nine\n17,1999,Seven\n",
        "movie_titles.txt": "8,2004,Eight\n8,NULL,Eight again\n",
    }
    take_in(home, tmp_path / "netflix", files)
    assert [(8, "Eight again", None), (17, "Seven", 1999), (30, None, None)] == query(
        home, "select movie_id, title, year from movies order by all"
    )
    assert [("movie_titles.csv", 1, 1), ("movie_titles.txt", 1, 1)] == query(
        home,
        "select parse_filename(path), rows_kept, rows_replaced from source_files "
        "where role = 'movies' order by all",
    )


def test_the_later_line_wins_within_a_day(home: Home, tmp_path: Path) -> None:
    content = "8:\n6,5,2005-09-06\n6,2,2005-09-06\n6,1,2005-09-05\n"
    report = take_in(home, tmp_path / "netflix", {"combined_data_1.txt": content}, Config())
    assert ([(6, 8, 2.0, "2005-09-06")], 2) == (ratings(home), report.sources[0].rows_replaced)


TRUNCATED = gzip.compress(("8:\n" + f"{GOOD}\n" * 5000).encode(), mtime=0)[:-40]
BROKEN_SOURCES: dict[str, tuple[Files, str]] = {
    "an empty folder": ({"notes.md": "nothing"}, "holds no file of ratings"),
    "an empty file": ({"combined_data_1.txt": ""}, "holds no row"),
    "two layouts": ({**NETFLIX, **COMBINED}, "more than one layout"),
    "a truncated gzip": ({"combined_data_1.txt.gz": TRUNCATED}, "incomplete gzip"),
    "no gzip": ({"combined_data_1.txt.gz": "8:\n"}, "incomplete gzip"),
    "no Parquet": ({"ratings.parquet": "PAR0"}, "not a Parquet file"),
    "a column missing": ({"ratings.csv": "user_id,movie\n1,2\n"}, "no column rating"),
    "an image": ({"combined_data_1.txt": bytes(range(256)) * 99}, "cannot be used"),
    "a line without end": ({"combined_data_1.txt": b"1" * 3 * 2**20}, "a line of more than"),
}


@pytest.mark.parametrize("name", BROKEN_SOURCES)
def test_a_broken_source_is_named_and_changes_nothing(
    home: Home, tmp_path: Path, name: str
) -> None:
    files, message = BROKEN_SOURCES[name]
    good = tmp_path / "good"
    take_in(home, good, {"mv_0000001.txt": "1:\n1,5,2005-01-01\n"}, Config())
    before = ratings(home)
    config = load_config(None, ["ingest.chunk_bytes=1048576"])
    with pytest.raises(SourceError, match=message) as error:
        take_in(home, tmp_path / "broken", files, config)
    assert "broken" in str(error.value)
    assert before == ratings(home)


@pytest.mark.parametrize("source", ["/nowhere", "/nowhere/*.txt"])
def test_a_source_that_is_not_there_is_named(home: Home, source: str) -> None:
    with pytest.raises(SourceError, match="/nowhere"):
        ingest(home, [source], Config())


def test_one_broken_source_leaves_the_others_taken_in(home: Home, tmp_path: Path) -> None:
    good = write(tmp_path / "good", NETFLIX)
    bad = write(tmp_path / "bad", {"combined_data_1.txt": "8:\nx\n"})
    with pytest.raises(SourceError):
        ingest(home, [good, bad], Config())
    assert 3 == len(ratings(home))


def test_a_format_that_is_given_chooses_between_layouts(home: Home, tmp_path: Path) -> None:
    config = load_config(None, ["ingest.format=netflix-combined"])
    report = take_in(home, tmp_path / "both", {**NETFLIX, **COMBINED}, config)
    assert ("netflix-combined", 3) == (report.sources[0].format, report.sources[0].num_files)


def test_a_bound_that_floats_cannot_hold_is_on_its_own_scale(home: Home, tmp_path: Path) -> None:
    config = load_config(None, ["ingest.scale={minimum=0.7, maximum=4.9}"])
    files: Files = {"mine.csv": "user_id,movie_id,rating\n1,2,4.9\n1,3,0.7\n2,2,1\n"}
    assert 3 == take_in(home, tmp_path / "table", files, config).num_ratings


def test_scales_that_disagree_are_not_mixed(home: Home, tmp_path: Path) -> None:
    take_in(home, tmp_path / "netflix", NETFLIX, Config())
    with pytest.raises(SourceError, match=r"0\.5 to 5 in steps of 0\.5"):
        take_in(home, tmp_path / "ml", movielens("ml-csv"), Config())


@pytest.mark.parametrize("chunk_bytes", [1024, 4096, 2**26])
def test_chunks_of_any_size_give_the_same_rows(
    home: Home, tmp_path: Path, chunk_bytes: int
) -> None:
    lines = [
        line
        for movie in range(1, 30)
        for line in (f"{movie}:", *(f"{user},{1 + user % 5},2005-01-01" for user in range(40)))
    ]
    lines[100] = "broken"
    config = load_config(
        None, [f"ingest.chunk_bytes={chunk_bytes}", "ingest.max_rejected_fraction=1"]
    )
    take_in(home, tmp_path / "netflix", {"combined_data_1.txt": "\n".join(lines)}, config)
    assert (1159, 29) == query(home, "select count(*), count(distinct movie_id) from ratings")[0]
    assert [("combined_data_1.txt", 101, "wrong_column_count")] == rejected(home)
    assert [] == query(home, "select * from ratings where (line_number - 2) // 41 + 1 != movie_id")


def holds_a_rating(lines: list[bytes]) -> bool:
    """Whether one that cannot be mistaken stands under a movie that cannot be."""
    movies = [place for place, line in enumerate(lines) if line in {b"8:", b"9:"}]
    rest = lines[movies[0] :] if movies else []
    return any(line in {b"6,5,2005-09-06", b"7,3,2004-05-13"} for line in rest)


@settings(max_examples=30)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"8:", b"9:", b"6,5,2005-09-06", b"7,3,2004-05-13", b"", b"8", b"x:"]),
            st.binary(max_size=24).map(lambda line: line.replace(b"\n", b"")),
        ),
        max_size=30,
    ),
    st.booleans(),
)
@example([b"\x00", b"\x1c"], False)
def test_whatever_a_file_holds_every_row_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ends: bool
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    content = b"\n".join(lines) + (b"\n" if ends else b"")
    (folder / "combined_data_1.txt").write_bytes(content)
    home = Home(folder / "home")
    try:
        report = ingest(home, [str(folder / "combined_data_1.txt")], LENIENT)
    except SourceError:
        assert not holds_a_rating(lines)
        return
    source = report.sources[0]
    assert source.rows_read == source.rows_kept + source.rows_replaced + source.rows_rejected
    num_headers = sum(line.strip() in {b"8:", b"9:"} for line in lines)
    num_blank = sum(not line.strip() for line in lines)
    assert source.rows_read <= len(lines) - num_blank
    assert source.rows_read >= len(lines) - num_blank - num_headers - sum(b":" in x for x in lines)
    assert [(source.rows_kept, source.rows_rejected)] == query(
        home, "select (select count(*) from ratings), (select count(*) from rejected_rows)"
    )


@pytest.mark.parametrize(
    ("source", "overrides", "expected"),
    [
        ("ml-100k", [], (100_000, 943, 1_682, 1_682)),
        ("ml-1m", [], (1_000_209, 6_040, 3_706, 3_883)),
        (
            "netflix-excerpt",
            ["ingest.format=netflix-folder"],
            (245_394, 90_829, 684, 17_770),
        ),
        (
            "netflix-excerpt",
            ["ingest.format=netflix-combined"],
            (245_394, 90_829, 684, 17_770),
        ),
    ],
)
def test_real_data_has_the_counts_it_is_known_for(
    home: Home, shared_data: Path, source: str, overrides: list[str], expected: tuple[int, ...]
) -> None:
    report = ingest(home, [str(shared_data / source)], load_config(None, overrides))
    assert [expected] == query(
        home,
        "select count(*), count(distinct user_id), count(distinct movie_id), "
        "(select count(*) from movies) from ratings",
    )
    assert (0, 0) == (report.sources[0].rows_rejected, report.sources[0].rows_replaced)
