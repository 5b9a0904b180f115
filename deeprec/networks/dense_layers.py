"""Linear layers over dense rows as training takes them.

On a processor oneDNN does nearly all products: torch leaves those in 32 bits to MKL, which is
slower at most of them on processors of AMD's. They are equal up to the order in which numbers are
added. In bfloat16, which keeps 8 bits of each factor and result, torch itself goes to oneDNN, and
on a GPU to its tensor cores; weights and what moves them stay in 32 bits.

Shape legend: B rows, I inputs, O outputs; X, Y and Z of any matrices.
"""

import platform
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_HAS_ONEDNN = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and platform.machine() in {"x86_64", "AMD64"}
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
_LEAST_WORK = 2**23  # multiplications from which a call from Python is worth its price
_WIDE = 2**12  # columns from which MKL is the slower one at any product


def linear(
    inputs_BI: Tensor,
    weight_OI: Tensor,
    bias_O: Tensor | None = None,
    *,
    in_bfloat16: bool = False,
) -> Tensor:
    """B x O: what `functional.linear` gives, gradients too; exporters know only that one.

    Args:
        inputs_BI: of either type where the product is in bfloat16.
        weight_OI: in 32 bits, as its gradient will be.
        bias_O: the same.
        in_bfloat16: whether that is what is multiplied, and given (Micikevicius et al. 2018).
    """
    if in_bfloat16:
        offset_O = None if bias_O is None else bias_O.bfloat16()
        return functional.linear(inputs_BI.bfloat16(), weight_OI.bfloat16(), offset_O)
    is_for_onednn = (
        _HAS_ONEDNN
        and inputs_BI.device.type == "cpu"
        and inputs_BI.dtype == weight_OI.dtype == torch.float32
        and len(inputs_BI) * weight_OI.numel() >= _LEAST_WORK
    )
    if not is_for_onednn:
        return functional.linear(inputs_BI, weight_OI, bias_O)
    outputs_BO: Tensor = _Linear.apply(inputs_BI, weight_OI, bias_O)  # type: ignore[no-untyped-call]
    return outputs_BO


def widened(values: Tensor) -> Tensor:
    """The same, in 32 bits where they are in bfloat16."""
    return values.float() if values.dtype == torch.bfloat16 else values


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs_BI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:  # noqa: ANN401 - torch's own
        ctx.save_for_backward(inputs_BI, weight_OI)
        return _product(inputs_BI, weight_OI, bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BO: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        inputs_BI, weight_OI = ctx.saved_tensors
        of_inputs, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(gradient_BO, weight_OI.T) if of_inputs else None,
            _weight_gradient(gradient_BO, inputs_BI) if of_weight else None,
            gradient_BO.sum(dim=0) if of_bias else None,
        )


def _weight_gradient(gradient_BO: Tensor, inputs_BI: Tensor) -> Tensor:
    """O x I: the one transposed times the other; oneDNN copies the left one, MKL neither."""
    if max(gradient_BO.shape[1], inputs_BI.shape[1]) < _WIDE:
        return gradient_BO.T @ inputs_BI
    return _product(gradient_BO.T, inputs_BI.T)


def _product(left_XY: Tensor, right_ZY: Tensor, bias_Z: Tensor | None = None) -> Tensor:
    """X x Z: the one times the other transposed."""
    product_XZ: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - the one way to it
        left_XY, right_ZY, bias_Z, "none", [], ""
    )
    return product_XZ
