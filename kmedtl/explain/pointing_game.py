"""Do explanations point at the lesion? The pointing game, where images come with masks.

Source: Zhang et al., Top-Down Neural Attention by Excitation Backprop (2018), section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmedtl.errors import UserError
from kmedtl.images.decode_masks import MaskAnswer, MaskedImage, decode_masks
from kmedtl.images.reading import Reading
from kmedtl.images.workers import Failure
from kmedtl.statistics.confidence import Estimate, wilson


@dataclass(frozen=True)
class Pointing:
    """How often a map is highest inside the mask.

    Attributes:
        hits: the share of images, with its interval by patient.
        chance: what a place drawn at random would reach: the masks' mean share of the image.
        images: those with a mask that is not empty.
    """

    hits: Estimate
    chance: float
    images: int


def judge_pointing(maps: np.ndarray, masks: np.ndarray, patients: np.ndarray, tolerance: int = 0) -> Pointing:
    """Play the pointing game; arguments as of `pointing_game`, with the patient of each image."""
    hits, used = pointing_game(maps, masks, tolerance)
    near = [_within(mask, tolerance).mean() for mask in masks[used]]
    return Pointing(wilson(hits, np.asarray(patients)[used]), float(np.mean(near)) if near else 0.0, len(hits))


def pointing_game(maps: np.ndarray, masks: np.ndarray, tolerance: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return for each image with a mask whether its map is highest there.

    A map that is 0 throughout points nowhere, which is a miss. Of several highest places the first in reading order
    counts.

    Args:
        maps: (N, H, W), 0 and above.
        masks: bool (N, H, W); empty where there is nothing to point at.
        tolerance: pixels that the highest place may lie outside the mask.

    Returns:
        hits, bool (n,), of the images used, and which those are, bool (N,).
    """
    used = np.any(masks, axis=(1, 2))
    hits = [_points_into(*pair, tolerance) for pair in zip(maps[used], masks[used], strict=True)]
    return np.array(hits, bool), used


def read_masks(images: Sequence[MaskedImage], size: int, pattern: str = "*") -> np.ndarray:
    """Return the masks of images, bool (N, size, size), read as those of a segmentation and fitted as the images are.

    A mask is empty where no file is named, and the union of several; of blurred ones a pixel counts from half of the
    brightest on.

    Args:
        pattern: of the names of the files, or of the labels of DICOM segments, that count, such as `*_mask*` for a
            phantom's lesion without its lung.

    Raises:
        UserError: a mask that cannot be read.
    """
    found = decode_masks(images, {"target": pattern}, Reading(size, channels=1), "threshold")
    return np.stack([_plane(image, answer) for image, answer in zip(images, found, strict=True)])


def _plane(image: MaskedImage, answer: MaskAnswer | Failure) -> np.ndarray:
    if isinstance(answer, Failure):
        raise UserError(f"{image.path}: its mask cannot be read ({answer.reason}); mend it, or empty its row's `mask`.")
    return answer.masks.planes[..., 0]


def _points_into(found: np.ndarray, mask: np.ndarray, tolerance: int) -> bool:
    if not found.max() > 0:
        return False
    row, column = np.unravel_index(found.argmax(), found.shape)
    return bool(_within(mask, tolerance)[row, column])


def _within(mask: np.ndarray, tolerance: int) -> np.ndarray:
    """Return the mask and what lies no more than so many pixels from it, bool (H, W)."""
    if tolerance == 0:
        return mask
    height, width = mask.shape
    down, across = np.ogrid[:height, :width]
    reached = np.zeros_like(mask)
    for row, column in np.argwhere(_edge(mask)):
        reached |= (down - row) ** 2 + (across - column) ** 2 <= tolerance**2
    return reached | mask


def _edge(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of the mask that have one outside it above, below, left or right."""
    framed = np.pad(mask, 1)
    inside = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return mask & ~inside
