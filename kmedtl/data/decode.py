"""Decoding many files on all cores. The workers import neither TensorFlow nor Keras."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from tqdm import tqdm

from kmedtl.data.pixels import UnreadableImageError
from kmedtl.data.read_image import read_image

WORTH_WORKERS = 200  # files; fewer are done sooner than workers start


def decode(path: str, size: int, channels: int) -> tuple[dict, np.ndarray | None]:
    """Return facts (`width`, `height`, `mode`, `error`) and uint8 pixels (size, size, C), or None if unreadable."""
    try:
        picture = read_image(path, size, channels)
    except UnreadableImageError as error:
        return {"width": 0, "height": 0, "mode": "", "error": str(error)}, None
    return {"width": picture.width, "height": picture.height, "mode": picture.mode, "error": ""}, picture.pixels


def decode_all(paths: Sequence[str], size: int, channels: int) -> Iterator[tuple[dict, np.ndarray | None]]:
    """Yield `decode` of each path, in order, with a progress bar."""
    work = partial(decode, size=size, channels=channels)
    bar = partial(tqdm, total=len(paths), desc="Decoding images", unit="image", leave=False)
    if len(paths) < WORTH_WORKERS:
        yield from bar(map(work, paths))
        return
    # Spawned, not forked: TensorFlow's threads in the parent do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        yield from bar(pool.map(work, paths, chunksize=16))
