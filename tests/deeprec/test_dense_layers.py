import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deeprec import dense_layers


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(
    ("num_rows", "dtype"),
    [(600, torch.float32), (3, torch.float32), (600, torch.float64)],
    ids=["by oneDNN", "too few rows", "other numbers"],
)
def test_a_layer_and_its_gradients_are_torchs(
    num_rows: int, dtype: torch.dtype, *, has_bias: bool
) -> None:
    """The weight stands as a transposed view too, as an encoder's does."""
    torch.manual_seed(0)
    drawn = [torch.randn(*shape, dtype=dtype) for shape in ((num_rows, 140), (140, 130), (130,))]

    def both(layer: str) -> tuple[Tensor, ...]:
        inputs_BI, weight_IO, bias_O = (part.clone().requires_grad_() for part in drawn)
        of = (functional if layer == "torchs" else dense_layers).linear
        outputs_BO = of(inputs_BI, weight_IO.T, bias_O if has_bias else None)
        torch.autograd.backward(torch.selu(outputs_BO).square().mean())
        parts = [inputs_BI, weight_IO, *([bias_O] if has_bias else [])]
        return outputs_BO.detach(), *(part.grad for part in parts if part.grad is not None)

    expected, found = both("torchs"), both("ours")
    assert len(expected) == len(found) == 3 + has_bias
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_what_needs_no_gradient_gets_none() -> None:
    inputs_BI, weight_OI = torch.randn(300, 200), torch.randn(150, 200, requires_grad=True)
    torch.autograd.backward(dense_layers.linear(inputs_BI, weight_OI).sum())
    assert inputs_BI.grad is None
    torch.testing.assert_close(inputs_BI.sum(dim=0).expand(150, -1), weight_OI.grad)
