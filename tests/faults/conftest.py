"""How hard faults are tried for: a short form in every run, a long one where it is asked for."""

import os

import pytest
from hypothesis import HealthCheck, settings

LONG = os.environ.get("DEEPREC_FAULTS") == "long"

settings.register_profile(
    "faults",
    deadline=None,
    max_examples=1500 if LONG else 50,
    suppress_health_check=list(HealthCheck),  # a file of some kilobytes is large and slow to make
)


@pytest.fixture(scope="session")
def is_long() -> bool:
    return LONG
