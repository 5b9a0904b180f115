"""Which device torch computes on, and the one sentence for a GPU that cannot be used."""

import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch

from deeprec.errors import DeviceError

if TYPE_CHECKING:
    from deeprec.config.section import Device


def resolve_device(device: "Device", gpu: int = 0) -> torch.device:
    """The device to compute on; `auto` is a GPU where one works, else the CPU.

    Args:
        device: `cuda` insists.
        gpu: the one of this machine that is tried; no other is touched.

    Raises:
        DeviceError: `cuda` was asked for and cannot be used.
    """
    problem = "" if device == "cpu" else _problem_with_cuda(gpu)
    if problem and device == "cuda":
        raise DeviceError(
            f"device = cuda was asked for, but {problem}; use device = auto or cpu, "
            "or install an NVIDIA driver and a CUDA build of torch"
        )
    return torch.device("cpu" if device == "cpu" or problem else "cuda")


def drawn_apart(device: torch.device) -> AbstractContextManager[None]:
    """What is drawn within leaves torch's generators, of the CPU and of that device, as they were.

    No other GPU is asked: one that cannot be used would fail a fit on the CPU.
    """
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _problem_with_cuda(gpu: int) -> str:
    """Why torch cannot use a GPU, or nothing: a driver that is too old shows only on first use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not torch.cuda.is_available():
            return "torch finds no usable NVIDIA GPU here"
        try:
            torch.zeros(1, device=f"cuda:{gpu}")
        except RuntimeError as error:
            return f"the GPU refuses to work ({str(error).splitlines()[0]})"
    return ""
