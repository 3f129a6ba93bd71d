"""Where a file's image lies in the square that a model sees, and the way back to the file's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmedtl.images.reading import Aspect

ROWS = 256  # of a file that are interpolated at a time: bounds memory


@dataclass(frozen=True)
class Placement:
    """The box of the square that holds the image: whole pixels, the sides at least 1; the rest is black."""

    top: int
    left: int
    height: int
    width: int

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the box."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def placement(width: int, height: int, size: int, aspect: Aspect) -> Placement:
    """Return where an image of `width` × `height` pixels, upright, lies in a square of `size`.

    `stretch` fills the square. `keep` makes the longer side `size` and centres the other; of an odd remainder the
    larger half lies below or to the right.
    """
    if aspect == "stretch":
        return Placement(0, 0, size, size)
    longer = max(width, height)
    across, down = (max(1, round(side * size / longer)) for side in (width, height))
    return Placement((size - down) // 2, (size - across) // 2, down, across)


def in_square(pixels: np.ndarray, place: Placement, size: int) -> np.ndarray:
    """Return pixels (height, width, …) of the box in a square (size, size, …), black around."""
    if pixels.shape[:2] == (size, size):
        return pixels
    square = np.zeros((size, size, *pixels.shape[2:]), pixels.dtype)
    square[place.box] = pixels
    return square


def to_square(values: np.ndarray, size: int, aspect: Aspect) -> np.ndarray:
    """Return the values (H, W, …) of a file in a square (size, size, …), each that of the nearest pixel: for masks."""
    height, width = values.shape[:2]
    place = placement(width, height, size, aspect)
    return in_square(values[np.ix_(_nearest(place.height, height), _nearest(place.width, width))], place, size)


def to_file(square: np.ndarray, width: int, height: int, aspect: Aspect, nearest: bool = False) -> np.ndarray:
    """Return what a square says of each pixel of the file whose image it holds.

    Args:
        square: levels, uint8 (size, size); with `nearest` of any dtype, such as the bool of a mask.
        width, height: of the file's image, upright, in pixels.
        nearest: take the nearest pixel's value; else interpolate between the four around (bilinear), which is for
            files larger than their box: a smaller one is sampled, not averaged.

    Returns:
        (height, width), of the square's dtype.
    """
    found = square[placement(width, height, len(square), aspect).box]
    if nearest:
        return found[np.ix_(_nearest(height, found.shape[0]), _nearest(width, found.shape[1]))]
    levels = np.empty((height, width), np.uint8)
    for start in range(0, height, ROWS):
        rows = np.arange(start, min(start + ROWS, height))
        lines = _between(found.astype(np.float32), rows, height)
        levels[rows] = np.rint(_between(lines.T, np.arange(width), width).T)
    return levels


def _nearest(wanted: int, there: int) -> np.ndarray:
    """Return for each of `wanted` pixels of a line which of the `there` pixels its centre lies in."""
    return ((2 * np.arange(wanted) + 1) * there) // (2 * wanted)


def _between(values: np.ndarray, wanted: np.ndarray, count: int) -> np.ndarray:
    """Interpolate `values` (there, …) at the centres of some, `wanted`, of `count` pixels that take up its length."""
    place = np.clip((wanted + 0.5) * len(values) / count - 0.5, 0, len(values) - 1)
    before = place.astype(int)
    share = (place - before).astype(np.float32)[:, None]
    return values[before] * (1 - share) + values[np.minimum(before + 1, len(values) - 1)] * share
