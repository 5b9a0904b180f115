import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from deeprec.config.run import Config
from deeprec.errors import BundleError, WarehouseError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.models.bundles import open_bundle
from deeprec.models.prediction import in_hundredths
from deeprec.ratings import RatingScale
from deeprec.scoring import runs
from deeprec.scoring.publishing import publish_run
from deeprec.scoring.runs import prepare_run
from deeprec.scoring.score import score, score_shard
from deeprec.scoring.scores_file import SCORES
from deeprec.splits import Part
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize, read_split
from deeprec.warehouse.opening import open_warehouse

NUM_USERS, NUM_MOVIES = 41, 26
LONER, UNRATED = 99, (7000, 7001)


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def contents(path: Path) -> list[list[tuple[Any, ...]]]:
    return [
        query(path, f"select * from {table} order by all")
        for table in ("predicted_ratings", "recommendations", "movies", "users")
    ]


def test_every_user_gets_a_prediction_on_the_scale_for_every_movie(
    trained_home: Home, tiny_config: Config
) -> None:
    report = score(trained_home, tiny_config)
    assert (NUM_USERS, NUM_MOVIES) == (report.num_users, report.num_movies)
    assert [(NUM_USERS * NUM_MOVIES, NUM_USERS, NUM_MOVIES, 0)] == query(
        report.path,
        "select count(*), count(distinct user_id), count(distinct movie_id), "
        "count(*) filter (predicted_rating not between 1 and 5) from predicted_ratings",
    )
    assert [(NUM_USERS * NUM_MOVIES,)] == query(
        report.path,
        "select count(*) from (select distinct user_id, movie_id from predicted_ratings)",
    )
    ((value,),) = query(report.path, "select max(predicted_rating) from predicted_ratings")
    assert isinstance(value, Decimal)
    assert -2 == value.as_tuple().exponent


def test_a_score_is_what_the_graph_says_of_the_whole_vector(
    trained_home: Home, tiny_config: Config
) -> None:
    report = score(trained_home, tiny_config)
    with open_warehouse(trained_home) as warehouse:
        ratings = read_split(warehouse, tiny_config.split).everything
    (bundle_dir,) = trained_home.models.iterdir()
    bundle = open_bundle(bundle_dir)
    row = ratings.user_ids_U.tolist().index(1003)
    vector = ratings.select_rows(slice(row, row + 1)).restrict_movies(bundle.vocabulary.movie_ids_M)
    predicted_M = bundle.model("cpu").predict(vector, {}, counted=True)[0].clip(1, 5)
    found = dict(
        query(
            report.path,
            "select movie_id, predicted_rating from predicted_ratings where user_id = 1003",
        )
    )
    assert len(found) == NUM_MOVIES
    for movie_id, predicted in zip(
        bundle.vocabulary.movie_ids_M.tolist(), predicted_M, strict=True
    ):
        assert float(predicted) == pytest.approx(float(found[movie_id]), abs=0.0051)


def test_held_out_ratings_are_part_of_what_a_score_knows(
    trained_home: Home, tiny_config: Config
) -> None:
    report = score(trained_home, tiny_config)
    with open_warehouse(trained_home) as warehouse:
        ratings = read_split(warehouse, tiny_config.split)
    assert ratings.part(Part.TRAIN).num_ratings < ratings.everything.num_ratings
    assert [(ratings.everything.num_ratings,)] == query(
        report.path, "select sum(num_ratings)::bigint from users"
    )


