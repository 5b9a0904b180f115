"""What a benchmark ran on, as far as it bears on the figures."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deeprec.cores import num_cores

_CPU_INFO = Path("/proc/cpuinfo")
_PACKAGES = ("deeprec", "numpy", "scipy", "torch", "onnxruntime-gpu", "onnxruntime")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LK_NUM_THREADS")


class Machine(BaseModel):
    """Cores that this process may use, their model, versions, and thread limits if there are."""

    model_config = ConfigDict(frozen=True)

    num_cores: int
    cpu: str
    system: str
    versions: dict[str, str]
    thread_limits: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        limits = "".join(f", {name}={value}" for name, value in self.thread_limits.items())
        return f"{self.num_cores} cores of {self.cpu}, {self.system}{limits}\n{versions}"


def this_machine() -> Machine:
    """The one that this runs on."""
    versions = {name: installed_version(name) for name in _PACKAGES}
    return Machine(
        num_cores=num_cores(),
        cpu=_cpu_model(),
        system=f"{platform.system()} {platform.machine()}",
        versions={"python": platform.python_version()}
        | {name: number for name, number in versions.items() if number},
        thread_limits={name: os.environ[name] for name in _THREADS if name in os.environ},
    )


def installed_version(distribution: str) -> str | None:
    """A package's version, if it is installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    """The CPU's name; Linux tells Python's own function the architecture only."""
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"
