import resource
import subprocess
import sys

import pytest

COUNTED = """
import resource, sys
from contextlib import nullcontext
import numpy as np
from deeprec.training.allocation import kept_memory

def faults_of(inside):
    with inside:
        for _ in range(3):
            np.ones(10_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            np.ones(10_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults_of(nullcontext()), faults_of(kept_memory()), faults_of(nullcontext()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries are left alone")
def test_memory_that_is_kept_is_not_faulted_in_again() -> None:
    """In a process of its own: the pages that an array of 80 MB touches five times over."""
    run = subprocess.run(
        [sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True
    )
    before, inside, after = map(int, run.stdout.split())
    pages = 5 * 80_000_000 // resource.getpagesize()
    assert inside < pages / 100
    assert min(before, after) > 10 * max(inside, 1)
