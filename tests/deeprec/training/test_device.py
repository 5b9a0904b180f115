import pytest
import torch

from deeprec.config.section import Device
from deeprec.errors import DeviceError
from deeprec.training.device import resolve_device


def test_the_device_asked_for_is_the_device_used(device: Device) -> None:
    assert device == resolve_device(device).type


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert expected == resolve_device("auto").type


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an NVIDIA GPU here")
def test_a_gpu_that_is_not_there_is_one_clear_sentence() -> None:
    with pytest.raises(
        DeviceError, match=r"^device = cuda was asked for, but .*; use device = "
    ) as e:
        resolve_device("cuda")
    assert 1 == len(str(e.value).splitlines())
