"""Where a run was made, so that a figure can be traced: versions, code, machine; no names of people, no paths."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import tensorflow as tf

import kmedtl
from kmedtl.files.digits import in_time
from kmedtl.system.memory import physical

PACKAGES = (
    "tensorflow", "keras", "tensorflow-datasets", "ai-edge-litert", "numpy", "scipy", "scikit-learn", "pandas",
    "pillow", "pydicom", "imagecodecs",
)  # fmt: skip


@dataclass(frozen=True)
class Start:
    """When a run began, and whether it went on with one that had stopped: then only its last part is timed."""

    at: datetime
    resumed: bool = False


def environment(start: Start) -> dict[str, Any]:
    """Return when, with what and where a run was made, as `environment.json` holds it.

    - `began`, `seconds`, `resumed`: the time of day with its zone, and how long it took up to now.

    - `commit`: of kmedtl's own checkout; null where it is installed without one. `code_sha256`: of its modules, which
      tells whether it was changed since. Nothing is asked of the folder that the run is started in.
    - `host`: `cpu` (its model), logical `cores`, `memory_gb` (10^9 bytes) and the models of its `gpus`.
    """
    package = Path(kmedtl.__file__).parent
    return {
        "began": start.at.isoformat(timespec="seconds"),
        "seconds": round((now() - start.at).total_seconds(), 1),
        "resumed": start.resumed,
        "kmedtl": kmedtl.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "commit": commit_of(package.parent),
        "code_sha256": code_hash(package),
        "host": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gb": round(memory / 1e9, 1) if (memory := physical()) else None,
            "gpus": [_name(gpu) for gpu in tf.config.list_physical_devices("GPU")],
        },
    }


def when(environment: Mapping[str, Any]) -> str:
    """Return a run's date and duration as a person reads them."""
    day, _, time = environment["began"].partition("T")
    part = " since it was resumed" if environment["resumed"] else ""
    return f"{day} {time[:5]}, in {in_time(environment['seconds'])}{part}"


def now() -> datetime:
    """Return the time of day, which knows its zone."""
    return datetime.now().astimezone()


def commit_of(folder: Path) -> str | None:
    """Return the commit that a checkout is at, or None where `folder` is no top of one.

    Files are read and git is not run: what a repository configures, such as `core.fsmonitor`, may be any program.
    """
    place = folder / ".git"
    head = _text(place / "HEAD")
    if place.is_file():  # of a worktree or a submodule, whose references may lie in another folder
        place = folder / _text(place).removeprefix("gitdir:").strip()
        head = _text(place / "HEAD")
    common = place / _text(place / "commondir") if (place / "commondir").is_file() else place
    if not head.startswith("ref:"):
        return _commit(head)
    name = head.removeprefix("ref:").strip()
    if not re.fullmatch(r"refs/[\w./@+-]+", name) or ".." in name:
        return None
    packed = {line.partition(" ")[2]: line.partition(" ")[0] for line in _text(common / "packed-refs").splitlines()}
    return _commit(_text(place / name)) or _commit(_text(common / name)) or _commit(packed.get(name, ""))


def code_hash(package: Path) -> str:
    """Return the SHA-256 of a package's modules, names and contents: the same where not a letter was changed."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\n{path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _commit(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else None


def _text(path: Path) -> str:
    """Return what a small text file says, "" where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _cpu() -> str:
    """Return the processor's model; Python itself knows it on few systems, Linux tells it in a file."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _name(gpu: tf.config.PhysicalDevice) -> str:
    return tf.config.experimental.get_device_details(gpu).get("device_name", "unknown")
