"""A stage as of a moment, and a run again."""

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from deeprec.config.run import with_bundle
from deeprec.errors import ConfigError, WarehouseError
from deeprec.home import Home
from deeprec.ingestion.history import home_as_of, parse_moment
from deeprec.ingestion.ingest import ingest
from deeprec.nights.reproduction import reproduce
from deeprec.scoring.score import score
from deeprec.training.train import train
from deeprec.vectors.materialize import materialize

if TYPE_CHECKING:
    from tests.deeprec.conftest import Drop


def test_a_stage_can_be_run_as_of_a_moment_and_a_run_again(drop: "Drop") -> None:
    rows = drop.query(drop.home.predictions, "from predicted_ratings order by all")
    run_id, started_at, digest = drop.query(
        drop.home.warehouse, "select run_id, started_at, data_digest from scoring_runs"
    )[0]
    drop.add("ratings_new.csv", drop.new_ratings(0))
    shutil.copyfile(drop.folder / "ratings_base.csv", drop.folder / "kept")
    lines = (drop.folder / "ratings_base.csv").read_text().splitlines()
    (drop.folder / "ratings_base.csv").write_text("\n".join(lines[:-5]) + "\n")
    later, night = drop.next()
    assert "done" == drop.outcomes(night)["score"]
    assert rows != drop.query(drop.home.predictions, "from predicted_ratings order by all")

    past = home_as_of(drop.home, started_at, drop.config)
    assert [(len(lines) - 1,)] == drop.query(past.warehouse, "select count(*) from ratings")
    done = reproduce(drop.home, drop.config, run_id=run_id)
    assert (True, True, True, True) == (
        done.same_data,
        done.same_versions,
        done.same_model,
        done.same_rows,
    )
    again = Home(done.home)
    assert [(digest,)] == drop.query(again.warehouse, "select data_digest from materializations")
    assert rows == drop.query(again.predictions, "from predicted_ratings order by all")
    with pytest.raises(WarehouseError, match="nothing had been taken in"):
        home_as_of(drop.home, parse_moment("1999-01-01"), drop.config)
    with pytest.raises(ConfigError, match="has not passed yet"):
        home_as_of(drop.home, parse_moment("2999-01-01"), drop.config)
    forgetful = drop.told(ingest={"history_days": 0.0})
    later.next(forgetful)
    with pytest.raises(WarehouseError, match="have been forgotten"):
        home_as_of(
            drop.home, parse_moment(f"{started_at + timedelta(milliseconds=1)}"), drop.config
        )


def test_a_run_whose_model_is_of_earlier_ratings_comes_out_the_same(drop: "Drop") -> None:
    drop.add("ratings_new.csv", drop.new_ratings(0))
    later, night = drop.next()
    assert ("skipped", "done") == tuple(drop.outcomes(night)[step] for step in ("train", "score"))
    done = reproduce(drop.home, drop.config)
    assert (True, True, True) == (done.same_data, done.same_model, done.same_rows)

    drop.add("ratings_new.csv", drop.new_ratings(10))
    later.next()
    ingest(drop.home, [str(drop.folder)], drop.told(ingest={"history_days": 0.0}))
    shutil.rmtree(drop.home.path / "as-of")
    with pytest.raises(WarehouseError, match=r"tiny-.* cannot be trained again: .* been forgotten"):
        reproduce(drop.home, drop.config)


def test_ratings_that_come_while_a_model_is_fitted_are_none_of_its_own(drop: "Drop") -> None:
    def take_in(*_: object, **__: object) -> None:
        drop.add("ratings_new.csv", drop.new_ratings(0))
        ingest(drop.home, [str(drop.folder)], drop.config)

    config = drop.told(train={"seed": 1})
    trained = train(drop.home, config, take_in)
    assert trained.data_digest != materialize(drop.home, config).data_digest
    score(drop.home, with_bundle(config, trained.bundle))
    done = reproduce(drop.home, drop.config)
    assert (True, True, True) == (done.same_data, done.same_model, done.same_rows)
