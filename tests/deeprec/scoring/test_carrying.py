"""A run that carries rows over publishes what a run over everybody would."""

import logging
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.scoring import runs
from deeprec.scoring.publishing import ScoreReport, publish_run
from deeprec.scoring.runs import prepare_run
from deeprec.scoring.score import score, score_shard
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize

NUM_USERS, NUM_MOVIES = 24, 12
STORAGES: tuple[Literal["dense", "factored"], ...] = ("dense", "factored")
PUBLISHED = ("predicted_ratings", "recommendations", "users", "movies")


@dataclass
class Catalogue:
    """Ratings in files that are written anew when they change, taken in and scored."""

    home: Home
    folder: Path
    ratings: dict[tuple[int, int], int] = field(default_factory=dict)
    users: list[int] = field(default_factory=list)
    movies: list[int] = field(default_factory=list)

    @classmethod
    def new(cls, folder: Path) -> "Catalogue":
        users, movies = list(range(100, 100 + NUM_USERS)), list(range(NUM_MOVIES))
        cells = [(user, movie) for user in users for movie in movies if (user + movie) % 3]
        ratings = {cell: 1 + (cell[0] * 7 + cell[1] * 3) % 5 for cell in cells}
        return cls(Home(folder / "home"), folder, ratings, users, movies)

    def take_in(self, config: Config) -> None:
        rows = [f"{user},{movie},{stars}" for (user, movie), stars in self.ratings.items()]
        texts = {
            "ratings.csv": "\n".join(["user_id,movie_id,rating", *rows]) + "\n",
            "movie_titles.txt": "".join(f"{movie},1999,Picture {movie}\n" for movie in self.movies),
            "users.dat": "".join(f"{user}::F::1::10::48067\n" for user in self.users),
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text)
        ingest(self.home, [str(self.folder / name) for name in texts], config)
        materialize(self.home, config)

    def rate_anew(self, num_users: int) -> None:
        """Another rating by each of the first users."""
        for user in self.users[:num_users]:
            stars = self.ratings.get((user, self.movies[0]), 0)
            self.ratings[user, self.movies[0]] = 1 + stars % 5

    def change(self, what: str, one: int, other: int) -> None:
        user, movie = self.users[one % len(self.users)], self.movies[other % len(self.movies)]
        if what == "rate":
            self.ratings[user, movie] = 1 + one % 5
        elif what == "take back":
            self.ratings.pop((user, movie), None)
        elif what == "leave":
            self.users = [each for each in self.users if each != user] or self.users
            self.ratings = {cell: s for cell, s in self.ratings.items() if cell[0] in self.users}
        elif what == "join":
            self.users.append(max(self.users) + 1)
            self.ratings[self.users[-1], movie] = 1 + one % 5
        elif what == "list":
            self.users.append(max(self.users) + 1)
        else:
            self.movies.append(max(self.movies) + 1)


def told(config: Config, **settings: object) -> Config:
    return config.model_copy(update={"score": config.score.model_copy(update=settings)})


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    return [query(path, f"select * from {table} order by all") for table in PUBLISHED]