def test_recommendations_are_the_best_unrated_movies_without_gaps(
    trained_home: Home, tiny_config: Config
) -> None:
    report = score(trained_home, tiny_config)
    with open_warehouse(trained_home) as warehouse:
        everything = read_split(warehouse, tiny_config.split).everything
    users, movies = everything.values_UM.nonzero()
    rated = set(
        zip(
            everything.user_ids_U[users].tolist(),
            everything.movie_ids_M[movies].tolist(),
            strict=True,
        )
    )
    predicted = {
        (user, movie): rating
        for user, movie, rating in query(report.path, "select * from predicted_ratings")
    }
    rows = query(
        report.path, "select user_id, rank, movie_id, predicted_rating from recommendations"
    )
    by_user: dict[int, list[tuple[int, int, Decimal]]] = {}
    for user, rank, movie, rating in rows:
        assert (user, movie) not in rated
        assert predicted[user, movie] == rating
        by_user.setdefault(user, []).append((rank, movie, rating))
    assert set(everything.user_ids_U.tolist()) == set(by_user)
    for user, listed in by_user.items():
        listed.sort()
        assert [1, 2, 3, 4, 5] == [rank for rank, _, _ in listed]
        ratings = [rating for _, _, rating in listed]
        assert sorted(ratings, reverse=True) == ratings
        left_out = [
            rating
            for (owner, movie), rating in predicted.items()
            if owner == user
            and (user, movie) not in rated
            and movie not in {listed_movie for _, listed_movie, _ in listed}
        ]
        assert max(left_out) <= ratings[-1]


