"""How the C library hands out memory while the same large arrays come and go."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Of mallopt(3). Afterwards its thresholds are as high as glibc itself lets them grow.
_TRIM_THRESHOLD, _TRIM_FROM = -1, 64 * 1024**2
_MMAP_THRESHOLD, _MMAP_FROM = -3, 32 * 1024**2
_MMAP_MAX, _MMAPS = -4, 65536
_NEVER = 2**31 - 1


@contextmanager
def kept_memory() -> Iterator[None]:
    """Inside, what is freed stays with the process, for the next array of its size.

    Otherwise glibc gives large arrays back to the system at once, and every training step
    pays for the faults of fresh pages. Other C libraries are left alone.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _MMAPS)
        library.mallopt(_MMAP_THRESHOLD, _MMAP_FROM)
        library.mallopt(_TRIM_THRESHOLD, _TRIM_FROM)
        library.malloc_trim(0)
