"""Squares cut of whole images and their masks, for networks that learn fine structures of large images.

A network of convolutions has the same weights at any size, so it may learn on patches and answer on whole images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from kmedtl.data.in_memory import ImagesInMemory
from kmedtl.data.pipeline import Pipeline


def random_patches(images: Pipeline, side: int, count: int, seed: int) -> Pipeline:
    """Return `count` patches of each image, at random places that follow from `seed`.

    Every second one, the first among them, lies around a random pixel of a random structure that the image shows, as
    far as the border lets it: of thin or small structures, patches at random places alone would show little. What
    `images.moves` calls masks says where structures are.

    Returns:
        patches of `side` pixels, held in memory, those of an image one after the other; see `_cut`.
    """
    random = np.random.default_rng(seed)
    last = _size(images) - side  # where a patch may begin at most
    corners = random.integers(last + 1, size=(len(images.table), count, 2))
    for row, shown in enumerate(_structures(images)):
        for number in range(0, count if shown else 0, 2):
            places = shown[random.integers(len(shown))]
            corners[row, number] = np.clip(places[random.integers(len(places))] - side // 2, 0, last)
    return _cut(images, side, corners)


def tiles(images: Pipeline, side: int) -> Pipeline:
    """Return the patches that cover each image: evenly spread, and no more of them than it takes.

    Returns:
        as `random_patches`, row by row of an image.
    """
    size = _size(images)
    starts = np.linspace(0, size - side, -(-size // side)).round().astype(int)
    corners = np.stack(np.meshgrid(starts, starts, indexing="ij"), axis=-1).reshape(1, -1, 2)
    return _cut(images, side, np.repeat(corners, len(images.table), axis=0))


def _size(images: Pipeline) -> int:
    return images.images().element_spec.shape[1]


def _structures(images: Pipeline) -> Iterator[list[np.ndarray]]:
    """Yield for each image the pixels, int (P, 2) of row and column, of each structure that it shows."""
    masks = [images.targets[name] for name in images.moves]
    for row in range(len(images.table)):
        planes = np.concatenate([mask[row] for mask in masks], axis=-1) > 0
        yield [np.argwhere(plane) for plane in np.moveaxis(planes, -1, 0) if plane.any()]


def _cut(images: Pipeline, side: int, corners: np.ndarray) -> Pipeline:
    """Return patches, a row of the table each: masks are cut as their image, all else of an image is repeated.

    Args:
        corners: int (N, count, 2): row and column of the top left pixel of each image's patches.
    """
    rows = np.repeat(np.arange(len(images.table)), corners.shape[1])
    targets = {
        name: _squares(array, side, corners, array.shape[-1], array.dtype) if name in images.moves else array[rows]
        for name, array in images.targets.items()
    }
    batches = images.images()  # one at a time, as all whole images may be more than memory holds
    whole = (image for batch in batches.as_numpy_iterator() for image in batch)
    pixels = _squares(whole, side, corners, batches.element_spec.shape[-1], np.dtype(np.uint8))
    table = images.table.iloc[rows].reset_index(drop=True).assign(record=np.arange(len(rows)))
    return replace(images, store=ImagesInMemory(pixels), table=table, targets=targets)


def _squares(
    planes: Iterable[np.ndarray], side: int, corners: np.ndarray, channels: int, dtype: np.dtype
) -> np.ndarray:
    """Return the squares of each of N planes (size, size, channels), (N · count, side, side, channels)."""
    count = corners.shape[1]
    squares = np.empty((len(corners) * count, side, side, channels), dtype)
    for row, plane in enumerate(planes):
        for number, (top, left) in enumerate(corners[row]):
            squares[row * count + number] = plane[top : top + side, left : left + side]
    return squares
