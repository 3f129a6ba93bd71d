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


def voi_share(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """Return the share of full brightness of modality values, float64, unclipped (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    The half units of LINEAR presuppose whole numbers: a window narrower than 1, or of width 1 over fractions, such as a
    small rescale slope brings, is taken as LINEAR_EXACT.

    Args:
        width: above 0, in modality units.
        function: LINEAR, LINEAR_EXACT or SIGMOID.
    """
    values = values.astype(np.float64)
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    fractions = width < 1 or (width == 1 and not np.array_equal(values, np.round(values)))
    if function == "LINEAR_EXACT" or fractions:
        return (values - center) / width + 0.5
    return (values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5
