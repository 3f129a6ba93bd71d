"""Explanations as pictures: the map over its image, and the tiles of a report's gallery."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kmedtl.edge.heat_map import overlay
from kmedtl.tasks.task import Case

QUALITY = 80  # of the JPEGs: about 10 kB at 224 px, so that a gallery leaves a report small


@dataclass(frozen=True)
class ExampleImage:
    """A case of the gallery.

    Attributes:
        case: which image, why it is shown, and its caption: no name of a file or person.
        id: of the image, as in predictions.csv.
        image, overlay: JPEG files.
    """

    case: Case
    id: str
    image: bytes
    overlay: bytes


def gallery(cases: Sequence[Case], ids: Sequence[str], pixels: np.ndarray, maps: np.ndarray) -> list[ExampleImage]:
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


def jpeg(pixels: np.ndarray) -> bytes:
    """Return uint8 (H, W, 1 or 3) as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