def in_full(home: Home, config: Config) -> list[list[tuple[Any, ...]]]:
    """What a run over everybody publishes from a copy of the home."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Home(shutil.copytree(home.path, Path(folder) / "home"))
        report = score(copy, told(config, incremental=False))
        assert report.num_users == report.num_users_scored
        return contents(report.path)


def shares(report: ScoreReport) -> tuple[int, int]:
    return report.num_users_scored, report.num_users_carried_over


@pytest.fixture(scope="session")
def _trained_catalogue(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    catalogue = Catalogue.new(folder)
    catalogue.take_in(tiny_config)
    train(catalogue.home, tiny_config)
    for storage in STORAGES:
        report = score(catalogue.home, few_a_shard(tiny_config, storage))
        report.path.rename(folder / storage)
    return folder


@contextmanager
def copied(trained: Path, storage: str) -> Iterator[Catalogue]:
    """A catalogue that has been scored in full once."""
    with tempfile.TemporaryDirectory() as folder:
        catalogue = Catalogue.new(trained)  # its files keep their paths, to be written anew
        catalogue.home = Home(shutil.copytree(trained / "home", Path(folder) / "home"))
        shutil.copy2(trained / storage, catalogue.home.predictions)
        catalogue.take_in(load_config(None, []))
        yield catalogue


@pytest.fixture
def scored(_trained_catalogue: Path) -> Iterator[Catalogue]:
    with copied(_trained_catalogue, "dense") as catalogue:
        yield catalogue


@pytest.fixture
def config(tiny_config: Config) -> Config:
    return few_a_shard(tiny_config, "dense")


def few_a_shard(config: Config, storage: str) -> Config:
    return told(config, storage=storage, shard_cells=2 * NUM_MOVIES)


CHANGES = st.tuples(
    st.sampled_from(["rate", "rate", "take back", "leave", "join", "list", "new movie"]),
    st.integers(0, 99),
    st.integers(0, 99),
)


@pytest.mark.parametrize("storage", STORAGES)
@given(nights=st.lists(st.lists(CHANGES, max_size=4), min_size=1, max_size=2))
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_changes_each_night_gives_what_scoring_everybody_gives(
    _trained_catalogue: Path,  # noqa: PT019 - hypothesis gives it too
    tiny_config: Config,
    storage: str,
    nights: list[list[tuple[str, int, int]]],
) -> None:
    config = told(tiny_config, storage=storage, shard_cells=9 * NUM_MOVIES)
    no_drift = config.checks.model_copy(update={"block_psi": 1e9})  # a change moves much of so few
    config = config.model_copy(update={"checks": no_drift})
    with copied(_trained_catalogue, storage) as catalogue:
        for changes in nights:
            ratings, users = dict(catalogue.ratings), catalogue.users[:]
            movies = catalogue.movies[:]
            for change in changes:
                catalogue.change(*change)
            catalogue.take_in(config)
            expected = in_full(catalogue.home, config)
            report = score(catalogue.home, config)
            assert expected == contents(report.path)
            assert report.num_users == sum(shares(report)) == len(catalogue.users)
            touched = {cell[0] for cell, _ in set(ratings.items()) ^ set(catalogue.ratings.items())}
            touched |= set(catalogue.users) - set(users)
            num_scored = len(touched & set(catalogue.users))
            if movies != catalogue.movies:
                num_scored = report.num_users
            assert num_scored == report.num_users_scored


def test_nothing_changed_is_nothing_scored_and_a_run_published(
    scored: Catalogue, config: Config
) -> None:
    before = contents(scored.home.predictions)
    report = score(scored.home, config)
    assert (0, NUM_USERS) == shares(report)
    assert before == contents(report.path)
    assert [(report.run_id, "published")] == query(
        report.path, "select run_id, status from scoring_runs order by started_at desc limit 1"
    )
    assert [(0,)] == query(report.path, "select count(*) from scoring_shards where shard >= 0")
    assert 0 == report.path.stat().st_mode & 0o222


@pytest.mark.parametrize(
    "setting", [{"top_n": 3}, {"storage": "factored"}, {"batch_size": 7}, {"incremental": False}]
)
def test_other_settings_score_everybody(
    scored: Catalogue, config: Config, setting: dict[str, object]
) -> None:
    assert (NUM_USERS, 0) == shares(score(scored.home, told(config, **setting)))


def test_another_bundle_scores_everybody(scored: Catalogue, tiny_config: Config) -> None:
    other = tiny_config.model_copy(
        update={"train": tiny_config.train.model_copy(update={"seed": 1})}
    )
    train(scored.home, other)
    config = few_a_shard(tiny_config, "dense")
    expected = in_full(scored.home, config)
    report = score(scored.home, config)
    assert (NUM_USERS, 0) == shares(report)
    assert expected == contents(report.path)


def test_other_versions_score_everybody(
    scored: Catalogue, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "installed_versions", lambda: {"onnxruntime": "another"})
    assert (NUM_USERS, 0) == shares(score(scored.home, config))
    assert (0, NUM_USERS) == shares(score(scored.home, config))


def test_a_user_beyond_32_bits_is_scored_with_everybody(scored: Catalogue, config: Config) -> None:
    scored.users.append(2**40)
    scored.ratings[2**40, scored.movies[0]] = 3
    scored.take_in(config)
    expected = in_full(scored.home, config)
    report = score(scored.home, config)
    assert (NUM_USERS + 1, 0) == shares(report)
    assert expected == contents(report.path)


@pytest.mark.long
def test_a_model_that_looks_at_movies_scores_everybody_when_anybody_has_changed(
    scored: Catalogue, config: Config
) -> None:
    kernel = load_config(None, ['model={kind="kernel_ridge", ridge=0.7}', "name=kernel"])
    train(scored.home, kernel.model_copy(update={"split": config.split}))
    assert (NUM_USERS, 0) == shares(score(scored.home, config))
    assert (0, NUM_USERS) == shares(score(scored.home, config))
    scored.rate_anew(1)
    scored.take_in(config)
    assert (NUM_USERS, 0) == shares(score(scored.home, config))


KILLED_AFTER_A_SHARD = """
import os, signal, sys
from pathlib import Path
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.scoring.score import score

def die(what, done, total, unit, note=""):
    os.kill(os.getpid(), signal.SIGKILL)

