"""The same weights as Keras, TFLite and ONNX files on two cores: size, start-up, latency, throughput, memory.

    python benchmarks/edge.py [--size 224] [--threads 2]

The model is the pneumonia recipe's, as it is before training: what it answers changes none of this. Start-up is from
the start of the process to its first answer, the best of three; latency is that of one image at a time, decoding left
out; memory is the most that the process ever held. Needs the extra `onnx`. Other work on the machine falsifies it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

FORMATS = ("float32", "int8", "onnx")
STARTS = 3
BATCH = 64  # images, of the throughput


def write_files(size: int, folder: Path) -> list[Path]:
    """Write the files of an untrained model of the recipe into `folder`."""
    from kmedtl.system.native_logs import loading_tensorflow

    with loading_tensorflow():
        from kmedtl.export.formats import write_all
        from kmedtl.runs.train import build
    from kmedtl.recipes.pneumonia import RECIPE
    from kmedtl.tasks.classification.question import ClassQuestion

    recipe = replace(RECIPE, data=replace(RECIPE.data, size=size))
    model, _ = build(recipe, ClassQuestion("binary", RECIPE.data.classes))
    samples = random_images(16, size, RECIPE.data.channels)
    return list(write_all(model, folder, samples, FORMATS))


def work(path: Path, threads: int, size: int, channels: int) -> dict[str, float]:
    """Answer one image and then a batch; return when the first was there, images a second, and the peak of memory."""
    if path.suffix == ".tflite":
        from kmedtl.edge.litert import LiteRTModel

        runtime = LiteRTModel(path, threads)
    else:
        from kmedtl.export.runtimes import open_runtime

        runtime = open_runtime(path)
    images = random_images(BATCH, size, channels)
    runtime(images[:1])
    first = time.time()
    runtime(images)  # Keras compiles for this batch
    start = time.perf_counter()
    runtime(images)
    rate = BATCH / (time.perf_counter() - start)
    return {"first": first, "rate": rate, "peak": peak_megabytes()}


def peak_megabytes() -> float:
    """Return the most memory that this process held since it started (`ru_maxrss` would count its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e6


def in_new_process(path: Path, threads: int, size: int, channels: int) -> tuple[float, float, float]:
    """Return seconds from the process's start to its first answer, images a second, and megabytes at the peak."""
    begun = time.time()
    shape = [str(number) for number in (threads, size, channels)]
    done = subprocess.run([sys.executable, __file__, "--work", path, *shape], stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["first"] - begun, found["rate"], found["peak"]


def random_images(count: int, size: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), np.uint8)


def table(threads: int, size: int) -> None:
    from kmedtl.export.footprint import footprint
    from kmedtl.recipes.pneumonia import RECIPE

    channels = RECIPE.data.channels
    header = ("file", "MB", "start-up s", "p50 ms", "p95 ms", "images/s", "peak MB")
    print(("{:<24}" + "{:>12}" * 6).format(*header))
    with tempfile.TemporaryDirectory() as folder:
        for path in write_files(size, Path(folder)):
            runs = [in_new_process(path, threads, size, channels) for _ in range(STARTS)]
            starts, rates, peaks = zip(*runs, strict=True)
            found = footprint(path, threads, size, channels)
            figures = (path.stat().st_size / 1e6, min(starts), found.p50, found.p95, max(rates), max(peaks))
            print(f"{path.name:<24}" + "".join(f"{figure:>12.2f}" for figure in figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        path, *numbers = options.work
        print(json.dumps(work(Path(path), *map(int, numbers))))
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    table(options.threads, options.size)


if __name__ == "__main__":
    main()
