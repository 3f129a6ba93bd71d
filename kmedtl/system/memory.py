"""How much memory there is, how much was used, and bounds for it."""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import sys
from pathlib import Path
from types import ModuleType

M_ARENA_MAX = -8  # of glibc's malloc.h
KILOBYTE = 1024  # what Linux counts in


def bound_arenas() -> None:
    """Let glibc share its heaps between threads, no more than one a core; elsewhere do nothing.

    It would give a heap to each of tf.data's threads, up to eight a core, and batches that come from one and go to
    another leave holes in all: 15 % more memory after twenty epochs, and slower. Call it before TensorFlow starts.
    """
    if not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_ARENA_MAX, os.cpu_count() or 1)


def physical() -> float | None:
    """Return the bytes of memory that the machine has; None where the system does not tell."""
    if not hasattr(os, "sysconf"):
        return None
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def peak() -> float:
    """Return the most bytes that this process has held; NaN where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's `ru_maxrss` knows the parent's as well
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        return int(found[1]) * KILOBYTE if found else float("nan")
    resource = _resource()
    return float("nan") if resource is None else float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def bound(most: int) -> None:
    """Make what goes beyond `most` bytes from now on a `MemoryError`, on Linux; no other system bounds a process."""
    resource, usage = _resource(), Path("/proc/self/statm")
    if resource is None:
        return
    if usage.exists():
        in_use = int(usage.read_text(encoding="ascii").split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (in_use + most, in_use + most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _resource() -> ModuleType | None:
    """Return Unix's module of limits; Windows has none."""
    try:
        return importlib.import_module("resource")
    except ImportError:
        return None
