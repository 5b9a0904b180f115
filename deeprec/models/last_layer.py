"""A network's last layer after its products: what they come to, and the way back; without torch.

Shape legend: any; K of the predictions at hand.
"""

import numpy as np
import numpy.typing as npt

from deeprec.config.models import Activation
from deeprec.ratings import Floats

# SELU (Klambauer et al. 2017): the one beside the identity that `has_user_codes` lets by.
_SCALE, _ALPHA = np.float32(1.0507009873554805), np.float32(1.6732632423543772)
_LEAST = np.float32(-0.99)  # of its lowest value, which it never reaches
LOWEST_SELU = _SCALE * _ALPHA * _LEAST  # that `before_activation` gives a product of
_CELLS_AT_ONCE = 2**17  # which stay in the cache from the first operation to the last


def activate(products: Floats, activation: Activation, unit: float = 1.0) -> Floats:
    """Predictions before the clip, written over the products that they are of.

    A SELU's are counted in `unit`; linear layers hold it in their weights. Few products are
    negative where ratings are stars, so only those meet the exponential.
    """
    if activation == "identity":
        return products
    flat, scale = products.reshape(-1), _SCALE * np.float32(unit)
    for start in range(0, len(flat), _CELLS_AT_ONCE):
        part = flat[start : start + _CELLS_AT_ONCE]
        place_K = np.flatnonzero(part < 0)
        negative_K = scale * _ALPHA * np.expm1(part[place_K])
        part *= scale
        part[place_K] = negative_K
    return products


def before_activation(
    ratings: npt.NDArray[np.floating], activation: Activation, unit: float = 1.0
) -> npt.NDArray[np.floating]:
    """What `activate` makes these ratings of."""
    if activation == "identity":
        return ratings
    positive = ratings / (_SCALE * np.float32(unit))
    negative = np.log1p(np.clip(positive / _ALPHA, _LEAST, 0))
    return np.where(ratings > 0, positive, negative)
