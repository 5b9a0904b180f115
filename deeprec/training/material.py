"""What a model is fitted to, and where an unfinished fit is kept.

Shape legend: U users.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deeprec.config.models import BiasConfig
from deeprec.models.baselines import Biases
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingMatrix, RatingScale


@dataclass(frozen=True)
class Material:
    """What a model is fitted to. Only `dev` and `watched` have seen held-out ratings."""

    train: RatingMatrix
    dev: RatingMatrix | None
    watched: RatingMatrix | None
    scale: RatingScale
    biases: Biases
    damping: BiasConfig


@dataclass(frozen=True)
class Keeping:
    """Where an unfinished fit is kept, and who is told how it goes."""

    checkpoint: Path | None = None
    fingerprint: str = ""
    progress: Progress = silent


def of_raters(material: Material) -> Material:
    """The same without users who have no training ratings.

    Where users are columns, nothing would move their weights from where chance has put them. They
    are folded in like new ones once they have rated.
    """
    is_rater_U = np.diff(material.train.values_UM.indptr) > 0

    def of(ratings: RatingMatrix | None) -> RatingMatrix | None:
        return None if ratings is None else ratings.select_users(is_rater_U)

    train = material.train.select_users(is_rater_U)
    return replace(material, train=train, dev=of(material.dev), watched=of(material.watched))
