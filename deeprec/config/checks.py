"""Settings of the checks that data and predictions must come through."""

from typing import Literal

from pydantic import Field, field_validator

from deeprec.config.section import Section
from deeprec.shipped import sql_root

_DRIFT = ("ratings", "activity", "predictions")
Severities = dict[str, Literal["off", "warn", "block"]]


class ChecksConfig(Section):
    """What is checked before and after scoring, and how badly each may turn out."""

    severity: Severities = Field(
        {}, description="of a check, by its name under sql/checks or drift.QUANTITY"
    )
    num_shown: int = Field(10, ge=0, le=1000, description="offending rows kept of a check")
    warn_psi: float = Field(0.1, gt=0, description="drift between runs from which to warn")
    block_psi: float = Field(0.5, gt=0, description="drift between runs from which to block")
    max_untitled_fraction: float = Field(0.05, ge=0, le=1, description="of ratings")
    min_volume_ratio: float = Field(0.1, ge=0, description="of a night's new ratings to the usual")
    max_volume_ratio: float = Field(10.0, gt=0, description="of a night's new ratings to the usual")

    @field_validator("severity", mode="before")
    @classmethod
    def _in_one_name(cls, severity: object) -> object:
        """`drift.ratings` as one name, which TOML and `--set` take for a table in a table."""
        if not isinstance(severity, dict) or not isinstance(drift := severity.get("drift"), dict):
            return severity
        others = {name: value for name, value in severity.items() if name != "drift"}
        return others | {f"drift.{quantity}": value for quantity, value in drift.items()}

    @field_validator("severity")
    @classmethod
    def _of_checks_that_there_are(cls, severity: Severities) -> Severities:
        checks = (sql_root() / "checks").glob("*/*.sql")
        known = {f"{file.parent.name}/{file.stem}" for file in checks}
        known |= {f"drift.{quantity}" for quantity in _DRIFT}
        if unknown := severity.keys() - known:
            raise ValueError(
                f"no check is called {', '.join(sorted(unknown))}; there are "
                f"{', '.join(sorted(known))}"
            )
        return severity
