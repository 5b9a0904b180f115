"""The warehouse as it was at a moment, put together in a home of its own from what was known then.

Every state of a file is kept for a while after it has changed or gone (`ingest.history_days`), so
that each stage can be run again as it would have run on a past day.
"""

import shutil
from datetime import UTC, date, datetime, time
from pathlib import Path

import pyarrow as pa

from deeprec.config.run import Config
from deeprec.errors import ConfigError, WarehouseError
from deeprec.home import Home
from deeprec.ingestion.source_files import settle
from deeprec.ratings import RatingScale
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import open_warehouse, read_warehouse, require_warehouse

_BUILDING = ".building"
_ROWS = {
    "history/ratings": "ratings/insert_ratings",
    "history/rejected_rows": "ratings/insert_rejected_rows",
    "history/movie_rows": "ratings/insert_movie_rows",
    "history/user_rows": "ratings/insert_user_rows",
}


def parse_moment(text: str) -> datetime:
    """The end of a day, or an exact moment, from ISO 8601; UTC where no zone is named.

    Raises:
        ConfigError: it is neither.
    """
    try:
        if "T" not in text and ":" not in text:
            return datetime.combine(date.fromisoformat(text), time.max)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r}: expected a day as 2026-01-31 or a moment as 2026-01-31T04:00"
        ) from error
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def home_as_of(home: Home, moment: datetime, config: Config) -> Home:
    """A home with the ratings, the models and their champion as they were known at a moment.

    It lies in the home itself, under `as-of`, and is made once; its vectors are built by
    `materialize`, as they were then.

    Args:
        home: what is looked back at; it is not changed.
        moment: UTC, without a zone.
        config: how DuckDB may use the machine.

    Raises:
        ConfigError: the moment has not passed, so more may become known by it.
        WarehouseError: nothing was known then, or what was known is no longer remembered.
    """
    if moment >= (present := datetime.now(UTC).replace(tzinfo=None)):
        raise ConfigError(f"{moment} UTC: has not passed yet; it is {present:%Y-%m-%dT%H:%M} now")
    require_warehouse(home)
    past = Home(home.path / "as-of" / f"{moment:%Y%m%dT%H%M%S.%f}")
    with home.lock("as-of", config.warehouse.lock_timeout_s):
        if not past.path.is_dir():
            building = Home(past.path.with_name(past.path.name + _BUILDING))
            shutil.rmtree(building.path, ignore_errors=True)
            with read_warehouse(home, config.warehouse) as now:
                _check_remembered(now, moment, home.path)
                _link_models(home, building)
                with open_warehouse(building, config.warehouse) as then, then.transaction():
                    _copy_models(now, then, moment)
                    _copy_ratings(now, then, moment)
            building.path.replace(past.path)
    return past


def _check_remembered(now: Database, moment: datetime, where: Path) -> None:
    files = now.table("history/source_files", moment=moment)
    if not files.num_rows:
        raise WarehouseError(f"{where}: nothing had been taken in by {moment} UTC")
    for (forgotten_before,) in now.rows("ratings/forgotten_before"):
        if moment < forgotten_before:
            raise WarehouseError(
                f"{where}: files that were known at {moment} UTC have been forgotten since; the "
                f"past can be looked back at from {forgotten_before} UTC on, longer with a higher "
                "ingest.history_days"
            )


def _copy_ratings(now: Database, then: Database, moment: datetime) -> None:
    """Enter the files of then with all their rows, and let the same rules decide between them."""
    files = now.table("history/source_files", moment=moment)
    file_ids = files["file_id"].to_pylist()
    then.run_with("history/insert_source_files", files)
    for read, insert in _ROWS.items():
        with now.reader(read, file_ids=file_ids) as batches:
            for batch in batches:
                then.run_with(insert, pa.Table.from_batches([batch]))
    settle(then, "as of then", _declared_at(now, moment), moment)


def _declared_at(now: Database, moment: datetime) -> RatingScale | None:
    """The scale that was declared then; where that was not kept yet, the present one."""
    kept = now.rows("history/scale", moment=moment)
    present = (row[:3] for row in now.rows("vectors/scale") if row[3])
    for minimum, maximum, step in kept or present:
        return None if minimum is None else RatingScale(minimum, maximum, step)
    return None


def _copy_models(now: Database, then: Database, moment: datetime) -> None:
    for what in ("models", "model_changes"):
        rows = now.table(f"history/{what}", moment=moment)
        then.run_with(f"history/insert_{what}", rows)


def _link_models(home: Home, past: Home) -> None:
    """Have every bundle at hand under the same name; they never change."""
    past.models.mkdir(parents=True)
    for bundle in home.models.iterdir() if home.models.is_dir() else ():
        if not bundle.name.startswith("."):
            (past.models / bundle.name).symlink_to(bundle, target_is_directory=True)
