"""Ratings that come are held against what was predicted, once."""

from typing import TYPE_CHECKING

import pytest

from deeprec.ingestion.ingest import ingest
from deeprec.scoring.score import score
from deeprec.vectors.materialize import materialize

if TYPE_CHECKING:
    from tests.deeprec.conftest import Drop


def test_a_plain_run_measures_what_came_before_it_replaces_what_was_predicted(drop: "Drop") -> None:
    drop.add("ratings_new.csv", drop.new_ratings(0))
    ingest(drop.home, [str(drop.folder)], drop.config)
    materialize(drop.home, drop.config)
    score(drop.home, drop.config)
    assert [(5,)] == drop.query(
        drop.home.warehouse, "select count(predicted_rating) from live_ratings"
    )
    assert [(0,)] == drop.query(drop.home.warehouse, "select count(*) from arrived_ratings")


@pytest.mark.parametrize(("later", "expected"), [("1,19,5,2005-03-02", [(5.0,)]), ("", [])])
def test_what_is_measured_is_what_stands_then(
    drop: "Drop", later: str, expected: list[tuple[float]]
) -> None:
    new = drop.folder / "ratings_new.csv"
    mirrored = drop.told(ingest={"forget_gone": True})
    for rows in ("1,19,1,2005-03-01", later):
        new.write_text(f"user_id,movie_id,rating,date\n{rows}\n")
        ingest(drop.home, [str(drop.folder)], mirrored)
        materialize(drop.home, drop.config)
    score(drop.home, drop.config)
    assert expected == drop.query(drop.home.warehouse, "select rating from live_ratings")


@pytest.mark.parametrize("num_ingests", [1, 2])
def test_what_arrives_is_measured_though_the_past_is_forgotten_at_once(
    drop: "Drop", num_ingests: int
) -> None:
    base = drop.folder / "ratings_base.csv"
    forgetful = drop.told(ingest={"forget_gone": True, "history_days": 0})
    base.write_text(base.read_text() + "1,19,1,2005-03-01\n")
    for _ in range(num_ingests):
        ingest(drop.home, [str(base), str(drop.folder / "movie_titles.txt")], forgetful)
    materialize(drop.home, drop.config)
    assert [(1,)] == drop.query(drop.home.warehouse, "select count(*) from arrived_ratings")
    ingest(drop.home, [str(base)], forgetful)
    assert [(0,)] == drop.query(drop.home.warehouse, "select count(*) from retired_ratings")


def test_a_rating_that_goes_and_comes_again_is_measured_once(drop: "Drop") -> None:
    later = drop
    for _ in range(2):
        drop.add("ratings_new.csv", drop.new_ratings(0))
        later, _ = later.next()
        (drop.folder / "ratings_new.csv").unlink()
        later, _ = later.next()
    assert [(5, 5)] == drop.query(
        drop.home.warehouse,
        "select count(*), count(distinct (user_id, movie_id)) from live_ratings",
    )


def test_a_rating_that_was_known_goes_and_comes_again_is_not_measured(drop: "Drop") -> None:
    base = drop.folder / "ratings_base.csv"
    whole = base.read_text()
    later = drop
    for text in (whole[: whole.rindex("\n", 0, -1) + 1], whole):
        base.write_text(text)
        later, _ = later.next()
    assert [(0,)] == drop.query(drop.home.warehouse, "select count(*) from live_ratings")
