import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deeprec.config.section import Device
from deeprec.networks import dense_layers

BFLOAT16_STEP = 2**-7  # between a number and the next


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(
    ("num_rows", "num_outputs", "dtype"),
    [
        (600, 130, torch.float32),
        (16, 4100, torch.float32),
        (3, 130, torch.float32),
        (600, 130, torch.float64),
    ],
    ids=["by oneDNN", "wide", "too few rows", "other numbers"],
)
def test_a_layer_and_its_gradients_are_torchs(
    num_rows: int, num_outputs: int, dtype: torch.dtype, *, has_bias: bool
) -> None:
    """The weight stands as a transposed view too, as an encoder's does."""
    torch.manual_seed(0)
    shapes = ((num_rows, 140), (140, num_outputs), (num_outputs,))
    drawn = [torch.randn(*shape, dtype=dtype) for shape in shapes]

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


@pytest.mark.parametrize("has_bias", [True, False])
def test_in_bfloat16_factors_and_results_are_rounded_and_gradients_are_wide(
    device: Device, *, has_bias: bool
) -> None:
    torch.manual_seed(0)
    drawn = [torch.randn(*shape, device=device) for shape in ((600, 140), (130, 140), (130,))]
    inputs_BI, weight_OI, bias_O = (part.clone().requires_grad_() for part in drawn)
    told_O = bias_O if has_bias else None
    outputs_BO = dense_layers.linear(inputs_BI, weight_OI, told_O, in_bfloat16=True)
    assert torch.bfloat16 == outputs_BO.dtype
    rounded_BI, rounded_OI = (part.bfloat16().double() for part in drawn[:2])
    expected_BO = rounded_BI @ rounded_OI.T + (drawn[2].bfloat16().double() if has_bias else 0)
    torch.testing.assert_close(
        outputs_BO.double(), expected_BO, rtol=BFLOAT16_STEP, atol=BFLOAT16_STEP
    )
    torch.autograd.backward(dense_layers.widened(outputs_BO).sum())
    assert weight_OI.grad is not None
    assert inputs_BI.grad is not None
    assert torch.float32 == inputs_BI.grad.dtype == weight_OI.grad.dtype
    expected_OI = rounded_BI.sum(dim=0).expand(130, -1)
    torch.testing.assert_close(
        weight_OI.grad.double(), expected_OI, rtol=BFLOAT16_STEP, atol=BFLOAT16_STEP
    )
    if has_bias:
        assert bias_O.grad is not None
        torch.testing.assert_close(bias_O.grad, torch.full_like(bias_O, 600.0), rtol=2**-7, atol=0)


def test_only_bfloat16_is_widened() -> None:
    for dtype in (torch.float32, torch.float64):
        values = torch.zeros(2, dtype=dtype)
        assert values is dense_layers.widened(values)
    assert torch.float32 == dense_layers.widened(torch.zeros(2, dtype=torch.bfloat16)).dtype
