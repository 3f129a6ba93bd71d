"""How long a file takes for an image and how much memory, measured in a process of its own.

`python -m kmedtl.export.footprint FILE THREADS SIZE CHANNELS` prints one measurement as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kmedtl.errors import UserError
from kmedtl.system.memory import peak

WARM_UP, IMAGES = 5, 50


@dataclass(frozen=True)
class Footprint:
    """A file at work on one image at a time, decoding left out.

    Attributes:
        threads: cores that it may use.
        p50, p95: milliseconds an image: half take no longer, and 95 in 100.
        peak_megabytes: the most memory of the whole process, interpreter and libraries included, 10^6 bytes.
    """

    file: str
    threads: int
    p50: float
    p95: float
    peak_megabytes: float


def footprint(path: Path, threads: int, size: int, channels: int) -> Footprint:
    """Run a file in a new process and measure it there.

    Raises:
        UserError: the process failed.
    """
    command = [sys.executable, "-m", __name__, str(path), str(threads), str(size), str(channels)]
    bounds = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), str(threads))
    done = subprocess.run(command, env=os.environ | bounds, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{path}: could not be measured ({' '.join(done.stderr.split())[-200:]}).")
    return Footprint(**json.loads(done.stdout.splitlines()[-1]))


def _measure(path: Path, threads: int, size: int, channels: int) -> Footprint:
    from kmedtl.edge.litert import LiteRTModel
    from kmedtl.export.runtimes import open_runtime

    runtime = LiteRTModel(path, threads) if path.suffix == ".tflite" else open_runtime(path)
    images = np.random.default_rng(0).integers(0, 256, (WARM_UP + IMAGES, 1, size, size, channels), np.uint8)
    width, seconds = runtime.shapes.fields, []
    beside = np.zeros((1, int(width)), np.float32) if width else None
    for image in images:
        start = time.perf_counter()
        runtime(image, beside)
        seconds.append(time.perf_counter() - start)
    p50, p95 = 1000 * np.percentile(seconds[WARM_UP:], [50, 95])
    return Footprint(path.name, threads, float(p50), float(p95), peak() / 1e6)


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(Path(sys.argv[1]), *map(int, sys.argv[2:])))))
