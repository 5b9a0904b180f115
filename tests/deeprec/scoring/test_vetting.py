"""What is harmed or wrong is not published."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from deeprec.errors import CheckError
from deeprec.scoring.publishing import publish_run
from deeprec.scoring.runs import prepare_run
from deeprec.scoring.score import score_shard
from deeprec.scoring.scores_file import SCORES, stored_totals
from deeprec.warehouse.checks import CheckResult, check_recommendations, check_scores
from deeprec.warehouse.database import open_database

if TYPE_CHECKING:
    from tests.deeprec.conftest import Drop


@pytest.mark.parametrize("storage", ["dense", "factored"])
@pytest.mark.parametrize(
    ("harm", "check"),
    [
        ("update recommendations set rank = rank + 1 where user_id = 3", "ranks_without_gaps"),
        ("delete from recommendations where user_id = 3", "every_user_has_recommendations"),
        ("update scoring_shards set checksum = checksum + 1 where shard = 0", "as_the_ledger_says"),
    ],
)
def test_a_run_that_was_harmed_is_not_published(
    drop: "Drop", storage: str, harm: str, check: str
) -> None:
    config = drop.told(score={"storage": storage, "incremental": False, "top_n": 4})
    before = drop.home.predictions.stat().st_ino
    plan = prepare_run(drop.home, config)
    for shard in range(plan.num_shards):
        score_shard(plan.location, shard)
    with duckdb.connect(str(plan.run_dir / SCORES)) as scores:
        scores.execute(harm)
    with pytest.raises(CheckError, match=f"scores/{check}"):
        publish_run(drop.home, plan.run_dir, config)
    assert before == drop.home.predictions.stat().st_ino
    found = drop.query(
        drop.home.warehouse,
        f"select num_rows > 0 from check_results where check_name = 'scores/{check}' "
        f"and subject = '{plan.run_id}'",
    )
    assert [(True,)] == found


def test_a_prediction_that_is_missing_or_off_the_scale_is_not_published(drop: "Drop") -> None:
    showing_all = drop.config.checks.model_copy(update={"num_shown": 5})
    limits = {
        "num_movies": drop.num_movies,
        "lowest": 1.0,
        "highest": 5.0,
        "top_n": 3,
        "min_ratings": 0,
    }

    def checked(file: Path) -> tuple[CheckResult, ...]:
        with open_database(file, read_only=True) as scores:
            totals = stored_totals(scores, "dense")._asdict()
            return check_scores(scores, "dense", showing_all, **limits, **totals)

    healthy = checked(drop.home.predictions)
    assert [0] == [each.num_rows for each in healthy if "every_movie" in each.name]
    harmed = drop.home.path / "harmed.duckdb"
    shutil.copyfile(drop.home.predictions, harmed)
    with duckdb.connect(str(harmed)) as scores:
        scores.execute("update rating_blocks set ratings = ratings[2:] where user_id = 3")
        scores.execute("update rating_blocks set ratings = [9 for _ in ratings] where user_id = 4")
        scores.execute("update rating_blocks set block = 7 where user_id = 5")
        scores.execute("delete from rating_blocks where user_id = 6")
        scores.execute("insert into rating_blocks from rating_blocks where user_id = 7")
    (found,) = [each for each in checked(harmed) if "every_movie" in each.name]
    assert 5 == found.num_rows
    assert {"3", "4", "5", "6", "7"} == {row["user_id"] for row in found.shown}


def test_a_recommended_movie_that_was_rated_is_not_published(drop: "Drop") -> None:
    with open_database(drop.home.predictions, read_only=True) as scores:
        recommended = scores.table("scores/recommendations")
    with open_database(drop.home.warehouse, read_only=True) as warehouse:
        (healthy,) = check_recommendations(warehouse, recommended, drop.config.checks)
        rated = warehouse._connection.sql(
            "select user_id, 1 as rank, movie_id from ratings limit 1"
        ).to_arrow_table()
        (found,) = check_recommendations(warehouse, rated, drop.config.checks)
    assert (0, 1) == (healthy.num_rows, found.num_rows)