score(Home(Path(sys.argv[1])), Config.model_validate_json(sys.argv[2]), die)
"""


def test_a_run_killed_between_its_shards_goes_on(scored: Catalogue, config: Config) -> None:
    scored.rate_anew(7)
    scored.take_in(config)
    expected, before = in_full(scored.home, config), contents(scored.home.predictions)
    arguments = [str(scored.home.path), config.model_dump_json()]
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_A_SHARD, *arguments], check=False)
    assert -signal.SIGKILL == killed.returncode
    assert before == contents(scored.home.predictions)
    (run_dir,) = scored.home.runs.iterdir()
    plan = prepare_run(scored.home, config)
    assert (run_dir.name, 4) == (plan.run_id, plan.num_shards)
    done = [score_shard(plan.location, shard).skipped for shard in range(plan.num_shards)]
    assert done[0]
    report = publish_run(scored.home, plan.run_dir, config)
    assert (7, NUM_USERS - 7) == shares(report)
    assert expected == contents(report.path)


def test_a_run_killed_while_it_is_prepared_leaves_nothing_to_trust(
    scored: Catalogue, config: Config
) -> None:
    """As if killed between the copy and the plan: the folder is there, its plan is not."""
    before = contents(scored.home.predictions)
    (scored.home.runs / "half").mkdir(parents=True)
    shutil.copyfile(scored.home.predictions, scored.home.runs / "half" / "scores.duckdb")
    report = score(scored.home, config)
    assert (0, NUM_USERS) == shares(report)
    assert before == contents(report.path)
    assert [] == list(scored.home.runs.iterdir())


def test_a_shard_that_is_missing_is_not_made_up_for_by_what_was_carried_over(
    scored: Catalogue, config: Config
) -> None:
    scored.rate_anew(7)
    scored.take_in(config)
    expected = in_full(scored.home, config)
    plan = prepare_run(scored.home, config)
    score_shard(plan.location, 1)
    with pytest.raises(WarehouseError, match="1 of 4 shards"):
        publish_run(scored.home, plan.run_dir, config)
    report = score(scored.home, config)
    assert (plan.run_id, 7) == (report.run_id, report.num_users_scored)
    assert expected == contents(report.path)


WRITER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_held_open_for_writing_is_not_carried_over_from(
    scored: Catalogue, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    published = scored.home.predictions
    published.chmod(0o644)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(published)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        assert "open\n" == shell.stdout.readline()
        published.chmod(0o444)
        with caplog.at_level(logging.WARNING):
            report = score(scored.home, config)
        shell.communicate("")
    assert (NUM_USERS, 0) == shares(report)
    assert "no row can be carried over" in caplog.text
    assert "held by another process" in caplog.text


@pytest.mark.parametrize(("num_kept_bytes", "is_made_anew"), [(2**20, True), (2**26, False)])
def test_a_file_of_which_much_is_free_is_made_anew(
    scored: Catalogue,
    config: Config,
    caplog: pytest.LogCaptureFixture,
    num_kept_bytes: int,
    is_made_anew: bool,
) -> None:
    published = scored.home.predictions
    published.chmod(0o644)
    with duckdb.connect(str(published)) as file:
        make = "create table {} as select random() from range(0, ({} / 8)::int)"
        for table, num_bytes in (("gone", 24 * 2**20), ("kept", num_kept_bytes)):
            file.execute(make.format(table, num_bytes))
            file.execute("checkpoint")
        file.execute("drop table gone")
        file.execute("checkpoint")
    published.chmod(0o444)
    before = published.stat().st_size
    assert before > 20 * 2**20
    with caplog.at_level(logging.INFO):
        report = score(scored.home, config)
    assert is_made_anew == ("is free, so it is made anew" in caplog.text)
    assert shares(report) == ((NUM_USERS, 0) if is_made_anew else (0, NUM_USERS))
    assert is_made_anew == (published.stat().st_size < before / 2)


def test_a_file_that_was_made_writable_is_not_trusted(
    scored: Catalogue, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    expected = contents(scored.home.predictions)
    scored.home.predictions.chmod(0o644)
    with duckdb.connect(str(scored.home.predictions)) as connection:
        connection.execute("update rating_blocks set ratings = [1 for _ in ratings]")
    with caplog.at_level(logging.WARNING):
        report = score(scored.home, config)
    assert (NUM_USERS, 0) == shares(report)
    assert expected == contents(report.path)
    assert "was made writable" in caplog.text


@pytest.mark.parametrize("text", ["", "not a DuckDB file at all"])
def test_a_damaged_file_is_replaced(scored: Catalogue, config: Config, text: str) -> None:
    expected = contents(scored.home.predictions)
    scored.home.predictions.chmod(0o644)
    scored.home.predictions.write_text(text)
    scored.home.predictions.chmod(0o444)
    report = score(scored.home, config)
    assert (NUM_USERS, 0) == shares(report)
    assert expected == contents(report.path)


def test_a_file_of_a_release_that_knew_no_digests_is_replaced(
    scored: Catalogue, config: Config
) -> None:
    expected = contents(scored.home.predictions)
    scored.home.predictions.chmod(0o644)
    with duckdb.connect(str(scored.home.predictions)) as connection:
        connection.execute("drop table recipe")
        connection.execute("alter table users drop column vector_digest")
    scored.home.predictions.chmod(0o444)
    report = score(scored.home, config)
    assert (NUM_USERS, 0) == shares(report)
    assert expected == contents(report.path)
    assert (0, NUM_USERS) == shares(score(scored.home, config))


def test_a_reader_neither_stops_carrying_over_nor_notices_it(
    scored: Catalogue, config: Config
) -> None:
    script = WRITER.replace("(sys.argv[1])", "(sys.argv[1], read_only=True)")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(scored.home.predictions)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        assert "open\n" == shell.stdout.readline()
        report = score(scored.home, config)
        shell.communicate("")
    assert (0, NUM_USERS) == shares(report)
