"""Images that show nothing, or next to nothing: constant, almost constant, saturated, clipped.

A wrong window, a wrong bit depth or a failed export makes them, and a network trains on them without complaint.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NARROW = 16  # levels of 256 that hold next to all pixels of an almost constant image, as 12 bits in 16 leave
NEARLY_ALL = 0.998
SATURATED = 0.75  # fraction of pixels that are white
CLIPPED, BOTH_ENDS = 0.95, 0.02  # fraction of pixels that are black or white, and at least so many of each
POOR = ("constant", "almost constant", "saturated", "clipped")


def poor_pixels(images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return for each image which of `POOR` it is, or "".

    `constant`: one level throughout. `almost constant`: 99.8 % of the pixels within 16 levels. `saturated`: three
    quarters of the pixels are white. `clipped`: 95 % of the pixels are black or white, at least 2 % of each.

    Args:
        images: each uint8 (H, W, C).
    """
    return np.array([_poor(np.bincount(image.ravel(), minlength=256) / image.size) for image in images], object)


def _poor(shares: np.ndarray) -> str:
    """Return what is wrong with an image by the share of its pixels at each level, (256,)."""
    black, white = shares[0], shares[-1]
    if shares.max() == 1:
        return "constant"
    if np.convolve(shares, np.ones(NARROW)).max() >= NEARLY_ALL:
        return "almost constant"
    if white >= SATURATED:
        return "saturated"
    if black + white >= CLIPPED and min(black, white) >= BOTH_ENDS:
        return "clipped"
    return ""
