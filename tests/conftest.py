"""Fixtures that every test may use: a fresh home, the real data sets, a device."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from deeprec.config import Device
from deeprec.home import Home

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

# How long an example takes says what else the machine is doing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process is left waiting for another's at the end.

    Those marked `long` run only where they are asked for.
    """
    if os.environ.get("DEEPREC_TESTS") != "long":
        skipped = pytest.mark.skip(reason="takes minutes; `make test-long` runs it")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skipped)
    items.sort(key=lambda item: item.get_closest_marker("server") is None)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real ratings are not at hand: {SHARED_DATA} does not exist")
    return SHARED_DATA


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> Device:
    import torch  # noqa: PLC0415 - three seconds that most tests need not spend

    name: Device = request.param
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU that torch can use")
    return name
