"""How hard faults are tried for: a short form in every run, a long one where it is asked for."""

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("DEEPREC_FAULTS") == "long"

# Examples are files of some kilobytes, which Hypothesis finds large and slow to make.
settings.register_profile(
    "faults",
    deadline=None,
    max_examples=2000 if LONG else int(os.environ.get("N", "50")),
    suppress_health_check=list(HealthCheck),
)
