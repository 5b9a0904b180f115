"""What ingestion is told."""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from deeprec.config.section import Section
from deeprec.ratings import RatingScale

Format = Literal[
    "auto", "netflix-folder", "netflix-combined", "ml-100k", "ml-1m", "ml-csv", "table"
]

_LARGEST = float(np.finfo(np.float32).max)  # ratings are held as such floats


class ScaleConfig(Section):
    """A rating scale that the user states, where the format states none."""

    minimum: float = Field(ge=-_LARGEST)
    maximum: float = Field(le=_LARGEST)
    step: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if not self.minimum < self.maximum:
            raise ValueError("minimum must be less than maximum")
        return self

    def value(self) -> RatingScale:
        """The scale itself."""
        return RatingScale(self.minimum, self.maximum, self.step)


class ColumnsConfig(Section):
    """Column names of a plain table, where they are not the usual ones."""

    user_id: str | None = None
    movie_id: str | None = None
    rating: str | None = None
    rated_at: str | None = None


class IngestConfig(Section):
    """From rating files to the warehouse."""

    format: Format = Field("auto", description="how to read the source; auto looks at it")
    scale: ScaleConfig | None = Field(None, description="overrides the format's own scale")
    columns: ColumnsConfig = ColumnsConfig()
    max_rejected_fraction: float = Field(
        0.001, ge=0, le=1, description="of rows read; above it the source is refused whole"
    )
    chunk_bytes: int = Field(
        16 * 2**20, ge=2**10, description="text parsed at once, in bytes; bounds memory"
    )
    forget_gone: bool = Field(
        False, description="a file that is gone from its source takes its ratings along"
    )
    max_gone_fraction: float = Field(
        0.1,
        ge=0,
        le=1,
        description="of all ratings; where more would go with files that are gone or hold fewer, "
        "with forget_gone, nothing does",
    )
    hold_back: bool = Field(
        False, description="leave broken files out and take in the others, instead of none"
    )
    history_days: float = Field(
        30.0, ge=0, le=36_500, description="how long changed and gone files can be looked back at"
    )
