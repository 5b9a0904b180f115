"""What comes, goes and changes in a folder that nobody watches, as a night takes it in."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from deeprec.config.loading import load_config
from deeprec.errors import SourceError
from deeprec.home import Home
from deeprec.ingestion.ingest import IngestReport, ingest
from deeprec.vectors.materialize import materialize

UNATTENDED = load_config(None, ["ingest.forget_gone=true", "ingest.hold_back=true"])
NAMES = "user_id,movie_id,rating\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drop"
    made.mkdir()
    return made


def rows(users: range) -> str:
    return "".join(f"{user},{movie},4\n" for user in users for movie in range(10))


def take_in(home: Home, *sources: Path | str) -> IngestReport:
    return ingest(home, [str(source) for source in sources], UNATTENDED)


def query(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("left", [NAMES, NAMES + rows(range(40))], ids=["emptied", "cut"])
def test_a_file_that_was_cut_is_held_back_and_the_others_come(
    home: Home, folder: Path, left: str
) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    take_in(home, folder)
    (folder / "ratings.csv").write_text(left)
    (folder / "ratings_new.csv").write_text(NAMES + rows(range(100, 101)))
    report = take_in(home, folder)
    (held,) = report.sources[0].held_back
    assert folder / "ratings.csv" == held.path
    assert "held 1,000 rows of 1,000 ratings and holds" in held.reason
    assert 1010 == report.num_ratings


def test_a_catalog_that_was_emptied_keeps_its_titles(home: Home, folder: Path) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    (folder / "movies.csv").write_text("movieId,title,genres\n1,Heat (1995),Drama\n")
    take_in(home, folder)
    (folder / "movies.csv").write_text("movieId,title,genres\n")
    (held,) = take_in(home, folder).sources[0].held_back
    assert "held 1 rows of 1 movies and holds 0 now" in held.reason
    assert [("Heat",)] == query(home, "select title from movies where movie_id = 1")


def test_a_file_may_lose_some_rows(home: Home, folder: Path) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    take_in(home, folder)
    (folder / "ratings.csv").write_text(NAMES + rows(range(95)))
    assert 950 == take_in(home, folder).num_ratings


def test_files_that_were_cut_together_are_refused_as_one_is(home: Home, folder: Path) -> None:
    for number in range(20):
        users = range(5 * number, 5 * number + 5)
        (folder / f"ratings_{number:02}.csv").write_text(NAMES + rows(users))
    take_in(home, folder)
    for number in range(1, 20):
        (folder / f"ratings_{number:02}.csv").write_text(NAMES)
    with pytest.raises(SourceError, match=r"0 files are gone and 19 hold less, with 950 of 1,000"):
        take_in(home, folder)
    assert [(1000,)] == query(home, "select count(*) from ratings")


def test_titles_do_not_make_up_for_ratings_nor_ratings_for_titles(home: Home, folder: Path) -> None:
    titles = "movieId,title,genres\n" + "".join(
        f"{movie},Picture {movie} (1999),Drama\n" for movie in range(200)
    )
    for number, users in enumerate((range(10), range(10, 20))):
        (folder / f"ratings_{number}.csv").write_text(NAMES + rows(users))
    take_in(home, folder)
    (folder / "ratings_1.csv").rename(folder / "aside")
    (folder / "movies.csv").write_text(titles)
    with pytest.raises(SourceError, match="100 of 200 ratings in all"):
        take_in(home, folder)
    (folder / "aside").rename(folder / "ratings_1.csv")
    assert 200 == take_in(home, folder).num_ratings
    (folder / "movies.csv").unlink()
    with pytest.raises(SourceError, match="200 of 200 movies in all"):
        take_in(home, folder)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that nobody reads")
def test_a_known_file_that_cannot_be_read_is_held_back(home: Home, folder: Path) -> None:
    (folder / "ratings_1.csv").write_text(NAMES + rows(range(10)))
    (folder / "ratings_2.csv").write_text(NAMES + rows(range(10, 20)))
    take_in(home, folder)
    (folder / "ratings_1.csv").unlink()
    (folder / "ratings_1.csv").symlink_to("/proc/self/mem")
    (folder / "ratings_3.csv").write_text(NAMES + rows(range(20, 21)))
    report = take_in(home, folder)
    (held,) = report.sources[0].held_back
    assert folder / "ratings_1.csv" == held.path
    assert "cannot be read" in held.reason
    assert 210 == report.num_ratings


def test_a_file_may_come_back_under_another_name(home: Home, folder: Path) -> None:
    plain = folder / "ratings.csv"
    plain.write_text(NAMES + rows(range(100)))
    take_in(home, folder)
    (folder / "ratings-2.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    report = take_in(home, folder)
    assert (1, 1000) == (report.sources[0].num_files_gone, report.num_ratings)


@pytest.mark.parametrize(
    "other", ["2026-11-27.csv", "more.tsv", "new.parquet", "late/MORE.CSV.gz", "late/ratings.csv"]
)
def test_a_table_that_is_not_read_is_named(home: Home, folder: Path, other: str) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(10)))
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n")
    (folder / other).parent.mkdir(exist_ok=True)
    (folder / other).write_text(NAMES + rows(range(10, 11)))
    report = take_in(home, folder)
    assert (folder / other,) == report.sources[0].passed_over
    assert 100 == report.num_ratings


def test_a_table_that_another_source_reads_is_not_named(home: Home, folder: Path) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(10)))
    (folder / "late").mkdir()
    (folder / "late" / "ratings.csv").write_text(NAMES + rows(range(10, 11)))
    for num_new in (1, 0):
        report = take_in(home, folder, folder / "late")
        for source in report.sources:
            assert (num_new, 0) == (
                source.num_files - source.num_files_unchanged,
                source.num_files_gone,
            )
            assert () == source.passed_over
    assert 110 == report.num_ratings


def test_names_may_be_in_capitals(home: Home, folder: Path) -> None:
    (folder / "RATINGS.CSV").write_text(NAMES + rows(range(10)))
    (folder / "RATINGS-2.CSV.GZ").write_bytes(gzip.compress((NAMES + rows(range(10, 11))).encode()))
    assert 110 == take_in(home, folder).num_ratings


def test_a_file_that_is_there_and_not_read_any_more_is_not_gone(home: Home, folder: Path) -> None:
    (folder / "history.csv").write_text(NAMES + rows(range(10)))
    take_in(home, folder)
    (folder / "ratings-new.csv").write_text(NAMES + rows(range(10, 11)))
    report = take_in(home, folder)
    assert (folder / "history.csv",) == report.sources[0].passed_over
    assert (0, 110) == (report.sources[0].num_files_gone, report.num_ratings)


def test_what_a_deeper_folder_brought_is_not_gone_while_it_is_there(
    home: Home, folder: Path
) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    deep = folder / "2026" / "11"
    deep.mkdir(parents=True)
    (deep / "ratings.csv").write_text(NAMES + rows(range(100, 101)))
    take_in(home, deep)
    report = take_in(home, folder)
    assert (0, 1010) == (report.sources[0].num_files_gone, report.num_ratings)
    (deep / "ratings.csv").unlink()
    report = take_in(home, folder)
    assert (1, 1000) == (report.sources[0].num_files_gone, report.num_ratings)


def test_no_state_of_a_file_has_the_id_of_another(home: Home, folder: Path) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    take_in(home, folder)
    for number in range(3):
        last = folder / f"ratings_{number}.csv"
        last.write_text(NAMES + rows(range(100, 101)))
        take_in(home, folder)
        last.unlink()
        take_in(home, folder)
    assert [(4, 4)] == query(
        home,
        "select count(*), count(distinct file_id) from (select file_id from source_files "
        "union all select file_id from retired_source_files)",
    )


def test_where_no_file_can_be_used_nothing_is_held_back_in_silence(
    home: Home, folder: Path
) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    take_in(home, folder)
    (folder / "ratings.csv").write_text(NAMES + "no,number,here\n")
    with pytest.raises(SourceError, match="1 of 1 rows of ratings cannot be used"):
        take_in(home, folder)
    assert [(1000,)] == query(home, "select count(*) from ratings")


def test_the_past_is_whole_from_the_last_state_that_was_forgotten_on(
    home: Home, folder: Path
) -> None:
    for num_users in (100, 99, 98):
        (folder / "ratings.csv").write_text(NAMES + rows(range(num_users)))
        take_in(home, folder)
    retired = query(home, "select retired_at from retired_source_files order by 1")
    forgetful = UNATTENDED.ingest.model_copy(update={"history_days": 0})
    ingest(home, [str(folder)], UNATTENDED.model_copy(update={"ingest": forgetful}))
    assert 2 == len(set(retired))
    assert retired[-1:] == query(home, "select forgotten_before from history")
    assert [(0,)] == query(home, "select count(*) from retired_ratings")


def test_of_a_state_that_was_retired_since_nothing_is_forgotten(home: Home, folder: Path) -> None:
    for number in range(3):
        (folder / "ratings.csv").write_text(NAMES + rows(range(110 - number)) + "x,1,4\n")
        (folder / "movies.csv").write_text(f"movieId,title,genres\n1,Heat {number},Drama\n")
        (folder / "users.dat").write_text(f"1::F::1::10::4806{number}\n")
        take_in(home, folder)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(
            "update retired_source_files set retired_at = retired_at - interval 2 day "
            "where retired_at = (select min(retired_at) from retired_source_files)"
        )
    (_, since) = query(home, "select distinct retired_at from retired_source_files order by 1")
    expected = query(
        home, f"from retired_source_files select file_id where retired_at = '{since[0]}'"
    )
    a_day = UNATTENDED.ingest.model_copy(update={"history_days": 1})
    ingest(home, [str(folder)], UNATTENDED.model_copy(update={"ingest": a_day}))
    of_rows = [
        query(home, f"select distinct file_id from retired_{table}")
        for table in ("ratings", "rejected_rows", "movie_rows", "user_rows")
    ]
    assert 3 == len(expected)
    assert set(expected) == set(query(home, "select file_id from retired_source_files"))
    assert [1, 1, 1, 1] == list(map(len, of_rows))
    assert set(expected) == {file_id for (file_id,) in of_rows}


def test_what_the_vectors_were_built_from_is_forgotten_last_and_gives_no_past_back(
    home: Home, folder: Path
) -> None:
    forgetful = UNATTENDED.ingest.model_copy(update={"history_days": 0})
    config = UNATTENDED.model_copy(update={"ingest": forgetful})
    for num_users in (100, 99, 98):
        (folder / "ratings.csv").write_text(NAMES + rows(range(num_users)))
        take_in(home, folder)
        if num_users == 100:
            materialize(home, config)
    first, second = query(home, "from retired_source_files select file_id, retired_at order by 2")
    ingest(home, [str(folder)], config)
    assert [first] == query(home, "from retired_source_files select file_id, retired_at")
    materialize(home, config)
    ingest(home, [str(folder)], config)
    assert [] == query(home, "from retired_source_files")
    assert [second[1:]] == query(home, "from history")


def test_what_a_link_led_to_is_gone_with_the_link(home: Home, folder: Path, tmp_path: Path) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    elsewhere = tmp_path / "ratings-elsewhere.csv"
    elsewhere.write_text(NAMES + rows(range(100, 105)))
    (folder / "ratings-link.csv").symlink_to(elsewhere)
    assert 1050 == take_in(home, folder).num_ratings
    (folder / "ratings-link.csv").unlink()
    assert 1000 == take_in(home, folder).num_ratings


def test_a_link_is_known_by_its_own_name(home: Home, folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "9f86d08").write_text(NAMES + rows(range(100)))
    (store / "60303ae").write_bytes(gzip.compress((NAMES + rows(range(100, 102))).encode()))
    (folder / "ratings-a.csv").symlink_to(store / "9f86d08")
    (folder / "ratings-b.csv.gz").symlink_to(store / "60303ae")
    report = take_in(home, folder)
    assert (1020, ()) == (report.num_ratings, report.sources[0].passed_over)
    (store / "fd61a03").write_text(NAMES + rows(range(101)))
    (folder / "ratings-a.csv").unlink()
    (folder / "ratings-a.csv").symlink_to(store / "fd61a03")
    report = take_in(home, folder)
    assert (1, 0) == (2 - report.sources[0].num_files_unchanged, report.sources[0].num_files_gone)
    (store / "fd61a03").unlink()
    (folder / "ratings-c.csv").write_text(NAMES + rows(range(101)))
    assert 1 == take_in(home, folder).sources[0].num_files_gone


def test_a_file_that_a_link_leads_to_is_read_once_and_named_nowhere(
    home: Home, folder: Path
) -> None:
    (folder / "ratings-a.csv").write_text(NAMES + rows(range(10)))
    (folder / "ratings-b.csv").symlink_to(folder / "ratings-a.csv")
    report = take_in(home, folder)
    assert (1, ()) == (report.sources[0].num_files, report.sources[0].passed_over)


def test_a_folder_that_is_a_link_may_lead_elsewhere(home: Home, folder: Path) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    link = folder.with_name("current")
    link.symlink_to(folder)
    take_in(home, link)
    other = folder.with_name("other")
    other.mkdir()
    (other / "ratings.csv").write_text(NAMES + rows(range(99)))
    link.unlink()
    link.symlink_to(other)
    assert 990 == take_in(home, link).num_ratings


def test_what_a_glob_led_to_is_gone_with_the_file(home: Home, folder: Path) -> None:
    (folder / "a.csv").write_text(NAMES + rows(range(100)))
    (folder / "b.csv").write_text(NAMES + rows(range(100, 105)))
    take_in(home, f"{folder}/*.csv")
    (folder / "b.csv").unlink()
    assert 1000 == take_in(home, f"{folder}/*.csv").num_ratings


def test_a_folder_that_is_not_mounted_forgets_nothing(home: Home, folder: Path) -> None:
    (folder / "ratings.csv").write_text(NAMES + rows(range(100)))
    (folder / "ratings_new.csv").write_text(NAMES + rows(range(100, 102)))
    take_in(home, folder)
    (folder / "ratings.csv").rename(folder / "aside")
    with pytest.raises(SourceError, match=r"1 files are gone .*, with 1,000 of 1,020 ratings"):
        take_in(home, folder)
    shutil.rmtree(folder)
    with pytest.raises(SourceError, match="no such file or folder"):
        take_in(home, folder)
    assert [(1020,)] == query(home, "select count(*) from ratings")


def test_a_folder_of_the_same_name_elsewhere_is_another_source(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, users in (("here", range(100)), ("there", range(100, 105))):
        (tmp_path / name / "drop").mkdir(parents=True)
        (tmp_path / name / "drop" / "ratings.csv").write_text(NAMES + rows(users))
    for name in ("there", "here", "there"):
        monkeypatch.chdir(tmp_path / name)
        report = take_in(home, "drop")
        assert 0 == report.sources[0].num_files_gone
    assert 1050 == report.num_ratings
