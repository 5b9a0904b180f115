"""Predictions as products: a code a user and a code a movie, of the whole warehouse.

Shape legend: B users in a batch, N movies of the warehouse, M movies of the vocabulary, C a
model's code, K a code as it is kept.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deeprec.bundles import Bundle
from deeprec.errors import BundleError
from deeprec.models import Factors, Model, factors_of
from deeprec.prediction import Predictor
from deeprec.ratings import Floats, RatingMatrix

_SELU_SCALE, _SELU_ALPHA = np.float32(1.0507009873554805), np.float32(1.6732632423543772)


@dataclass(frozen=True)
class Codes:
    """Codes that are kept, and whether the model or the biases have made each."""

    code_BK: Floats
    by_model_B: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FactoredPredictor:
    """What `Predictor` predicts, as products of codes.

    A code that is kept is the model's own and two more coordinates, by which a product is the
    bias prediction wherever the model knows the user or the movie not at all:

        user the model knows       code     0    mean + user bias
        user it does not           0        1    mean
        movie it knows             weights  mean + movie bias    0
        movie it does not          0        0                    1
    """

    predictor: Predictor
    factors: Factors

    @classmethod
    def of(cls, predictor: Predictor) -> "FactoredPredictor":
        """The same predictions in factors.

        Raises:
            BundleError: this model's are no products.
        """
        return cls(predictor, require_factors(predictor.bundle, predictor.model))

    @cached_property
    def movie_codes(self) -> Codes:
        """Of all N movies."""
        known_N = self.predictor.known_N
        weight_MC = self.factors.movie_codes(self.predictor.side)
        bundle = self.predictor.bundle
        code_NK = np.zeros((len(known_N), weight_MC.shape[1] + 2), dtype=np.float32)
        code_NK[known_N, :-2] = weight_MC
        code_NK[known_N, -2] = bundle.manifest.global_mean + bundle.vocabulary.bias_M
        code_NK[~known_N, -1] = 1
        return Codes(code_NK, known_N)

    def user_codes(self, users: RatingMatrix) -> Codes:
        """Of a batch of users, over the movies of the warehouse."""
        bundle = self.predictor.bundle
        inputs = users.restrict_movies(bundle.vocabulary.movie_ids_M)
        code_BC = self.factors.user_codes(
            inputs, self.predictor.side, counted=self.predictor.counted
        )
        is_known_B = np.diff(inputs.values_UM.indptr) > 0
        code_BK = np.zeros((len(code_BC), code_BC.shape[1] + 2), dtype=np.float32)
        code_BK[is_known_B, :-2] = code_BC[is_known_B]
        code_BK[~is_known_B, -2] = 1
        bias_B = bundle.biases.user_bias_U(inputs.values_UM)
        code_BK[:, -1] = bundle.manifest.global_mean + np.where(is_known_B, bias_B, 0)
        return Codes(code_BK, is_known_B)

    def unclipped(self, users: Codes) -> Floats:
        """B x N: predictions before the clip."""
        movies = self.movie_codes
        product_BN: Floats = users.code_BK @ movies.code_BK.T
        if self.factors.activation == "identity":
            return product_BN
        by_model_BN = users.by_model_B[:, None] & movies.by_model_B
        return np.where(by_model_BN, _selu(product_BN), product_BN)


def require_factors(bundle: Bundle, model: Model) -> Factors:
    """The bundle's model in factors.

    Raises:
        BundleError: its predictions are no products.
    """
    factors = factors_of(model)
    if factors is None:
        raise BundleError(
            f'{bundle.path}: score.storage = "factored" needs an autoencoder whose last layer is '
            "linear, or SELU without centring; this model's predictions are no products of a "
            'code a user and a code a movie: use score.storage = "dense"'
        )
    return factors


def _selu(x_BN: Floats) -> Floats:
    """Beside the identity the one activation that `AutoencoderConfig.has_user_codes` lets by."""
    return _SELU_SCALE * np.where(x_BN > 0, x_BN, _SELU_ALPHA * np.expm1(np.minimum(x_BN, 0)))
