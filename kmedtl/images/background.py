"""Slices that show next to nothing, such as those above a head: they say nothing of their volume."""

from __future__ import annotations

import numpy as np

DARK = 12  # of 255: a level that is not above it is background
FEWEST = 0.01  # share of the pixels that something seen takes
RULE = f"fewer than {FEWEST:.0%} of their pixels are brighter than {DARK} of 255"


def is_background(pixels: np.ndarray) -> np.ndarray:
    """Return which slices are background by `RULE`, bool (N,).

    Args:
        pixels: uint8 (N, H, W, C), as the model sees them; of neighbours as channels the middle one is the slice.
    """
    bright = pixels[..., pixels.shape[-1] // 2] > DARK
    return bright.mean(axis=(1, 2)) < FEWEST


def without_say(dark: np.ndarray, volumes: np.ndarray) -> np.ndarray:
    """Return which slices have no say in the answer for their volume, bool (N,): those of background.

    A volume of background alone keeps all of its slices.

    Args:
        dark: bool (N,), of `is_background`.
        volumes: int (N,), from 0 on: of which volume each slice is.
    """
    return dark & (np.bincount(volumes, ~dark) > 0)[volumes]
