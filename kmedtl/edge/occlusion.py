"""Which places of an image a model's answer rests on, found by covering them: for any runtime, without gradients.

NumPy and Pillow only. Source: Zeiler & Fergus, Visualizing and Understanding Convolutional Networks (2014), section
4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from kmedtl.system.progress import progress

BATCH = 32  # covered copies of an image at a time


def occlusion(
    score: Callable[[np.ndarray], np.ndarray], images: np.ndarray, grid: int = 14, cover: int = 2
) -> np.ndarray:
    """Return float32 (N, H, W) in 0–1: how far a score, such as a logit, falls where a grey patch covers the place.

    Where it rises the map is 0. The patch has the image's mean, and its middle visits a grid of `grid` × `grid` cells,
    so an image costs `grid`² + 1 answers; between the cells' middles the map is interpolated.

    Args:
        score: from uint8 (n, H, W, C) to the numbers to be explained, (n,).
        images: uint8 (N, H, W, C).
        grid: cells a side, 1 to the shorter side in pixels.
        cover: side of the patch in cells.
    """
    falls = np.empty((len(images), grid, grid), np.float32)
    for number, image in enumerate(progress(images, "occlusion", unit="image")):
        whole = score(image[None])[0]
        copies = _covered(image, grid, cover)
        covered = np.concatenate([score(batch) for batch in _batches(copies)])
        falls[number] = (whole - covered).reshape(grid, grid)
    return enlarge(falls, *images.shape[1:3])


def enlarge(coarse: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return maps (N, h, w) bilinearly at the size of the images, float32 (N, height, width) in 0–1.

    What is below 0 becomes 0, and each map is divided by its own maximum; one without a positive value is 0 throughout.
    """
    positive = np.maximum(coarse, 0).astype(np.float32)
    bilinear = Image.Resampling.BILINEAR
    large = np.stack([np.asarray(Image.fromarray(part).resize((width, height), bilinear)) for part in positive])
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, highest, out=np.zeros_like(large), where=highest > 0)


def _covered(image: np.ndarray, grid: int, cover: int) -> Iterator[np.ndarray]:
    """Yield the image with the patch on each cell, row by row; at the border a part of the patch falls outside."""
    rows, columns = (_reach(side, grid, cover) for side in image.shape[:2])
    grey = np.round(image.mean(axis=(0, 1)))
    for top, bottom in rows:
        for left, right in columns:
            copy = image.copy()
            copy[top:bottom, left:right] = grey
            yield copy


def _reach(side: int, grid: int, cover: int) -> np.ndarray:
    """Return where the patch begins and ends along a side of so many pixels for each cell, int (grid, 2)."""
    middles = (np.arange(grid) + 0.5)[:, None]
    ends = np.round((middles + np.array([-cover / 2, cover / 2])) * side / grid)
    return np.clip(ends, 0, side).astype(int)


def _batches(copies: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    batch = []
    for copy in copies:
        batch.append(copy)
        if len(batch) == BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
