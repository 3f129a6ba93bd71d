"""Pixels as small files that a page can hold."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

QUALITY = 80  # about 10 kB at 224 px, so that a gallery leaves a page small


def jpeg(pixels: np.ndarray, longest: int | None = None) -> bytes:
    """Return uint8 (H, W, 1 or 3) as a JPEG file, scaled down where a side is longer than `longest`."""
    picture = Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels)
    if longest:
        picture.thumbnail((longest, longest))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