@pytest.mark.parametrize("storage", ["dense", "factored"])
def test_movies_that_few_rated_are_predicted_and_not_recommended(
    trained_home: Home, tiny_config: Config, storage: str
) -> None:
    def scored(**settings: object) -> Path:
        told = tiny_config.score.model_copy(update={"storage": storage, **settings})
        return score(trained_home, tiny_config.model_copy(update={"score": told})).path

    everything = scored(top_n=NUM_MOVIES)
    counts = query(everything, "select num_train_ratings from movies order by all")
    ((least,),) = counts[len(counts) // 2 :][:1]
    predicted = query(everything, "from predicted_ratings order by all")
    expected = query(
        everything,
        "select user_id, row_number() over (partition by user_id order by rank) as place, movie_id "
        f"from recommendations join movies using (movie_id) where num_train_ratings >= {least} "
        "qualify place <= 5 order by all",
    )
    fewer = scored(top_n=5, min_ratings=least)
    assert expected == query(
        fewer, "select user_id, rank, movie_id from recommendations order by all"
    )
    assert predicted == query(fewer, "from predicted_ratings order by all")
    none = scored(min_ratings=10**6)
    assert [(0,)] == query(none, "select count(*) from recommendations")


def test_what_the_model_cannot_know_gets_biases_and_says_so(
    trained_home: Home, tiny_config: Config
) -> None:
    report = score(trained_home, tiny_config)
    assert (1, 2) == (report.num_bias_users, report.num_bias_movies)
    assert [(LONER,)] == query(report.path, "select user_id from users where predicted_by = 'bias'")
    assert [(movie,) for movie in UNRATED] == query(
        report.path, "select movie_id from movies where predicted_by = 'bias' order by 1"
    )
    (bundle_dir,) = trained_home.models.iterdir()
    bundle = open_bundle(bundle_dir)
    expected = bundle.manifest.global_mean + float(bundle.vocabulary.bias_M[0])
    ((found,),) = query(
        report.path,
        "select predicted_rating from predicted_ratings "
        f"where user_id = {LONER} and movie_id = {bundle.vocabulary.movie_ids_M[0]}",
    )
    assert expected == pytest.approx(float(found), abs=0.0051)
    ((lonely,),) = query(
        report.path,
        "select predicted_rating from predicted_ratings where user_id = 99 and movie_id = 7000",
    )
    assert bundle.manifest.global_mean == pytest.approx(float(lonely), abs=0.0051)


def test_a_movie_has_its_own_training_ratings_beside_it(
    trained_home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    (bundle_dir,) = trained_home.models.iterdir()
    vocabulary = open_bundle(bundle_dir).vocabulary
    first, between = 3, int(vocabulary.movie_ids_M[-1]) + 1
    titles = tmp_path / "movie_titles.txt"
    titles.write_text(f"{first},1999,Picture {first}\n{between},1999,Picture {between}\n")
    ingest(trained_home, [str(titles)], tiny_config)
    materialize(trained_home, tiny_config)
    report = score(trained_home, tiny_config)
    known = zip(vocabulary.movie_ids_M.tolist(), vocabulary.num_ratings_M.tolist(), strict=True)
    expected = dict.fromkeys((first, between, *UNRATED), 0) | dict(known)
    assert expected == dict(query(report.path, "select movie_id, num_train_ratings from movies"))


def test_scoring_again_publishes_the_same_rows_and_remembers_the_run_before(
    trained_home: Home, tiny_config: Config
) -> None:
    first = score(trained_home, tiny_config)
    before = contents(first.path)
    second = score(trained_home, tiny_config)
    assert before == contents(second.path)
    assert [(first.run_id, "published"), (second.run_id, "published")] == query(
        second.path, "select run_id, status from scoring_runs order by started_at"
    )
    assert [] == list(trained_home.runs.iterdir())


def test_other_batches_and_shards_give_the_same_rows(
    trained_home: Home, tiny_config: Config
) -> None:
    before = contents(score(trained_home, tiny_config).path)
    other = tiny_config.score.model_copy(
        update={"batch_size": 3, "shard_cells": 70, "num_workers": 1}
    )
    after = contents(score(trained_home, tiny_config.model_copy(update={"score": other})).path)
    assert before == after


def test_a_run_that_was_interrupted_goes_on_where_it_stopped(
    trained_home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    undisturbed = Home(shutil.copytree(trained_home.path, tmp_path / "undisturbed"))
    expected = contents(score(undisturbed, tiny_config).path)
    plan = prepare_run(trained_home, tiny_config)
    assert not score_shard(plan.location, 2).skipped
    assert score_shard(plan.location, 2).skipped
    report = score(trained_home, tiny_config)
    assert plan.run_id == report.run_id
    assert expected == contents(report.path)


def test_a_home_that_was_moved_goes_on_where_it_stopped(
    trained_home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    plan = prepare_run(trained_home, tiny_config)
    score_shard(plan.location, 0)
    moved = Home(trained_home.path.rename(tmp_path / "moved"))
    report = score(moved, tiny_config)
    assert (plan.run_id, moved.predictions) == (report.run_id, report.path)


KILLED_AFTER_A_SHARD = """
import os, signal, sys
from pathlib import Path
from deeprec.config.run import Config
from deeprec.home import Home
from deeprec.scoring.score import score

def die(what, done, total, unit, note=""):
    if done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

score(Home(Path(sys.argv[1])), Config.model_validate_json(sys.argv[2]), die)
"""


@pytest.mark.parametrize("shards_done", [1, 4])
def test_a_killed_run_loses_nothing_and_publishes_nothing(
    trained_home: Home, tiny_config: Config, shards_done: int
) -> None:
    before = contents(score(trained_home, tiny_config).path)
    everybody = tiny_config.score.model_copy(update={"incremental": False})
    config = tiny_config.model_copy(update={"score": everybody})
    arguments = [str(trained_home.path), config.model_dump_json(), str(shards_done)]
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_A_SHARD, *arguments], check=False)
    assert -signal.SIGKILL == killed.returncode
    assert before == contents(trained_home.predictions)
    (run_dir,) = trained_home.runs.iterdir()
    report = score(trained_home, config)
    assert run_dir.name == report.run_id
    assert before == contents(report.path)


def test_a_death_between_publishing_and_saying_so_is_settled(
    trained_home: Home, tiny_config: Config
) -> None:
    plan = prepare_run(trained_home, tiny_config)
    for shard in range(plan.num_shards):
        score_shard(plan.location, shard)
    kept = shutil.copytree(plan.run_dir, trained_home.path / "kept")
    publish_run(trained_home, plan.run_dir, tiny_config)
    (kept / SCORES).unlink()
    kept.rename(plan.run_dir)
    report = score(trained_home, tiny_config)
    assert plan.run_id != report.run_id
    assert [("published",), ("published",)] == query(report.path, "select status from scoring_runs")


def test_publishing_twice_is_publishing_once(trained_home: Home, tiny_config: Config) -> None:
    plan = prepare_run(trained_home, tiny_config)
    for shard in range(plan.num_shards):
        score_shard(plan.location, shard)
    kept = shutil.copytree(plan.run_dir, trained_home.path / "kept")
    first = publish_run(trained_home, plan.run_dir, tiny_config)
    (kept / SCORES).unlink()
    kept.rename(plan.run_dir)
    second = publish_run(trained_home, plan.run_dir, tiny_config)
    assert first.model_copy(update={"seconds": second.seconds}) == second
    assert [] == list(trained_home.runs.iterdir())


def test_a_run_of_inputs_that_changed_is_given_up(
    trained_home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    abandoned = prepare_run(trained_home, tiny_config)
    more = tmp_path / "more.csv"
    more.write_text("user_id,movie_id,rating,date\n99,10,5,2005-02-02\n")
    ingest(trained_home, [str(more)], tiny_config)
    with pytest.raises(WarehouseError, match="deeprec materialize"):
        score(trained_home, tiny_config)
    materialize(trained_home, tiny_config)
    report = score(trained_home, tiny_config)
    assert [(abandoned.run_id, "failed"), (report.run_id, "published")] == query(
        report.path, "select run_id, status from scoring_runs order by started_at"
    )
    assert [] == query(report.path, "select user_id from users where predicted_by = 'bias'")


def test_a_folder_that_cannot_be_gone_on_with_is_cleared_away(
    trained_home: Home, tiny_config: Config
) -> None:
    for name, plan in (("a", None), ("b", '{"of": "another deeprec"}'), ("c", "half a pl")):
        folder = trained_home.runs / name
        folder.mkdir(parents=True)
        if plan:
            (folder / "plan.json").write_text(plan)
    stray = trained_home.runs / ".DS_Store"
    stray.touch()
    score(trained_home, tiny_config)
    assert [stray] == list(trained_home.runs.iterdir())


def test_a_release_that_gives_other_rows_goes_on_with_no_run_and_publishes_anew(
    trained_home: Home, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned = prepare_run(trained_home, tiny_config)
    monkeypatch.setattr(runs, "_ROWS_VERSION", 10**6)
    assert abandoned.run_id != prepare_run(trained_home, tiny_config).run_id
    score(trained_home, tiny_config)
    assert runs.is_published(trained_home, tiny_config)
    monkeypatch.setattr(runs, "_ROWS_VERSION", 10**6 + 1)
    assert not runs.is_published(trained_home, tiny_config)


@pytest.mark.parametrize("stage", [materialize, train, score])
def test_a_wrong_home_is_refused_and_not_made(
    home: Home, tiny_config: Config, stage: Callable[[Home, Config], object]
) -> None:
    with pytest.raises(WarehouseError, match="has no warehouse; run `deeprec ingest"):
        stage(home, tiny_config)
    assert not home.path.exists()


def test_moments_are_of_utc_wherever_the_machine_is(
    trained_home: Home, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        report = score(trained_home, tiny_config)
    finally:
        monkeypatch.undo()
        time.tzset()
    ((took,),) = query(report.path, "select max(finished_at) - max(started_at) from scoring_runs")
    assert timedelta() <= took < timedelta(hours=1)


def test_a_run_with_a_shard_missing_is_not_published(
    trained_home: Home, tiny_config: Config
) -> None:
    plan = prepare_run(trained_home, tiny_config)
    score_shard(plan.location, 0)
    with pytest.raises(WarehouseError, match="1 of 5 shards"):
        publish_run(trained_home, plan.run_dir, tiny_config)
    assert not trained_home.predictions.exists()


READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read_only")
print("open", flush=True)
for line in sys.stdin:
    print(connection.execute("select max(run_id) from scoring_runs").fetchone()[0], flush=True)
"""


@pytest.mark.parametrize("mode", ["read_only", "read_write"])
def test_an_analysts_open_shell_neither_blocks_nor_notices_a_run(
    trained_home: Home, tiny_config: Config, mode: str
) -> None:
    first = score(trained_home, tiny_config)
    first.path.chmod(0o644)  # the analyst owns the file, or is root
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(first.path), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        assert "open\n" == shell.stdout.readline()
        second = score(trained_home, tiny_config)
        shell.stdin.write("which run do you see?\n")
        shell.stdin.flush()
        assert first.run_id == shell.stdout.readline().strip()
        assert [(second.run_id,)] == query(second.path, "select max(run_id) from scoring_runs")
        shell.stdin.close()
    assert [(second.run_id,)] == query(second.path, "select max(run_id) from scoring_runs")


def test_two_runs_at_once_take_turns(trained_home: Home, tiny_config: Config) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(score, trained_home, tiny_config) for _ in range(2)]
        ids = {run.result().run_id for run in runs}
    assert ids == {
        run_id for (run_id,) in query(trained_home.predictions, "select run_id from scoring_runs")
    }


def test_the_published_file_opens_with_the_release_that_was_asked_for(
    trained_home: Home, tiny_config: Config
) -> None:
    report = score(trained_home, tiny_config)
    ((version,),) = query(
        report.path, "select tags['storage_version'] from duckdb_databases() where not internal"
    )
    assert str(version).startswith("v1.2")
    assert 0 == report.path.stat().st_mode & 0o222


def test_what_is_computed_when_it_is_read_needs_no_later_release(
    trained_home: Home, tiny_config: Config
) -> None:
    factored = tiny_config.score.model_copy(update={"storage": "factored"})
    report = score(trained_home, tiny_config.model_copy(update={"score": factored}))
    called = query(
        report.path,
        """
        select distinct unnest(regexp_extract_all(text, '(\\w+)"?\\(', 1)) as called
        from (
            select sql as text from duckdb_views() where not internal
            union all
            select macro_definition from duckdb_functions() where not internal
        )
        order by called
        """,
    )
    of_1_2 = ["CAST", "DECIMAL", "array_inner_product", "exp", "greatest", "least"]  # and no `if`
    assert [*of_1_2, "output_activation"] == [name for (name,) in called]


def test_predictions_are_laid_out_to_be_packed(trained_home: Home, tiny_config: Config) -> None:
    in_turn = tiny_config.score.model_copy(update={"num_workers": 1})
    report = score(trained_home, tiny_config.model_copy(update={"score": in_turn}))
    assert [(64 * 1024,)] == query(report.path, "select block_size from pragma_database_size()")
    rows = query(report.path, "select user_id, block from rating_blocks order by rowid")
    num_changes = sum(one[0] != other[0] for one, other in pairwise(rows))
    assert len({user_id for user_id, _ in rows}) - 1 == num_changes  # a user's blocks are together


def test_a_bundle_of_other_movies_is_refused(
    trained_home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    (bundle,) = trained_home.models.iterdir()
    other = Home(tmp_path / "other")
    file = tmp_path / "other.csv"
    file.write_text("user_id,movie_id,rating\n1,10,5\n1,11,1\n2,10,3\n")
    ingest(other, [str(file)], tiny_config)
    materialize(other, tiny_config)
    borrowed = tiny_config.score.model_copy(update={"bundle": bundle})
    with pytest.raises(BundleError, match="movies are not in this warehouse"):
        score(other, tiny_config.model_copy(update={"score": borrowed}))
    assert not other.predictions.exists()


def trained_on(rows: list[str], home: Home, folder: Path, config: Config) -> Home:
    file = folder / "own.csv"
    file.write_text("\n".join(["user_id,movie_id,rating", *rows]) + "\n")
    ingest(home, [str(file)], config)
    materialize(home, config)
    train(home, config)
    return home


def test_a_bundle_of_another_scale_is_refused(
    home: Home, tiny_config: Config, tmp_path: Path
) -> None:
    cells = [(user, movie) for user in range(9) for movie in range(6)]
    five = [f"{user},{movie},{1 + (user + movie) % 5}" for user, movie in cells]
    ten = [f"{user},{movie},{1 + (user + movie) % 10}" for user, movie in cells]
    trained_on(five, home, tmp_path, tiny_config)
    (bundle,) = home.models.iterdir()
    other = tmp_path / "other"
    other.mkdir()
    elsewhere = trained_on(ten, Home(other / "home"), other, tiny_config)
    borrowed = tiny_config.score.model_copy(update={"bundle": bundle})
    with pytest.raises(BundleError, match="predicts on the scale 1 to 5"):
        score(elsewhere, tiny_config.model_copy(update={"score": borrowed}))


def test_rounding_stays_on_the_scale(home: Home, tiny_config: Config, tmp_path: Path) -> None:
    rows = [
        f"{user},{movie},{9.999 if (user + movie) % 2 else 0.333}"
        for user in range(9)
        for movie in range(6)
    ]
    report = score(trained_on(rows, home, tmp_path, tiny_config), tiny_config)
    assert [(54, 0)] == query(
        report.path,
        "select count(*), count(*) filter (predicted_rating not between 0.333 and 9.999) "
        "from predicted_ratings",
    )


def test_a_prediction_that_is_no_number_is_not_published(trained_home: Home) -> None:
    (bundle_dir,) = trained_home.models.iterdir()
    with pytest.raises(BundleError, match="no numbers"):
        in_hundredths(np.array([[np.nan]], dtype=np.float32), open_bundle(bundle_dir))


def test_a_prediction_stays_on_a_scale_whose_ends_no_float_holds(trained_home: Home) -> None:
    (bundle_dir,) = trained_home.models.iterdir()
    bundle = open_bundle(bundle_dir)
    lowest, highest = -800_000_003, 700_000_017
    scale = RatingScale(lowest / 100, highest / 100)
    wide = replace(bundle, manifest=bundle.manifest.model_copy(update={"scale": scale}))
    predicted = np.array([[-9e6, lowest / 100, 0, highest / 100, 9e6]], dtype=np.float32)
    ((below, *_, above),) = found = in_hundredths(predicted, wide).tolist()
    assert lowest <= below < lowest + 64  # the next float
    assert highest - 64 < above <= highest
    assert [sorted(row) for row in found] == found


def test_without_a_model_it_says_what_to_do(
    tiny_config: Config, tiny_sources: list[str], home: Home
) -> None:
    ingest(home, tiny_sources, tiny_config)
    materialize(home, tiny_config)
    with pytest.raises(BundleError, match="deeprec train"):
        score(home, tiny_config)


NO_TORCH = """
import sys
sys.modules.update(torch=None, onnx=None, onnxscript=None, prefect=None)
from deeprec.cli import main
main()
"""


def test_scoring_and_evaluation_run_where_torch_is_not_installed(trained_home: Home) -> None:
    for verb in ("score", "evaluate"):
        subprocess.run(
            [sys.executable, "-c", NO_TORCH, verb, "--home", str(trained_home.path)], check=True
        )
    assert [(NUM_USERS * NUM_MOVIES,)] == query(
        trained_home.predictions, "select count(*) from predicted_ratings"
    )


def test_ids_beyond_32_bits_are_published_as_they_are(
    tiny_config: Config, home: Home, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    large = 2**40
    lines = [
        f"{large + user},{10 + movie},{rng.integers(1, 6)}"
        for user in range(12)
        for movie in range(6)
    ]
    file = tmp_path / "large.csv"
    file.write_text("\n".join(["user_id,movie_id,rating", *lines]) + "\n")
    ingest(home, [str(file)], tiny_config)
    materialize(home, tiny_config)
    train(home, tiny_config)
    report = score(home, tiny_config)
    assert [(large, large + 11)] == query(
        report.path, "select min(user_id), max(user_id) from predicted_ratings"
    )
