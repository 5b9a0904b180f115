"""Each check finds the harm that it is for, and nothing in what is sound."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from deeprec.config.checks import ChecksConfig
from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.config.scoring import Form
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.scoring.score import score
from deeprec.scoring.scores_file import stored_totals
from deeprec.warehouse.checks import CheckResult, check_ratings, check_scores, drift_result
from deeprec.warehouse.database import open_database

NOW = datetime(2026, 1, 1)  # noqa: DTZ001 - UTC, as all our moments
LONG_AGO = datetime(1970, 1, 1)  # noqa: DTZ001
CONFIG = ChecksConfig()
NUM_MOVIES = 26
REJECTED = "insert into rejected_rows select file_id, 9, 'x', 'off_scale' from source_files limit 1"
NO_NUMBERS = "update user_codes set code = ['nan'::float for _ in code::float[]]"
LOSER = "insert into superseded_ratings values (1, 10, 3, null, 0, 99)"


def harm(file: Path, *statements: str) -> None:
    with duckdb.connect(str(file)) as connection:
        for statement in statements:
            connection.execute(statement)


def of_ratings(
    home: Home, since: datetime = LONG_AGO, num_arrived: int = 0
) -> dict[str, CheckResult]:
    with open_database(home.warehouse, read_only=True) as warehouse:
        results = check_ratings(
            warehouse, CONFIG, now=NOW, since=since, night_id="tonight", num_arrived=num_arrived
        )
    return {result.name.removeprefix("ratings/"): result for result in results}


def test_sound_ratings_are_healthy(trained_home: Home) -> None:
    assert [] == [result.name for result in of_ratings(trained_home).values() if result.num_rows]


@pytest.mark.parametrize(
    ("scale", "ratings"),
    [("{minimum=0.7, maximum=5}", "0.7 5 1"), ("{minimum=0, maximum=1000, step=0.01}", "999.97 0")],
)
def test_what_was_taken_in_is_on_its_scale(
    home: Home, tmp_path: Path, scale: str, ratings: str
) -> None:
    lines = [f"1,{movie},{rating}" for movie, rating in enumerate(ratings.split())]
    (tmp_path / "ratings.csv").write_text("\n".join(["user_id,movie_id,rating", *lines]) + "\n")
    ingest(home, [str(tmp_path)], load_config(None, [f"ingest.scale={scale}"]))
    assert 0 == of_ratings(home)["on_the_scale"].num_rows


@pytest.mark.parametrize(
    ("check", "statement", "is_blocking"),
    [
        ("rated_once", "insert into ratings from ratings limit 1", True),
        ("on_the_scale", "update ratings set rating = 5.5 where line_number = 2", True),
        ("on_the_scale", "update ratings set rating = 0.5 where line_number = 2", True),
        ("on_the_scale", "update ratings set rating = 'nan' where line_number = 2", True),
        ("source_file_counts", "delete from ratings where line_number = 2", True),
        ("source_file_counts", REJECTED, True),
        ("source_file_counts", LOSER, True),
        ("losers_have_winners", LOSER, True),
        ("titled_movies", "update movies set title = null where movie_id between 10 and 19", False),
        ("usable_rows", REJECTED, False),
    ],
)
def test_ratings_that_were_harmed_are_found(
    trained_home: Home, check: str, statement: str, is_blocking: bool
) -> None:
    harm(trained_home.warehouse, statement)
    found = of_ratings(trained_home)[check]
    assert (1, is_blocking) == (found.num_rows, found.is_blocking)


def test_rows_that_were_rejected_before_the_last_night_are_not_told_again(
    trained_home: Home,
) -> None:
    harm(trained_home.warehouse, REJECTED)
    since = datetime.now() + timedelta(days=2)  # noqa: DTZ005 - after all that was taken in
    assert 0 == of_ratings(trained_home, since)["usable_rows"].num_rows


def test_movies_without_titles_are_none_where_no_movie_has_one(trained_home: Home) -> None:
    harm(trained_home.warehouse, "update movies set title = null")
    assert 0 == of_ratings(trained_home)["titled_movies"].num_rows


def test_a_night_of_unusual_volume_is_told_once_there_is_a_habit(trained_home: Home) -> None:
    nights = [
        f"insert into nights values ('{night}', '2005-01-0{night}', 'done', now()::timestamp, "
        f"now()::timestamp, {num_arrived})"
        for night, num_arrived in enumerate((100, 300, 0, 200), start=1)
    ]
    harm(trained_home.warehouse, *nights[:3])
    assert 0 == of_ratings(trained_home, num_arrived=1)["usual_volume"].num_rows
    harm(trained_home.warehouse, nights[3])
    found = [
        of_ratings(trained_home, num_arrived=num_arrived)["usual_volume"].num_rows
        for num_arrived in (0, 19, 20, 2000, 2001)
    ]
    assert [0, 1, 0, 0, 1] == found


@pytest.fixture
def rows(trained_home: Home, tiny_config: Config, tmp_path: Path) -> Path:
    """What is published, as rows."""
    published, file = score(trained_home, tiny_config).path, tmp_path / "rows.duckdb"
    copied = ("predicted_ratings", "recommendations", "movies", "users", "scoring_shards")
    harm(
        file,
        f"attach '{published}' as published (read_only)",
        *(f"create table {table} as from published.{table}" for table in copied),
    )
    return file


@pytest.fixture
def codes(trained_home: Home, tiny_config: Config, tmp_path: Path) -> Path:
    """What is published, as a code a user and movie."""
    factored = tiny_config.score.model_copy(update={"storage": "factored"})
    report = score(trained_home, tiny_config.model_copy(update={"score": factored}))
    return Path(shutil.copyfile(report.path, tmp_path / "codes.duckdb"))


def of_scores(file: Path, form: Form, check: str) -> CheckResult:
    limits = {"num_movies": NUM_MOVIES, "top_n": 5, "min_ratings": 0, "lowest": 1.0, "highest": 5.0}
    with open_database(file, read_only=True) as scores:
        totals = stored_totals(scores, form)._asdict()
        results = check_scores(scores, form, CONFIG, **limits, **totals)
    (found,) = [result for result in results if result.name == f"scores/{check}"]
    return found


@pytest.mark.parametrize(
    "statement",
    [
        "delete from predicted_ratings where user_id = 1003",
        "delete from predicted_ratings where user_id = 1003 and movie_id = 7000",
        "insert into predicted_ratings from predicted_ratings where user_id = 1003 limit 1",
        "update predicted_ratings set predicted_rating = 5.01 where user_id = 1003",
        "update predicted_ratings set predicted_rating = 0.99 where user_id = 1003",
        "delete from users where user_id = 1003",
    ],
)
def test_rows_that_were_harmed_are_found(rows: Path, statement: str) -> None:
    check = "every_row_for_every_user"
    assert 0 == of_scores(rows, "rows", check).num_rows
    harm(rows, statement)
    found = of_scores(rows, "rows", check)
    assert found.is_blocking
    assert ["1003"] == [row["user_id"] for row in found.shown]


@pytest.mark.parametrize(
    ("statement", "whose"),
    [
        ("delete from user_codes where user_id = 1003", "user"),
        ("insert into user_codes from user_codes where user_id = 1003", "user"),
        (f"{NO_NUMBERS} where user_id = 1003", "user"),
        ("delete from movie_codes where movie_id = 7000", "movie"),
        ("insert into user_codes select 1, code from user_codes limit 1", "user"),
    ],
)
def test_codes_that_were_harmed_are_found(codes: Path, statement: str, whose: str) -> None:
    check = "a_code_for_every_user"
    assert 0 == of_scores(codes, "factored", check).num_rows
    harm(codes, statement)
    found = of_scores(codes, "factored", check)
    assert found.is_blocking
    assert [whose] == [row["whose"] for row in found.shown]


def test_drift_warns_and_then_blocks_unless_told_otherwise() -> None:
    def found(psi: float, **severity: str) -> tuple[int, bool] | None:
        told = {f"drift.{quantity}": value for quantity, value in severity.items()}
        config = ChecksConfig.model_validate({"severity": told})
        result = drift_result("ratings", psi, "run", config)
        return (result.num_rows, result.is_blocking) if result else None

    assert [(0, False), (1, False), (1, False), (1, True)] == [
        found(psi) for psi in (0.09, 0.1, 0.49, 0.5)
    ]
    assert (1, False) == found(0.5, ratings="warn")
    assert (1, True) == found(0.1, ratings="block")
    assert found(0.5, ratings="off") is None
