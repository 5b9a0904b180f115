"""What a night is told beside its stages."""

from typing import Literal

from pydantic import Field

from deeprec.config.section import Section


class NightlyConfig(Section):
    """When a night trains, and what a challenger must do to become champion."""

    train_every_days: float = Field(
        7.0, ge=0, description="since the last training, whatever came of it"
    )
    train_at_new_fraction: float = Field(
        0.05, gt=0, description="of ratings, of files new or changed since the last training"
    )
    train_at_psi: float = Field(0.2, gt=0, description="drift since what is published")
    max_age_hours: float = Field(
        26.0,
        gt=0,
        description="of what is published, or since a night found it up to date; `deeprec status` "
        "warns of older",
    )
    compare_on: Literal["dev", "test"] = Field(
        "test", description="held-out ratings on which a challenger meets the champion"
    )
    min_improvement: float = Field(
        0.0, ge=0, description="RMSE by which a challenger must surely be better"
    )
