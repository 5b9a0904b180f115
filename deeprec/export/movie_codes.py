"""Exporting a network over movies' vectors: an encoder of movies, and the users' learned codes.

Shape legend: B users in a batch, M movies, U users, C a code, P probe users.
"""

from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from deeprec.config.training import ExportConfig
from deeprec.export.codes import Encoder, column_codes, write_products
from deeprec.export.graphs import ExportReport, Input, agreement, clip, difference, write_graph
from deeprec.export.opener import Opener
from deeprec.export.probes import met_users
from deeprec.models.inference import MOVIE_CODES, PREDICTED, RATED, RATINGS, UNCLIPPED, USER_CODES
from deeprec.models.learned_codes import ENCODER, write_user_codes
from deeprec.models.opening import GRAPH
from deeprec.networks.batches import DenseBatches
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import Floats, RatingMatrix, RatingScale

_NUM_PROBED_AT_ONCE = 64  # movies' dense vectors, when torch works out what a graph should say


def export_movie_codes(
    network: RatingPredictor,
    opener: Opener,
    train: RatingMatrix,
    folder: Path,
    config: ExportConfig,
) -> ExportReport:
    """Write encoder, product and the users' codes.

    Args:
        network: the fitted one, in eval mode, on the CPU; its columns are the training users.
        opener: of what is written.
        train: training ratings, every user's at least one.
        folder: where the files are to be.
        config: the opset, and the largest difference allowed.

    Raises:
        ExportError: torch, given movies' whole vectors, differs from what the files say.
    """
    names = [RATINGS, RATED] if network.needs_rated else [RATINGS]
    vectors = {name: Input(torch.zeros(2, train.num_users)) for name in names}
    encoder = Encoder(network).eval()
    write_graph(encoder, vectors, [MOVIE_CODES], folder / ENCODER, config.opset)
    codes_UC = column_codes(network)
    num_codes = codes_UC.shape[1]
    codes = {
        USER_CODES: Input(torch.zeros(2, num_codes)),
        MOVIE_CODES: Input(torch.zeros(train.num_movies, num_codes), is_batch=False),
    }
    product = _Product(opener.scale).eval()
    opset = write_graph(product, codes, [PREDICTED, UNCLIPPED], folder / GRAPH, config.opset)
    write_products(folder, config)
    write_user_codes(folder, train, codes_UC)
    model, probes = opener.open(folder), met_users(train)
    found_PM = model.predict(probes, model.movie_side(train), counted=True)
    expected_PM = _by_transpose(network, train, probes)
    largest = difference(expected_PM, found_PM, opener.scale)
    return agreement(largest, probes.num_users, opset, config, opener.scale)


class _Product(nn.Module):
    """Codes of users and of movies in, predicted ratings out."""

    def __init__(self, scale: RatingScale) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, users_BC: Tensor, movies_MC: Tensor) -> tuple[Tensor, Tensor]:
        return clip(users_BC @ movies_MC.T, self.scale)


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
