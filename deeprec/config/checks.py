"""Settings of the checks that data and predictions must come through."""

from typing import Literal

from pydantic import Field

from deeprec.config.section import Section


class ChecksConfig(Section):
    """What is checked before and after scoring, and how badly each may turn out."""

    severity: dict[str, Literal["off", "warn", "block"]] = Field(
        {}, description="of a check, by its name under sql/checks or drift.QUANTITY"
    )
    num_shown: int = Field(10, ge=0, le=1000, description="offending rows kept of a check")
    warn_psi: float = Field(0.1, gt=0, description="drift between runs from which to warn")
    block_psi: float = Field(0.5, gt=0, description="drift between runs from which to block")
    max_untitled_fraction: float = Field(0.05, ge=0, le=1, description="of ratings")
    min_volume_ratio: float = Field(0.1, ge=0, description="of a night's new ratings to the usual")
    max_volume_ratio: float = Field(10.0, gt=0, description="of a night's new ratings to the usual")
