"""What every reader of image files shares: the bounds, the error, and the way to 8 bits."""

from __future__ import annotations

import numpy as np

MAX_PIXELS = 100_000_000


class UnreadableImageError(Exception):
    """A file that cannot become pixels; its text is the reason, without the file's name."""


def check_pixels(width: int, height: int) -> None:
    """Raise `UnreadableImageError` for a picture of more than `MAX_PIXELS`, before anything of it is decoded."""
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width} × {height} pixels, more than the limit of {MAX_PIXELS}")


def stretch(values: np.ndarray) -> np.ndarray:
    """Map the finite range of `values` linearly to uint8 0–255; a constant image becomes 0."""
    finite = np.isfinite(values)
    if not finite.any():
        raise UnreadableImageError("no finite pixel value")
    low, high = float(values[finite].min()), float(values[finite].max())
    scaled = (np.where(finite, values, low) - low) / max(high - low, 1e-12)
    return np.round(scaled * 255).astype(np.uint8)
