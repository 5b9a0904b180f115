"""Fitting a recurrent network.

Shape legend: U users, M movies, R ratings.
"""

from dataclasses import dataclass
from pathlib import Path

from deeprec.config.models import RecurrentConfig
from deeprec.config.training import ExportConfig, TrainConfig
from deeprec.export.graphs import ExportReport
from deeprec.export.recurrent import export_recurrent
from deeprec.models.recurrent import write_recurrent_users
from deeprec.networks.recurrent import RecurrentRecommender
from deeprec.training.epochs import FitResult
from deeprec.training.material import Keeping, Material
from deeprec.training.recurrent_start import build_recurrent, require_days
from deeprec.training.recurrent_trainer import fit_recurrent


@dataclass(frozen=True)
class FittedRecurrent:
    """A network over dated ratings, step by step."""

    network: RecurrentRecommender
    result: FitResult
    fold_in_ridge: float = 0.0

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """See `members.Fitted`."""
        train = material.train
        days_R = require_days(train.values_UM, train.days_R)
        write_recurrent_users(folder, train.user_ids_U)
        return export_recurrent(self.network, train.values_UM, days_R, folder, config)


def fit_recurrent_member(
    model: RecurrentConfig, train: TrainConfig, material: Material, keeping: Keeping
) -> FittedRecurrent:
    """See `members.fit_member`."""
    values_UM, days_R = material.train.values_UM, material.train.days_R
    network = build_recurrent(
        model, values_UM, days_R, material.biases, train.seed, unit=material.scale.unit
    )
    result = fit_recurrent(
        network,
        values_UM,
        days_R,
        material.dev.values_UM if material.dev else None,
        train,
        material.scale,
        watched_UM=material.watched.values_UM if material.watched else None,
        checkpoint=keeping.checkpoint,
        fingerprint=keeping.fingerprint,
        progress=keeping.progress,
    )
    return FittedRecurrent(network, result)
