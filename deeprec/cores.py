"""How many of the machine's cores this process may use."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/cpu.max")


def num_cores(quota: Path = _CGROUP) -> int:
    """Cores that the process may run on, or its container's share of them where that is less.

    Args:
        quota: microseconds of processor time a period, and the period, as control groups
            (version 2) have them: what `--cpus` and Kubernetes' `limits.cpu` set.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        time_us, period_us = map(int, quota.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # there is none, or it is "max"
        return allowed
    return max(1, min(allowed, time_us // period_us))
