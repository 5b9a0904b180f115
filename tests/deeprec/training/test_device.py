import pytest
import torch

from deeprec.config.section import Device
from deeprec.errors import DeviceError
from deeprec.training.device import drawn_apart, resolve_device


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


def test_draws_on_the_cpu_ask_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old")

    # A driver that counts GPUs and then refuses them is on no machine of ours.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_rng_state", refuses)
    before = torch.get_rng_state()
    with drawn_apart(torch.device("cpu")):
        torch.manual_seed(3)
        torch.rand(5)
    assert torch.equal(before, torch.get_rng_state())
