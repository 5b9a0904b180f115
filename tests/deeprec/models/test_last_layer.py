import numpy as np
import pytest
import torch

from deeprec.config.models import Activation
from deeprec.models.last_layer import LOWEST_SELU, activate, before_activation


@pytest.mark.parametrize("activation", ["selu", "identity"])
def test_an_activation_is_torchs_and_can_be_undone(activation: Activation) -> None:
    """Over more cells than are taken at once, negative ones among them."""
    rng = np.random.default_rng(0)
    product_BN = rng.normal(1, 1, (300, 1000)).astype(np.float32)
    product = torch.from_numpy(product_BN.copy())
    expected_BN = (torch.selu(product) if activation == "selu" else product).numpy()
    found_BN = activate(product_BN.copy(), activation)
    np.testing.assert_allclose(found_BN, expected_BN, rtol=1e-6, atol=1e-6)
    kept = found_BN > LOWEST_SELU
    undone_BN = before_activation(found_BN, activation)
    np.testing.assert_allclose(undone_BN[kept], product_BN[kept], rtol=1e-4, atol=1e-4)
