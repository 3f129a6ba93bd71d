"""Where a run was made, so that a figure can be traced: versions, code, machine; no names of people, no paths."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import tensorflow as tf

import kmedtl

PACKAGES = (
    "tensorflow", "keras", "tensorflow-datasets", "ai-edge-litert", "numpy", "scipy", "scikit-learn", "pandas",
    "pillow", "pydicom", "imagecodecs",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """Return versions, `git` and `host` as `environment.json` holds them.

    - `git`: `commit` of the working directory's repository and whether tracked files have `uncommitted_changes`; null
      where there is no repository, no commit or no git.
    - `host`: `cpu` (its model), logical `cores`, `memory_gb` (10^9 bytes) and the models of its `gpus`.
    """
    return {
        "kmedtl": kmedtl.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "git": git_state(Path.cwd()),
        "host": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "gpus": [_name(gpu) for gpu in tf.config.list_physical_devices("GPU")],
        },
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return `commit` and `uncommitted_changes` of the repository that `folder` is in, or None if there is none."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "uncommitted_changes": _git(folder, "status", "--porcelain", "-uno") != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None where it is not installed, or finds no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.strip()


def _cpu() -> str:
    """Return the processor's model; Python itself knows it on few systems, Linux tells it in a file."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _name(gpu: tf.config.PhysicalDevice) -> str:
    return tf.config.experimental.get_device_details(gpu).get("device_name", "unknown")
