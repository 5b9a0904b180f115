"""Fitting an autoencoder over users' vectors or movies', and turning it into graphs.

Shape legend: U users, M movies, N columns of a vector, P probe users, B users in a batch, C a code.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy import sparse
from torch import Tensor, nn

from deeprec.config.models import AutoencoderConfig
from deeprec.config.training import ExportConfig, TrainConfig
from deeprec.export.codes import Encoder, Parts, column_codes, export_in_parts, write_products
from deeprec.export.graphs import (
    ExportReport,
    Input,
    agreement,
    clip,
    difference,
    export_onnx,
    write_graph,
)
from deeprec.models.baselines import Biases, fit_biases
from deeprec.models.inference import MOVIE_CODES, PREDICTED, RATED, RATINGS, UNCLIPPED, USER_CODES
from deeprec.models.opening import ENCODER, GRAPH, open_model
from deeprec.models.user_codes import USERS
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.batches import DenseBatches
from deeprec.networks.predictor import DampedBiases, RatingPredictor
from deeprec.ratings import Floats, RatingMatrix, RatingScale, digest_by_row
from deeprec.training.epochs import FitResult
from deeprec.training.fit_jobs import FitJob
from deeprec.training.material import Keeping, Material, met_probes, of_raters
from deeprec.training.parallel_fit import fit_job

_DEFAULT_RIDGE = 1.0  # on the code of a user who is folded in, where training had no such penalty
_NUM_PROBED_AT_ONCE = 64  # movies' dense vectors, when torch works out what a graph should say


@dataclass(frozen=True)
class FittedAutoencoder:
    """A network over users' vectors, or over movies'."""

    config: AutoencoderConfig
    network: RatingPredictor
    result: FitResult
    fold_in_ridge: float

    def export(self, folder: Path, material: Material, config: ExportConfig) -> ExportReport:
        """See `members.Fitted`."""
        if self.config.orientation == "movies":
            return _export_codes(self, folder, of_raters(material), config)
        if self.config.has_user_codes:
            parts = Parts(self.network.eval(), self.config, material.biases, material.scale)
            return export_in_parts(parts, material.train, folder, config)
        values_UM = material.train.values_UM
        return export_onnx(self.network, material.scale, values_UM, folder / GRAPH, config)


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


class _Product(nn.Module):
    """Codes of users and of movies in, predicted ratings out."""

    def __init__(self, scale: RatingScale) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, users_BC: Tensor, movies_MC: Tensor) -> tuple[Tensor, Tensor]:
        return clip(users_BC @ movies_MC.T, self.scale)


def _export_codes(
    fitted: FittedAutoencoder, folder: Path, material: Material, config: ExportConfig
) -> ExportReport:
    """Write encoder, product and the users' codes of a network over movies' vectors."""
    network = fitted.network.eval()
    num_users, num_movies = material.train.values_UM.shape
    names = [RATINGS, RATED] if network.needs_rated else [RATINGS]
    vectors = {name: Input(torch.zeros(2, num_users)) for name in names}
    encoder = Encoder(network).eval()
    write_graph(encoder, vectors, [MOVIE_CODES], folder / ENCODER, config.opset)
    codes_UC = column_codes(network)
    num_codes = codes_UC.shape[1]
    codes = {
        USER_CODES: Input(torch.zeros(2, num_codes)),
        MOVIE_CODES: Input(torch.zeros(num_movies, num_codes), is_batch=False),
    }
    product = _Product(material.scale).eval()
    opset = write_graph(product, codes, [PREDICTED, UNCLIPPED], folder / GRAPH, config.opset)
    write_products(folder, config)
    write_user_codes(folder, material.train, codes_UC)
    model = open_model(
        folder,
        fitted.config,
        material.biases,
        fold_in_ridge=fitted.fold_in_ridge,
        unit=material.scale.unit,
        device="cpu",
    )
    probes = met_probes(material)
    found_PM = model.predict(probes, model.movie_side(material.train), counted=True)
    expected_PM = _by_transpose(network, material.train, probes)
    largest = difference(expected_PM, found_PM, material.scale)
    return agreement(largest, probes.num_users, opset, config, material.scale)


def write_user_codes(folder: Path, users: RatingMatrix, codes_UC: Floats) -> None:
    """Put the codes of the users known at training into a bundle that is being filled.

    Args:
        folder: the bundle's, or a member's within it.
        users: with the ratings that the codes were learned from.
        codes_UC: a code each.
    """
    flat = pa.array(codes_UC.ravel())
    columns = {
        "user_id": users.user_ids_U,
        "code": pa.FixedSizeListArray.from_arrays(flat, codes_UC.shape[1]),
        "digest": digest_by_row(users.values_UM),
    }
    pq.write_table(pa.table(columns), folder / USERS)


@torch.no_grad()
def _by_transpose(network: RatingPredictor, train: RatingMatrix, probes: RatingMatrix) -> Floats:
    """P x M: all movies' vectors through the network, of which the probes' columns are kept."""
    vectors_MU = sparse.csr_array(train.values_UM.T)
    columns_P = torch.from_numpy(np.searchsorted(train.user_ids_U, probes.user_ids_U))
    batches = DenseBatches(_NUM_PROBED_AT_ONCE, train.num_users, torch.device("cpu"))
    kept = [
        network(batch.ratings_BM, batch.rated_BM)[:, columns_P] for batch in batches.of(vectors_MU)
    ]
    return np.ascontiguousarray(torch.cat(kept).numpy().T)
