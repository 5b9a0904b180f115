"""Which device torch computes on, and the one sentence for a GPU that cannot be used."""

import warnings
from typing import TYPE_CHECKING

import torch

from deeprec.errors import DeviceError

if TYPE_CHECKING:
    from deeprec.config.section import Device


def resolve_device(device: "Device") -> torch.device:
    """The device to compute on; `auto` is a GPU where one works, else the CPU.

    Raises:
        DeviceError: `cuda` was asked for and cannot be used.
    """
    problem = "" if device == "cpu" else _problem_with_cuda()
    if problem and device == "cuda":
        raise DeviceError(
            f"device = cuda was asked for, but {problem}; use device = auto or cpu, "
            "or install an NVIDIA driver and a CUDA build of torch"
        )
    return torch.device("cpu" if device == "cpu" or problem else "cuda")


def _problem_with_cuda() -> str:
    """Why torch cannot use a GPU, or nothing: a driver that is too old shows only on first use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not torch.cuda.is_available():
            return "torch finds no usable NVIDIA GPU here"
        try:
            torch.zeros(1, device="cuda")
        except RuntimeError as error:
            return f"the GPU refuses to work ({str(error).splitlines()[0]})"
    return ""
