"""The cases of a report, explained."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kmedtl.explain.methods import METHODS
from kmedtl.explain.overlay import ExampleImage, gallery
from kmedtl.tasks.task import Case


def explained(
    model: keras.Model, cases: Sequence[Case], ids: Sequence[str], images: np.ndarray, method: str
) -> list[ExampleImage]:
    """Return a picture of each case, with the map of the output and column that it is of.

    Args:
        ids, images: of all images, uint8 (N, H, W, C); `Case.row` points into them.
        method: a key of `METHODS`.
    """
    pixels = images[[case.row for case in cases]]
    maps = np.zeros(pixels.shape[:3], np.float32)
    for which in {(case.output, case.column) for case in cases}:
        rows = [number for number, case in enumerate(cases) if (case.output, case.column) == which]
        maps[rows] = METHODS[method](model, pixels[rows], which)
    return gallery(cases, ids, pixels, maps)
