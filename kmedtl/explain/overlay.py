"""Explanations as pictures: the map over its image, and the tiles of a report's gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmedtl.edge.heat_map import overlay
from kmedtl.images.thumbnail import jpeg
from kmedtl.tasks.task import Case


@dataclass(frozen=True)
class ExampleImage:
    """A case of the gallery.

    Attributes:
        case: which image, why it is shown, and its caption: no name of a file or person.
        id: as predictions.csv has it: a pseudonym of DICOM files, the file's name of others.
        image, overlay: JPEG files.
    """

    case: Case
    id: str
    image: bytes
    overlay: bytes


def gallery(cases: Sequence[Case], ids: np.ndarray, pixels: np.ndarray, maps: np.ndarray) -> list[ExampleImage]:
    """Return a picture and its overlay for each case.

    Args:
        ids: of all images; `Case.row` points into them.
        pixels: uint8 (cases, H, W, C).
        maps: (cases, H, W) in 0–1, of what each case's map explains.
    """
    return [
        ExampleImage(case, str(ids[case.row]), jpeg(image), jpeg(overlay(image, found)))
        for case, image, found in zip(cases, pixels, maps, strict=True)
    ]
