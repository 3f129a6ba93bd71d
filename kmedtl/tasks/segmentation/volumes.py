"""Which rows are judged together: an image by itself, the slices of a volume as one mask in three dimensions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kmedtl.images.placement import Placement, to_file
from kmedtl.images.reading import Aspect

COLUMNS = ("volume", "frame")  # of the manifest, that say which slice of which volume an image is


def judged_together(groups: pd.DataFrame) -> list[np.ndarray]:
    """Return the rows of each image, one, and of each volume, its slices in order; in order of their first row.

    Args:
        groups: with `COLUMNS`, where anything is a slice.
    """
    if "volume" not in groups or not (groups["volume"] != "").any():
        return list(np.arange(len(groups))[:, None])
    volume = groups["volume"].astype(str).to_numpy()
    alone = np.where(volume == "", np.arange(len(groups)).astype(str), "\0" + volume)
    order = pd.to_numeric(groups["frame"], errors="coerce").fillna(0).to_numpy()
    codes, names = pd.factorize(alone)
    rows = np.lexsort((order, codes))
    return np.split(rows, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])


def stacks(array: np.ndarray, together: list[np.ndarray]) -> list[np.ndarray]:
    """Return what belongs to each image (…) or volume (slices, …) of an array with a row an image or slice."""
    return [array[rows] if len(rows) > 1 else array[rows[0]] for rows in together]


def is_seen_whole(box: Placement, width: int, height: int) -> bool:
    """Tell whether the model's grid holds every pixel of a file's."""
    return box.height >= height and box.width >= width


def on_own_grid(masks: np.ndarray, box: Placement, width: int, height: int, aspect: Aspect) -> np.ndarray:
    """Return masks of a volume's slices, bool (slices, size, size, M), on its own voxels.

    Where the model's grid is the coarser one, the masks stay on it, cut to the box: the voxels that it has not seen
    cannot be told from it.
    """
    if not is_seen_whole(box, width, height):
        return masks[:, box.box[0], box.box[1]]
    return np.moveaxis(to_file(np.moveaxis(masks, 0, 2), width, height, aspect, nearest=True), 2, 0)
