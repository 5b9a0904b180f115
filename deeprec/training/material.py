"""What a model is fitted to, where an unfinished fit is kept, and users to try an export on.

Shape legend: U users, M movies, P probe users.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deeprec.config.models import BiasConfig
from deeprec.export.graphs import probe_users
from deeprec.models.baselines import Biases
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingMatrix, RatingScale

_NUM_PROBED = 64  # users who are spread evenly


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


def probes_of(material: Material) -> RatingMatrix:
    """Real and extreme users, whom a model need not have met."""
    values_PM = probe_users(material.train.values_UM, material.scale)
    ids_P = np.arange(values_PM.shape[0], dtype=np.int64)
    return RatingMatrix(ids_P, material.train.movie_ids_M, values_PM)


def met_probes(material: Material) -> RatingMatrix:
    """Users that the model has met: spread evenly, the one with most ratings, one with fewest."""
    counts_U = np.diff(material.train.values_UM.indptr)
    (met,) = np.nonzero(counts_U)
    spread = np.linspace(0, len(met) - 1, min(len(met), _NUM_PROBED)).astype(int)
    places = [*spread, counts_U[met].argmax(), counts_U[met].argmin()]
    chosen_U = np.zeros(len(counts_U), dtype=bool)
    chosen_U[met[places]] = True
    return material.train.select_users(chosen_U)
