"""The parts of a mask that are kept, and its holes. NumPy; SciPy where parts are told apart.

A mask is bool (h, w), or (d, h, w) of a volume. Pixels that touch at corners are connected; holes do not leak there.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from kmedtl.errors import UserError


def kept_parts(mask: np.ndarray, smallest: float = 0.0, largest: bool = False) -> np.ndarray:
    """Return a mask without its parts of fewer than `smallest` pixels.

    Args:
        largest: keep the largest part alone, of equal ones the first.

    Raises:
        UserError: SciPy is not installed.
    """
    if not (smallest or largest):
        return mask
    labels, _ = _ndimage().label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = sizes >= max(1, smallest)
    if largest:
        kept &= np.arange(len(sizes)) == sizes.argmax()
    return kept[labels]


def holes(mask: np.ndarray) -> np.ndarray:
    """Return the pixels outside a mask that it encloses, of a volume in three dimensions: bool, as the mask.

    Raises:
        UserError: SciPy is not installed.
    """
    labels, count = _ndimage().label(~mask)  # connected by sides alone, as what is outside of corners that touch
    enclosed = np.ones(count + 1, bool)
    enclosed[0] = False
    for axis in range(mask.ndim):
        for end in (0, -1):
            enclosed[np.unique(np.take(labels, end, axis))] = False
    return enclosed[labels]


def tidied(masks: np.ndarray, smallest: Sequence[float], largest: Sequence[bool], filled: Sequence[bool]) -> np.ndarray:
    """Return masks of structures, bool (…, M), by the rules of each: parts first, then holes.

    A hole is filled where no other structure is.
    """
    masks = np.stack(
        [kept_parts(masks[..., number], *rule) for number, rule in enumerate(zip(smallest, largest, strict=True))], -1
    )
    for number in np.flatnonzero(filled):
        masks[..., number] |= holes(masks[..., number]) & ~masks.any(axis=-1)
    return masks


def _ndimage() -> ModuleType:
    try:
        from scipy import ndimage  # slow to import, and only segmentations need it
    except ImportError:
        raise UserError("masks by their parts need SciPy: pip install 'kmedtl-edge[masks]'") from None
    return ndimage
