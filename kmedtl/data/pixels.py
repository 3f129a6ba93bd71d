"""What every reader of image files shares: the bounds, the error, and the way to 8 bits."""

from __future__ import annotations

import numpy as np

MAX_PIXELS = 100_000_000


class UnreadableImageError(Exception):
    """A file that cannot become pixels; its text is the reason, without the file's name."""


def check_pixels(width: int, height: int) -> None:
    """Raise `UnreadableImageError` for a picture of none or more than `MAX_PIXELS`, before any of it is decoded."""
    if width < 1 or height < 1:
        raise UnreadableImageError(f"{width} × {height} pixels")
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width} × {height} pixels, more than the limit of {MAX_PIXELS}")


def stretch(values: np.ndarray) -> np.ndarray:
    """Map the finite range of `values` linearly to uint8 0–255; a constant image becomes 0, NaN and infinity too."""
    finite = np.isfinite(values)
    if not finite.any():
        raise UnreadableImageError("no finite pixel value")
    low, high = float(values[finite].min()), float(values[finite].max())
    share = (np.where(finite, values, low) - low) / max(high - low, np.finfo(np.float64).tiny)
    return to_levels(share)


def to_levels(share: np.ndarray) -> np.ndarray:
    """Map shares of full brightness to uint8, 0 → 0 and 1 → 255; what lies outside is cut off."""
    return np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
