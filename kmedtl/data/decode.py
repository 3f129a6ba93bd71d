"""Decoding many files on all cores. The workers import neither TensorFlow nor Keras."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import numpy as np
from tqdm import tqdm

from kmedtl.data.pixels import UnreadableImageError
from kmedtl.data.read_image import read_image
from kmedtl.errors import UserError

WORTH_WORKERS = 200  # files; fewer are done sooner than workers start


def decode(path: str, size: int, channels: int) -> tuple[dict, np.ndarray | None]:
    """Return the file's facts and its uint8 pixels (size, size, C), or None where it is unreadable.

    Facts: `width`, `height`, `mode`, `error` ("" where readable) and `sha256` of the file's bytes.
    """
    try:
        picture = read_image(path, size, channels)
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except UnreadableImageError as error:
        return {"width": 0, "height": 0, "mode": "", "sha256": "", "error": str(error)}, None
    found = {"width": picture.width, "height": picture.height, "mode": picture.mode}
    return found | {"sha256": content, "error": ""}, picture.pixels


def decode_all(paths: Sequence[str], size: int, channels: int) -> Iterator[tuple[dict, np.ndarray | None]]:
    """Yield `decode` of each path, in order, with a progress bar."""
    work = partial(decode, size=size, channels=channels)
    bar = partial(tqdm, total=len(paths), desc="Decoding images", unit="image", leave=False)
    if len(paths) < WORTH_WORKERS:
        yield from bar(map(work, paths))
        return
    # Spawned, not forked: TensorFlow's threads in the parent do not survive a fork.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the whole group of processes; the parent alone answers it.
    ignore = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context, **ignore) as pool:
        try:
            yield from bar(pool.map(work, paths, chunksize=16))
        except BrokenProcessPool:
            raise UserError("decoding: a worker was killed, by a damaged file or for lack of memory.") from None
