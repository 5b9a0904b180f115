"""What is checked before ratings are used and before predictions are published.

A check is a statement under `sql/checks` whose rows are what is wrong: none is healthy. One that
blocks stops what would follow; one that warns is only told.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from deeprec.config.checks import ChecksConfig
from deeprec.config.scoring import Form
from deeprec.errors import CheckError
from deeprec.warehouse.database import Database, parameters_of, statement

_MOST_COUNTED = 1000
_LONGEST_VALUE = 120  # characters of an offending row's value that are shown


class Severity(StrEnum):
    """What a check's offending rows do."""

    WARN = "warn"
    BLOCK = "block"


class CheckResult(BaseModel):
    """What a check found: no rows is healthy; of many, 1,000 are counted and a few shown."""

    model_config = ConfigDict(frozen=True)

    name: str
    severity: Severity
    num_rows: int
    shown: tuple[dict[str, str], ...] = ()

    @property
    def meaning(self) -> str:
        """What holds when it is healthy, in the statement's own words."""
        return meaning_of(self.name)

    @property
    def is_blocking(self) -> bool:
        """Whether what would follow must not."""
        return self.num_rows > 0 and self.severity is Severity.BLOCK

    def __str__(self) -> str:
        many = f"{self.num_rows:,}" + (" or more" if self.num_rows >= _MOST_COUNTED else "")
        example = ", ".join(f"{key} {value}" for key, value in self.shown[0].items())
        return f"{self.name}: {many} rows, as {example}"


RATINGS = {
    "ratings/rated_once": Severity.BLOCK,
    "ratings/on_the_scale": Severity.BLOCK,
    "ratings/source_file_counts": Severity.BLOCK,
    "ratings/losers_have_winners": Severity.BLOCK,
    "ratings/not_in_the_future": Severity.WARN,
    "ratings/titled_movies": Severity.WARN,
    "ratings/usable_rows": Severity.WARN,
    "ratings/usual_volume": Severity.WARN,
}
_PREDICTIONS = {
    "dense": "scores/every_movie_for_every_user",
    "rows": "scores/every_row_for_every_user",
    "factored": "scores/a_code_for_every_user",
}
_SCORES = ("ranks_without_gaps", "every_user_has_recommendations", "as_the_ledger_says")
NOT_RATED = "recommendations/not_rated"


def check_ratings(
    warehouse: Database, config: ChecksConfig, **parameters: object
) -> tuple[CheckResult, ...]:
    """What is wrong with the ratings, before they are used.

    Args:
        warehouse: holds them.
        config: severities and limits.
        parameters: the night's, as the statements under `sql/checks/ratings` name them.
    """
    limits = config.model_dump() | parameters
    return tuple(_run(warehouse, RATINGS, config, limits))


def check_scores(
    scores: Database, form: Form, config: ChecksConfig, **parameters: object
) -> tuple[CheckResult, ...]:
    """What is wrong with a file that is about to be published; each of these blocks."""
    names = [_PREDICTIONS[form], *(f"scores/{name}" for name in _SCORES)]
    blocking = dict.fromkeys(names, Severity.BLOCK)
    return tuple(_run(scores, blocking, config, parameters))


def check_recommendations(
    warehouse: Database, recommendations: pa.Table, config: ChecksConfig
) -> tuple[CheckResult, ...]:
    """Whether a user is recommended what he has rated."""
    return tuple(_run(warehouse, {NOT_RATED: Severity.BLOCK}, config, {}, recommendations))


def drift_result(quantity: str, psi: float, since: str, config: ChecksConfig) -> CheckResult | None:
    """What drift comes to as a check; None where it is switched off.

    Args:
        quantity: what has drifted.
        psi: its population stability index.
        since: the run that it is held against.
        config: from where on to warn and to block.
    """
    name = f"drift.{quantity}"
    severity = Severity.BLOCK if psi >= config.block_psi else Severity.WARN
    chosen = config.severity.get(name, severity)
    if chosen == "off":
        return None
    row = {"quantity": quantity, "psi": f"{psi:.4f}", "since": since}
    offends = psi >= config.warn_psi
    return CheckResult(
        name=name,
        severity=Severity(chosen),
        num_rows=int(offends),
        shown=(row,) if offends else (),
    )


def require_healthy(results: Iterable[CheckResult], what: str) -> None:
    """Stop where a blocking check has found something.

    Raises:
        CheckError: naming each such check, with a row as an example.
    """
    blocking = [result for result in results if result.is_blocking]
    if blocking:
        found = "\n".join(f"  {result}" for result in blocking)
        raise CheckError(
            f"{what}: {len(blocking)} blocking checks failed, nothing was published; "
            f"the rows are in check_results. Mend the data, or change checks.severity:\n{found}"
        )


def record_checks(warehouse: Database, subject: str, results: Sequence[CheckResult]) -> None:
    """Enter what was found, under the night or the run that it was found in, in earlier's place."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for result in results:
        warehouse.run("checks/forget", subject=subject, check_name=result.name)
        warehouse.run(
            "checks/record",
            subject=subject,
            check_name=result.name,
            severity=result.severity.value,
            num_rows=result.num_rows,
            shown=json.dumps(result.shown),
            checked_at=now,
        )


def read_checks(warehouse: Database, subject: str) -> tuple[CheckResult, ...]:
    """What was found in a night or a run."""
    rows = warehouse.some("checks/results", _MOST_COUNTED, subject=subject)
    return tuple(CheckResult(**row | {"shown": tuple(json.loads(row["shown"]))}) for row in rows)


def meaning_of(name: str) -> str:
    """What holds when a check is healthy."""
    if name.startswith("drift."):
        return f"{name.removeprefix('drift.')} lie as they did in the last published run"
    words = [
        line.removeprefix("--").strip()
        for line in statement(f"checks/{name}").splitlines()
        if line.startswith("--")
    ]
    return " ".join(words).removeprefix("Zero rows = healthy: ")


def _run(
    database: Database,
    checks: dict[str, Severity],
    config: ChecksConfig,
    parameters: dict[str, Any],
    batch: pa.Table | None = None,
) -> Iterable[CheckResult]:
    for name, default in checks.items():
        severity = config.severity.get(name, default.value)
        if severity == "off":
            continue
        wanted = parameters_of(f"checks/{name}")
        given = {key: value for key, value in parameters.items() if key in wanted}
        rows = database.some(f"checks/{name}", _MOST_COUNTED, batch=batch, **given)
        shown = tuple(
            {key: str(value)[:_LONGEST_VALUE] for key, value in row.items()}
            for row in rows[: config.num_shown]
        )
        yield CheckResult(name=name, severity=Severity(severity), num_rows=len(rows), shown=shown)
