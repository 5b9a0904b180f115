"""A warehouse that has lived through changes is the one that a full rebuild would give."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.vectors.materialize import MaterializeReport, materialize
from deeprec.warehouse.database import open_database

CONFIG = load_config(
    None,
    [
        "warehouse.threads=1",
        "ingest.forget_gone=true",
        "ingest.max_gone_fraction=1",
        "split.test_fraction=0.2",
        "split.dev_fraction=0.2",
    ],
)
RELATIONS = {
    "ratings": "select r.* exclude (file_id), s.path from ratings r join source_files s "
    "using (file_id)",
    "superseded": "select r.* exclude (file_id), s.path from superseded_ratings r "
    "join source_files s using (file_id)",
    "rejected": "select r.* exclude (file_id), s.path from rejected_rows r "
    "join source_files s using (file_id)",
    "files": "select * exclude (file_id, ingested_at) from source_files",
    "movies": "from movies",
    "users": "from users",
    "vectors": "from user_vectors",
    "parts": "from split_vectors",
    "counts": "from split_counts",
    "built": "select relation, data_digest from materializations",
    "scale": "from rating_scale",
}
Rating = tuple[int, int, int, int]  # user, movie, rating, day
ratings = st.lists(
    st.tuples(st.integers(1, 12), st.integers(1, 9), st.integers(1, 5), st.integers(1, 28)),
    min_size=1,
    max_size=25,
)
names = st.sampled_from(["ratings_a.csv", "ratings_b.csv", "ratings_c.csv"])
KEPT = [(50, movie, 1 + movie % 5, 1) for movie in range(50, 70)]  # so that train is never empty
changes = st.lists(st.tuples(names, st.one_of(st.none(), ratings)), min_size=1, max_size=6)


def write(file: Path, rows: list[Rating]) -> None:
    lines = [f"{user},{movie},{rating},2005-01-{day:02}" for user, movie, rating, day in rows]
    file.write_text("user_id,movie_id,rating,date\n" + "\n".join(lines) + "\n")


def taken_in(home: Home, folder: Path, config: Config = CONFIG) -> MaterializeReport:
    ingest(home, [str(folder)], config)
    return materialize(home, config)


def contents(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    with open_database(home.warehouse, read_only=True) as warehouse:
        read = warehouse._connection
        return {
            name: read.execute(f"select * from ({query}) order by all").fetchall()
            for name, query in RELATIONS.items()
        }


@settings(max_examples=5)
@given(base=ratings, changes=changes)
def test_any_sequence_of_changes_leaves_what_a_full_rebuild_gives(
    tmp_path_factory: pytest.TempPathFactory,
    base: list[Rating],
    changes: list[tuple[str, list[Rating] | None]],
) -> None:
    root = tmp_path_factory.mktemp("changes")
    folder, home = root / "drop", Home(root / "home")
    folder.mkdir()
    write(folder / "ratings_kept.csv", [*base, *KEPT])
    taken_in(home, folder)
    for name, rows in changes:
        if rows is None:
            (folder / name).unlink(missing_ok=True)
        else:
            write(folder / name, rows)
        taken_in(home, folder)
    rebuilt = Home(root / "rebuilt")
    taken_in(rebuilt, folder)
    assert contents(home) == contents(rebuilt)
    shutil.rmtree(root)


def many(first_user: int) -> list[Rating]:
    return [
        (first_user + user, movie, 1 + (user + movie) % 5, 1)
        for user in range(30)
        for movie in range(10, 20)
    ]


def test_only_touched_users_are_built_again(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    write(folder / "ratings_a.csv", many(100))
    assert 30 == taken_in(home, folder).num_users_rebuilt
    write(folder / "ratings_b.csv", [(101, 1, 3, 2), (500, 12, 4, 2)])
    assert 2 == taken_in(home, folder).num_users_rebuilt
    assert 0 == taken_in(home, folder).num_users_rebuilt
    (folder / "ratings_b.csv").unlink()
    report = taken_in(home, folder)
    assert (1, 30) == (report.num_users_rebuilt, report.num_users)


def test_what_vectors_were_built_from_is_remembered_until_they_are_built_anew(
    home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    short = CONFIG.model_copy(
        update={"ingest": CONFIG.ingest.model_copy(update={"history_days": 0})}
    )
    write(folder / "ratings_a.csv", many(100))
    write(folder / "ratings_b.csv", [(101, 1, 3, 2)])
    taken_in(home, folder, short)
    write(folder / "ratings_b.csv", [(101, 1, 4, 2)])
    ingest(home, [str(folder)], short)
    write(folder / "ratings_b.csv", [(101, 1, 5, 2)])
    assert 1 == taken_in(home, folder, short).num_users_rebuilt
    ingest(home, [str(folder)], short)
    with duckdb.connect(home.warehouse, read_only=True) as connection:
        assert [(0,)] == connection.execute("select count(*) from retired_ratings").fetchall()


def test_vectors_of_a_past_that_is_forgotten_are_all_built_anew(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    write(folder / "ratings_a.csv", many(100))
    write(folder / "ratings_b.csv", [(101, 1, 3, 2)])
    taken_in(home, folder)
    write(folder / "ratings_b.csv", [(101, 1, 4, 2)])
    ingest(home, [str(folder)], CONFIG)
    with duckdb.connect(home.warehouse) as connection:  # as deeprec did before it remembered
        connection.execute("delete from retired_source_files")
    assert 30 == taken_in(home, folder).num_users_rebuilt


@pytest.mark.parametrize("listed", [1, 105, 999])
def test_users_who_are_listed_come_and_go(home: Home, tmp_path: Path, listed: int) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    write(folder / "ratings_a.csv", many(100))
    taken_in(home, folder)
    users = tmp_path / "users.dat"
    for number, user in enumerate((listed, 100)):
        users.write_text(f"{user}::F::1::10::48067\n")
        ingest(home, [str(users)], CONFIG)
        taken_in(home, folder)
        rebuilt = Home(tmp_path / f"rebuilt-{number}")
        ingest(rebuilt, [str(users)], CONFIG)
        taken_in(rebuilt, folder)
        assert contents(home) == contents(rebuilt)


def test_a_file_is_not_taken_for_a_forgotten_one_that_vectors_were_built_from(
    home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    short = CONFIG.model_copy(
        update={"ingest": CONFIG.ingest.model_copy(update={"history_days": 0})}
    )
    write(folder / "ratings_a.csv", many(100))
    write(folder / "ratings_b.csv", [(101, 1, 3, 2)])
    taken_in(home, folder, short)
    (folder / "ratings_b.csv").unlink()
    for _ in range(2):  # what has gone is forgotten by the next
        ingest(home, [str(folder)], short)
    write(folder / "ratings_c.csv", [(102, 1, 4, 2)])
    taken_in(home, folder, short)
    rebuilt = Home(tmp_path / "rebuilt")
    taken_in(rebuilt, folder, short)
    assert contents(home) == contents(rebuilt)


def test_ratings_that_come_later_wait_to_be_held_against_predictions(
    home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    write(folder / "ratings_a.csv", many(100))
    taken_in(home, folder)
    corrected = (101, 10, 5, 3)
    write(folder / "ratings_b.csv", [(101, 1, 3, 2), corrected, (500, 12, 4, 2)])
    taken_in(home, folder)
    with open_database(home.warehouse, read_only=True) as warehouse:
        arrived = warehouse._connection.execute(
            "select user_id, movie_id, rating from arrived_ratings order by all"
        ).fetchall()
    assert [(101, 1, 3.0), (500, 12, 4.0)] == arrived
