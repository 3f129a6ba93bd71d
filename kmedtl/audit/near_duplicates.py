"""Which images are copies of one another, whatever saving, scaling or brightening has done to them since.

A perceptual hash of the lowest frequencies says little here, since chest films all resemble each other: within 12 of
its 64 bits, which copies cropped by 2 % need, lie thousands of a million pairs of different patients. So the finer
detail is compared instead, for every pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

GRID = 32  # cells a side: at 64 a crop of 1 % is lost, at 16 different chest films are taken for copies
SOFTEN = 2.0  # gray levels of local contrast below which a cell counts less, so that noise of flat areas has no say
RAMP = 8  # cells over which the weight rises from the edge inwards: markers sit there, and crops move it most
BLANK = 0.1  # root mean square of the weighted detail, below which an image has nothing to compare
SAME = 0.75  # similarity from which two images are copies; different patients' chest films reach 0.71
BLOCK = 2048  # rows compared at once: 3 × 16 MB
SKETCH = 128  # numbers a half that stand in for 512 in the first comparison of all pairs
TURNED_SKETCH = 32  # and for turned images, whose different ones are less alike: none of 113,000 pairs above 0.42
MARGIN = 0.15  # how far below SAME the first comparison looks


def fingerprint(images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return float16 (N, 1024): the local detail of each image, of length 1, or all 0 where an image is blank.

    The gray image, averaged to 32 × 32 cells, minus its surroundings and divided by their contrast (a Gaussian of one
    cell), which takes brightness, contrast and gamma away. The detail is then split by the mirror: the first 512
    columns hold the half that a horizontal flip leaves alone, the last 512 the half whose sign it turns.

    Source: local contrast normalisation as in Jarrett et al., What is the Best Multi-Stage Architecture for Object
    Recognition?, ICCV 2009, section 3.1.

    Args:
        images: each uint8 (H, W, C), C 1 or 3; the black around an image that keeps its aspect is no part of it.
    """
    if len(images) == 0:
        return np.empty((0, GRID * GRID), np.float16)
    cells = np.stack([_gray_cells(image) for image in images])
    around = (0, 1, 1)  # a Gaussian of one cell, each image by itself
    detail = cells - gaussian_filter(cells, around, mode="nearest")
    detail /= np.sqrt(gaussian_filter(detail * detail, around, mode="nearest")) + SOFTEN
    steps = np.arange(GRID)
    weight = np.minimum(1, (np.minimum(steps, steps[::-1]) + 0.5) / RAMP).astype(np.float32)
    detail *= weight[:, None] * weight
    detail -= detail.mean(axis=(1, 2), keepdims=True)
    size = np.linalg.norm(detail, axis=(1, 2), keepdims=True)
    detail = np.where(size < BLANK * GRID, 0, detail / np.maximum(size, BLANK * GRID))
    left, right = detail[:, :, : GRID // 2], detail[:, :, : GRID // 2 - 1 : -1]
    split = np.concatenate([left + right, left - right], axis=1) / np.sqrt(2)
    return split.reshape(len(images), -1).astype(np.float16)


def near_duplicates(fingerprints: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of rows (i, j), i < j, whose images are copies of one another, in ascending order.

    The similarity of two images is the greatest absolute correlation of their detail over {as it is, mirrored} and over
    the four turns by 90°, which follow from the fingerprint: with e and o the correlations of the two halves,
    max(|e + o|, |e − o|) = |e| + |o|. So mirrored copies and inverted ones (MONOCHROME1 read as MONOCHROME2) are found
    at no cost. A blank image is no copy of anything.

    Measured by benchmarks/near_duplicates.py at 224 pixels, seed 0. Of 400 children's chest films (Kermany 2018), 253
    brain MRI slices and 48 breast ultrasounds: all copies by JPEG (quality 30), 50 % size, blur of 2 px, gamma 0.6 to
    1.6, contrast × 0.6, 16 gray levels, a marker in a corner, mirroring, inversion, 1 % crop a side or a turn of 2°;
    brightness −40 and contrast × 1.5 but for one ultrasound; 2 % crop a side: 100, 45 and 100 %. Of 11.3 million pairs
    of different patients' chest films none is flagged, the nearest at 0.71; 38 pairs of slices are flagged that are not
    byte-equal, and the nine looked at, the least similar among them, are one slice saved twice. 100,000 images take
    114 s on two busy cores and 350 MB with the fingerprints.

    Copies turned by 90°, 180° or 270°, mirrored or not, are all found too; of the 113,000 pairs of those three sets no
    turned one comes above 0.42 that is no copy.

    Not found: crops of 4 %, turns of 5°. Falsely found: drawings without detail of their own, such as the synthetic
    thorax, 27 of 11,026 pairs of `phantom:100`; consecutive frames of a film count as copies too. The list grows with
    the square of a group: a thousand copies of one image are half a million pairs.

    Args:
        fingerprints: float16 (N, 1024) of `fingerprint`.
    """
    turns = ((turn, SKETCH if turn == 0 else TURNED_SKETCH) for turn in range(4))
    return sorted({pair for turn, size in turns for pair in _pairs(fingerprints, turn, size)})


def _pairs(fingerprints: np.ndarray, turn: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of rows (i, j), i < j, of which the second turned by 90° × `turn` is a copy of the first."""
    sketches = _sketch(fingerprints, 0, size)
    turned = sketches if turn == 0 else _sketch(fingerprints, turn, size)
    for top in range(0, len(fingerprints), BLOCK):
        for left in range(top, len(fingerprints), BLOCK):
            rows, columns = sketches[:, top : top + BLOCK], turned[:, left : left + BLOCK].transpose(0, 2, 1)
            even, odd = rows[0] @ columns[0], rows[1] @ columns[1]
            guess = np.add(np.abs(even, out=even), np.abs(odd, out=odd), out=even)
            i, j = np.nonzero(guess >= SAME - MARGIN)
            i, j = i + top, j + left
            i, j = i[i < j], j[i < j]
            same = _similarity(fingerprints, i, j, turn) >= SAME
            yield from zip(i[same].tolist(), j[same].tolist(), strict=True)


def _turned(fingerprints: np.ndarray, turn: int) -> np.ndarray:
    """Return the fingerprints, float32, that the images have when turned by 90° × `turn`, without looking at them."""
    halves = fingerprints.astype(np.float32).reshape(-1, 2, GRID, GRID // 2)
    if turn == 0:
        return halves.reshape(len(halves), -1)
    left, right = halves.sum(axis=1), halves[:, 0] - halves[:, 1]
    detail = np.rot90(np.concatenate([left, right[:, :, ::-1]], axis=2), turn, axes=(1, 2)) / 2
    left, right = detail[:, :, : GRID // 2], detail[:, :, : GRID // 2 - 1 : -1]
    return np.concatenate([left + right, left - right], axis=1).reshape(len(halves), -1)


def _sketch(fingerprints: np.ndarray, turn: int, size: int) -> np.ndarray:
    """Return float32 (2, N, size): both halves of the turned detail in a random projection that keeps their length.

    Products of sketches estimate those of the halves at a quarter of the work, to ±(1 − ρ²)/√128, 0.04 at ρ = 0.75;
    MARGIN is four times that. Source: Johnson & Lindenstrauss, Contemporary Mathematics 1984.
    """
    half = fingerprints.shape[1] // 2
    projection = np.random.default_rng(0).normal(size=(half, size)).astype(np.float32)
    sketches = np.empty((2, len(fingerprints), size), np.float32)
    for start in range(0, len(fingerprints), BLOCK):
        rows = slice(start, start + BLOCK)
        for sketch, detail in zip(sketches, np.split(_turned(fingerprints[rows], turn), 2, axis=1), strict=True):
            short = detail @ projection
            length = np.linalg.norm(short, axis=1, keepdims=True)
            sketch[rows] = short * np.linalg.norm(detail, axis=1, keepdims=True) / np.maximum(length, 1e-12)
    return sketches


def _similarity(fingerprints: np.ndarray, i: np.ndarray, j: np.ndarray, turn: int) -> np.ndarray:
    """Return float32 (P,), the similarity of rows i and rows j turned, each int (P,)."""
    similar = np.empty(len(i), np.float32)
    for start in range(0, len(i), BLOCK):
        part = slice(start, start + BLOCK)
        product = fingerprints[i[part]].astype(np.float32) * _turned(fingerprints[j[part]], turn)
        similar[part] = np.abs(product.reshape(len(product), 2, -1).sum(axis=2)).sum(axis=1)
    return similar


@cache
def _averaging(size: int) -> csr_array:
    """Return float32 (32, size): the share of each pixel in each cell, rows that sum to 1.

    Sparse, as most shares are 0; a product then needs no threads, whose waiting costs more than so small a sum.
    """
    edges, pixels = np.linspace(0, size, GRID + 1), np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return csr_array((np.clip(overlap, 0, None) * GRID / size).astype(np.float32))


def _gray_cells(image: np.ndarray) -> np.ndarray:
    """Return float32 (32, 32) of uint8 (H, W, C); one image at a time, so that 2048 pixels a side fit too."""
    height, width, channels = image.shape
    rows = image.reshape(height, -1).astype(np.float32)
    lines = (_averaging(height) @ rows).reshape(GRID, width, channels).mean(axis=2)
    return (_averaging(width) @ lines.T).T
