"""Fitting an autoencoder over users' vectors or movies'.

Shape legend: U vectors, of users or of movies, N columns of a vector, M movies.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from deeprec.config.models import AutoencoderConfig
from deeprec.config.training import ExportConfig, TrainConfig
from deeprec.export.graphs import ExportReport, export_onnx
from deeprec.export.movie_codes import export_movie_codes
from deeprec.export.opener import Opener
from deeprec.export.user_codes import export_user_codes
from deeprec.models.baselines import Biases, fit_biases
from deeprec.models.opening import GRAPH
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.damped_biases import DampedBiases
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import RatingMatrix
from deeprec.training.epochs import FitResult
from deeprec.training.fit_jobs import FitJob
from deeprec.training.material import Keeping, Material, of_raters
from deeprec.training.parallel_fit import fit_job

_DEFAULT_RIDGE = 1.0  # on the code of a user who is folded in, where training had no such penalty


@dataclass(frozen=True)
class FittedAutoencoder:
    """A network over users' vectors, or over movies'."""

    config: AutoencoderConfig
    network: RatingPredictor
    result: FitResult
    fold_in_ridge: float

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """See `members.Fitted`."""
        network, opener = self.network.eval(), self._opener(material)
        if self.config.orientation == "movies":
            train = of_raters(material).train
            return export_movie_codes(network, opener, train, folder, config)
        if self.config.has_user_codes:
            return export_user_codes(network, opener, material.train, folder, config)
        values_UM = material.train.values_UM
        return export_onnx(network, material.scale, values_UM, folder / GRAPH, config)

    def _opener(self, material: Material) -> Opener:
        return Opener(self.config, material.biases, material.scale, self.fold_in_ridge)


def fit_autoencoder(
    model: AutoencoderConfig, train: TrainConfig, material: Material, keeping: Keeping
) -> FittedAutoencoder:
    """See `members.fit_member`."""

    def rows(ratings: RatingMatrix | None) -> sparse.csr_array[np.float32] | None:
        return None if ratings is None else _rows(ratings, model)

    if model.orientation == "movies":
        material = of_raters(material)
    train_UN = _rows(material.train, model)
    network = build_network(model, material, train.seed)
    job = FitJob(
        network=network,
        train_UN=train_UN,
        dev_UN=rows(material.dev),
        watched_UN=rows(material.watched),
        settings=train,
        scale=material.scale,
        checkpoint=keeping.checkpoint,
        fingerprint=keeping.fingerprint,
    )
    result = fit_job(job, keeping.progress)
    return FittedAutoencoder(model, network, result, train.l2 or _DEFAULT_RIDGE)


def build_network(model: AutoencoderConfig, material: Material, seed: int) -> RatingPredictor:
    """The network of a configuration, with its initial weights and fitted biases."""
    options = model.model_dump(exclude={"kind", "orientation", "center"})
    train_UN = _rows(material.train, model)
    autoencoder = Autoencoder(train_UN.shape[1], seed=seed, **options)
    if model.center == "none":
        return RatingPredictor(autoencoder, unit=material.scale.unit)
    biases = DampedBiases.of(_row_biases(model, material))
    return RatingPredictor(autoencoder, biases, material.scale.unit)


def _rows(ratings: RatingMatrix, model: AutoencoderConfig) -> sparse.csr_array[np.float32]:
    """A row a vector: users, or movies."""
    if model.orientation == "users":
        return ratings.values_UM
    return sparse.csr_array(ratings.values_UM.T)


def _row_biases(model: AutoencoderConfig, material: Material) -> Biases:
    """Biases of the columns, by which a row's own follows from its ratings."""
    if model.orientation == "users":
        return material.biases
    damping = material.damping
    return fit_biases(_rows(material.train, model), damping.movie_damping, damping.user_damping)
