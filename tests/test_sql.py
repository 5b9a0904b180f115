"""Every statement under sql/ runs against the schema it is for, is described, and is used."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deeprec.home import Home
from deeprec.shipped import sql_root
from deeprec.warehouse.database import Database, open_database, statement
from deeprec.warehouse.opening import open_warehouse

NAMES = sorted(
    file.relative_to(sql_root()).with_suffix("").as_posix() for file in sql_root().rglob("*.sql")
)
PUBLISHED = re.compile(
    r"scores/(dense/|rows/|factored/|create_|insert_|delete_)"
    r"|scores/(find_shard|progress|counts|recommended_titles|typical_user)$"
    r"|scores/(has_recipe|recipe|user_digests|published_run|storage|sampled_users)$"
    r"|scores/(batch_)?recommendations(_checksum|_hash)?$"
    r"|scores/predictions_hash$"
    r"|checks/scores/"
)
NOW = datetime(2026, 1, 1)  # noqa: DTZ001 (the warehouse keeps UTC without saying so)
ID, TEXT, NUMBER = pa.int64(), pa.string(), pa.float64()
BATCH_TYPES = {
    "user_id": ID,
    "movie_id": ID,
    "code": pa.list_(pa.float32(), 3),
    "user_index": pa.int32(),
    "movie_indexes": pa.list_(pa.int32()),
    "ratings": pa.list_(pa.float32()),
    "rating_days": pa.list_(pa.int32()),
    "parts": pa.list_(TEXT),
    "rank": ID,
    "block": pa.int32(),
    "predicted_rating": pa.decimal32(3, 2),
    "title": TEXT,
    "year": pa.int16(),
    "num_train_ratings": ID,
    "num_ratings": ID,
    "is_known": pa.bool_(),
    "vector_digest": pa.uint64(),
    "run_id": TEXT,
    "bundle_id": TEXT,
    "data_digest": TEXT,
    "status": TEXT,
    "started_at": pa.timestamp("us"),
    "finished_at": pa.timestamp("us"),
    "num_users": ID,
    "num_movies": ID,
    "num_predictions": ID,
    "num_recommendations": ID,
    "num_bias_users": ID,
    "num_bias_movies": ID,
    "rating": pa.float32(),
    "rated_at": pa.timestamp("us"),
    "file_id": pa.int32(),
    "line_number": ID,
    "text": TEXT,
    "reason": TEXT,
    "path": TEXT,
    "part": TEXT,
    "source": TEXT,
    "role": TEXT,
    "format": TEXT,
    "size_bytes": ID,
    "sha256": TEXT,
    "layout": TEXT,
    "num_good": ID,
    "rows_rejected": ID,
    "row_index": pa.int32(),
    "rated_on": pa.date32(),
    "place": pa.int32(),
    "predictor": TEXT,
    "dimension": TEXT,
    "bucket": TEXT,
    "rmse": NUMBER,
    "mae": NUMBER,
    "mean_actual": NUMBER,
    "mean_predicted": NUMBER,
    "num_rows": ID,
    "predicted_by": TEXT,
    "num_user_ratings": ID,
    "num_movie_ratings": ID,
    "rows_read": ID,
    "rows_kept": ID,
    "rows_replaced": ID,
    "ingested_at": pa.timestamp("us"),
    "fingerprint": TEXT,
    "name": TEXT,
    "split_id": TEXT,
    "first_train_day": pa.date32(),
    "last_train_day": pa.date32(),
    "seed": ID,
    "device": TEXT,
    "dev_rmse": NUMBER,
    "largest_difference": NUMBER,
    "trained_at": pa.timestamp("us"),
    "requested_at": pa.timestamp("us"),
    "change_id": pa.int32(),
    "changed_at": pa.timestamp("us"),
    "changed_by": TEXT,
}
PARAMETERS = {
    "last_day": NOW,
    "part": "test",
    "run_id": "a run",
    "user_indexes": [0],
    "status": "failed",
    "train": "*",
    "test": "*",
    "built_at": NOW,
    "trained_at": NOW,
    "requested_at": NOW,
    "evaluated_at": NOW,
    "retired_at": NOW,
    "published_at": NOW,
    "taken_at": NOW,
    "changed_at": NOW,
    "decided_at": NOW,
    "checked_at": NOW,
    "now": NOW,
    "since": NOW,
    "night_of": NOW.date(),
    "measured_on": NOW.date(),
    "file_ids": [0],
    "outcome": "done",
    "severity": "warn",
    "moment": NOW,
    "started_at": NOW,
    "finished_at": NOW,
    "ingested_at": NOW,
    "first_train_day": NOW.date(),
    "last_train_day": NOW.date(),
    "train_from": NOW.date(),
    "train_through": NOW.date(),
    "dev_through": NOW.date(),
    "test_through": NOW.date(),
}
VERBS = ("totals", "delete", "batch_checksum", "of_pairs", "profile")
SOURCE = "\n".join(
    file.read_text(encoding="utf-8")
    for package in ("deeprec", "flows")
    for file in (Path(__file__).parents[1] / package).rglob("*.py")
)


class Undone(Exception):  # noqa: N818 - not an error
    """Ends a transaction without a trace."""


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Database]]:
    """A warehouse and files being scored, with what statements expect to be there."""
    home = Home(tmp_path_factory.mktemp("sql") / "home")
    with open_warehouse(home) as warehouse, ExitStack() as stack:
        warehouse.run_with("splits/list_pairs", empty_batch())
        warehouse.run("splits/listed")
        warehouse.run_with("vectors/find_touched", empty_batch())
        warehouse.run("ratings/find_repeated")
        warehouse.run("ratings/find_superseded")
        scores = {
            form: stack.enter_context(open_database(home.path / f"{form}.duckdb"))
            for form in ("dense", "factored")
        }
        for published in scores.values():
            for table in ("recommendations", "users", "scoring_shards", "movies"):
                published.run_with(f"scores/create_{table}", empty_batch())
            published.run("scores/create_recipe", recipe="a word")
            published.run_with("scores/create_scoring_runs", empty_batch(), run_id="a run")
        for codes in ("user", "movie"):
            scores["factored"].run_with(f"scores/factored/create_{codes}_codes", empty_batch())
        ends = {"lowest": 1, "highest": 5}
        scores["factored"].run("scores/factored/create_prediction_scale", **ends, unit=1)
        scores["factored"].run("scores/factored/identity")
        scores["dense"].run_with("scores/dense/create_rating_blocks", empty_batch())
        scores["dense"].run_with("scores/dense/create_movie_places", empty_batch())
        scores["dense"].run("scores/dense/create_predicted_ratings")
        yield {"warehouse": warehouse} | scores


def which(name: str) -> str:
    """The database that a statement is for."""
    if not PUBLISHED.match(name):
        return "warehouse"
    return "factored" if name.startswith("scores/factored/") or "a_code" in name else "dense"


def empty_batch() -> pa.Table:
    return pa.schema(list(BATCH_TYPES.items())).empty_table()


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_runs(name: str, databases: Mapping[str, Database], tmp_path: Path) -> None:
    code = re.sub(r"--.*", "", statement(name))
    names = set(re.findall(r"\$(\w+)", code))
    parameters = {key: PARAMETERS.get(key, 1) for key in names}
    if name == "models/record_change":
        parameters["status"] = "retired"
    if "files" in names:
        pq.write_table(empty_batch(), tmp_path / "batch.parquet")
        parameters["files"] = [str(tmp_path / "batch.parquet")]
    database = databases[which(name)]
    with suppress(Undone), database.transaction():
        if code.lstrip().startswith(("select", "with")):
            database.table_with(name, empty_batch(), **parameters)
        else:
            database.run_with(name, empty_batch(), **parameters)
        raise Undone


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_is_one_and_says_what_it_gives(name: str) -> None:
    text = statement(name)
    assert text.startswith("-- ")
    assert 1 == re.sub(r"--.*", "", text).count(";")
    assert len(text.splitlines()) <= 50


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_is_used(name: str) -> None:
    folder, _, last = name.partition("/")
    run_as_a_family = folder in {"schema", "checks"} or last.startswith(
        ("create_", "forget_", "record_", "retire_")
    )
    by_kind = name in {f"splits/{kind}" for kind in ("random", "time", "last_k", "file", "listed")}
    by_kind |= name in {
        f"scores/{kind}/{verb}" for kind in ("dense", "rows", "factored") for verb in VERBS
    }
    by_kind |= name in {f"scores/factored/{kind}" for kind in ("identity", "selu")}
    by_kind |= name in {f"scores/{what}_hash" for what in ("predictions", "recommendations")}
    by_kind |= name in {f"history/insert_{what}" for what in ("models", "model_changes")}
    assert run_as_a_family or by_kind or f'"{name}"' in SOURCE or f'"{last}"' in SOURCE
