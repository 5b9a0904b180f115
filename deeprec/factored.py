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

# The one activation beside the identity that `AutoencoderConfig.has_user_codes` lets by.
_SELU_SCALE, _SELU_ALPHA = np.float32(1.0507009873554805), np.float32(1.6732632423543772)
_LEAST = np.float32(-0.99)  # of its lowest value, which it never reaches


@dataclass(frozen=True)
class FactoredPredictor:
    """What `Predictor` predicts, as an activation of products of codes.

    A code that is kept is the model's own and two more coordinates, by which a product is the
    bias prediction, the activation undone, where the model knows the user or the movie not at all:

        user the model knows       code     0                    mean + user bias
        user it does not           0        1                    mean
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
    def movie_codes_NK(self) -> Floats:
        """Of all N movies."""
        known_N = self.predictor.known_N
        weight_MC = self.factors.movie_codes(self.predictor.side)
        bundle = self.predictor.bundle
        code_NK = np.zeros((len(known_N), weight_MC.shape[1] + 2), dtype=np.float32)
        code_NK[known_N, :-2] = weight_MC
        mean_M = bundle.manifest.global_mean + bundle.vocabulary.bias_M
        code_NK[known_N, -2] = self._before_activation(mean_M)
        code_NK[~known_N, -1] = 1
        return code_NK

    def user_codes(self, users: RatingMatrix) -> Floats:
        """B x K: of a batch of users, over the movies of the warehouse."""
        bundle = self.predictor.bundle
        inputs = users.restrict_movies(bundle.vocabulary.movie_ids_M)
        code_BC = self.factors.user_codes(
            inputs, self.predictor.side, counted=self.predictor.counted
        )
        is_known_B = np.diff(inputs.values_UM.indptr) > 0
        code_BK = np.zeros((len(code_BC), code_BC.shape[1] + 2), dtype=np.float32)
        code_BK[is_known_B, :-2] = code_BC[is_known_B]
        code_BK[~is_known_B, -2] = 1
        bias_B = np.where(is_known_B, bundle.biases.user_bias_U(inputs.values_UM), 0)
        code_BK[:, -1] = self._before_activation(bundle.manifest.global_mean + bias_B)
        return code_BK

    def products(self, code_BK: Floats, out_BN: Floats | None = None) -> Floats:
        """B x N: predictions before activation and clip, in the order of those after them.

        Args:
            code_BK: of a batch of users.
            out_BN: where they are put, if anywhere: a new array of this size has to be cleared.
        """
        product_BN: Floats = np.matmul(code_BK, self.movie_codes_NK.T, out=out_BN)
        return product_BN

    def activated(self, products: Floats) -> Floats:
        """Predictions before the clip."""
        if self.factors.activation == "identity":
            return products
        negative = _SELU_ALPHA * np.expm1(np.minimum(products, 0))
        return _SELU_SCALE * np.where(products > 0, products, negative)

    def _before_activation(self, ratings: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """What the activation makes these ratings of."""
        if self.factors.activation == "identity":
            return ratings
        positive = ratings / _SELU_SCALE
        negative = np.log1p(np.clip(positive / _SELU_ALPHA, _LEAST, 0))
        return np.where(ratings > 0, positive, negative)


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
    lowest = _SELU_SCALE * _SELU_ALPHA * _LEAST
    if factors.activation == "selu" and bundle.manifest.scale.minimum < lowest:
        raise BundleError(
            f'{bundle.path}: score.storage = "factored" cannot keep ratings below {lowest:.2f} '
            'behind a SELU: use score.storage = "dense"'
        )
    return factors
