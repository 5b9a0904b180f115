"""Predictions as products: a code a user and a code a movie, of the whole warehouse.

Shape legend: B users in a batch, S users coded at once, U users, N movies of the warehouse, M
movies of the vocabulary, R cells, C a model's code, K a code as it is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from deeprec.errors import BundleError
from deeprec.models.bundles import Bundle
from deeprec.models.interface import Factors, Model
from deeprec.models.last_layer import LOWEST_SELU, activate, before_activation
from deeprec.models.learned_codes import CodeModel
from deeprec.models.prediction import Predictor
from deeprec.models.vector_models import FactoredModel
from deeprec.ratings import Floats, RatingMatrix

_CODES_AT_ONCE = 4096  # users: a code is little beside a prediction of every movie
_CELLS_AT_ONCE = 1024  # of which both codes, of some hundred numbers, stay in the cache


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
        mean_B = bundle.manifest.global_mean + bias_B
        code_BK[:, -1] = self._before_activation(mean_B)
        return code_BK

    def products(self, code_BK: Floats) -> Floats:
        """B x N: predictions before activation and clip, in the order of those after them."""
        return self.factors.products(code_BK, self.movie_codes_NK)

    def activated(self, products: Floats) -> Floats:
        """Predictions before the clip, written over the products that they are of."""
        return activate(products, self.factors.activation, self.factors.unit)

    def code_batches(self, users: RatingMatrix) -> Iterator[tuple[slice, Floats]]:
        """`user_codes` of all users, some rows at a time."""
        for start in range(0, users.num_users, _CODES_AT_ONCE):
            rows = slice(start, min(start + _CODES_AT_ONCE, users.num_users))
            yield rows, self.user_codes(users.select_rows(rows))

    def unclipped_batches(
        self, users: RatingMatrix, batch_size: int
    ) -> Iterator[tuple[slice, Floats]]:
        """See `Predictor`; in one product of all movies, those that the model does not know too."""
        for coded, code_SK in self.code_batches(users):
            for start in range(0, len(code_SK), batch_size):
                product_BN = self.products(code_SK[start : start + batch_size])
                first = coded.start + start
                rows = slice(first, first + len(product_BN))
                yield rows, self.activated(product_BN)

    def unclipped_cells(
        self, users: RatingMatrix, wanted_UN: sparse.csr_array[np.float32], batch_size: int
    ) -> Iterator[Floats]:
        """See `Predictor`; a product a cell, so a batch is of cells here, as many as fit a cache.

        Args:
            users: whose cells they are.
            wanted_UN: with an entry a cell, whatever it is.
            batch_size: of users, for a predictor of whole rows; codes come many at a time.
        """
        del batch_size
        for rows, code_SK in self.code_batches(users):
            wanted = wanted_UN[rows].tocoo()
            for start in range(0, wanted.nnz, _CELLS_AT_ONCE):
                cells = slice(start, start + _CELLS_AT_ONCE)
                user_code_RK = code_SK[wanted.row[cells]]
                movie_code_RK = self.movie_codes_NK[wanted.col[cells]]
                product_R = np.einsum("rk,rk->r", user_code_RK, movie_code_RK)
                yield self.activated(product_R)

    def _before_activation(self, ratings: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return before_activation(ratings, self.factors.activation, self.factors.unit)


def scorer_of(predictor: Predictor) -> Predictor | FactoredPredictor:
    """The predictor itself, or the same as products where its model's scores are such."""
    factors = _factors_of(predictor.model)
    if factors is None or not _reaches_scale(factors, predictor.bundle):
        return predictor
    return FactoredPredictor(predictor, factors)


def require_factors(bundle: Bundle, model: Model) -> Factors:
    """The bundle's model in factors.

    Raises:
        BundleError: its predictions are no products.
    """
    factors = _factors_of(model)
    if factors is None:
        raise BundleError(
            f'{bundle.path}: score.storage = "factored" needs an autoencoder whose last layer is '
            "linear, or SELU without centring; this model's predictions are no products of a "
            'code a user and a code a movie: use score.storage = "dense"'
        )
    if not _reaches_scale(factors, bundle):
        raise BundleError(
            f'{bundle.path}: score.storage = "factored" cannot keep ratings below '
            f'{LOWEST_SELU * factors.unit:.2f} behind a SELU: use score.storage = "dense"'
        )
    return factors


def _reaches_scale(factors: Factors, bundle: Bundle) -> bool:
    """Whether products come to any rating on the scale."""
    lowest = LOWEST_SELU * factors.unit
    return factors.activation != "selu" or bool(bundle.manifest.scale.minimum >= lowest)


def _factors_of(model: Model) -> Factors | None:
    """The model in this form, if it has it."""
    return model if isinstance(model, CodeModel | FactoredModel) else None
