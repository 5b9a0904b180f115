"""Ratings that come are held against what was predicted, once."""

from typing import TYPE_CHECKING

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
