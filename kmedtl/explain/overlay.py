"""Explanations as pictures: the map over its image, and the tiles of a report's gallery."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kmedtl.edge.heat_map import overlay
from kmedtl.explain.cases import Case
from kmedtl.files.digits import in_digits

QUALITY = 80  # of the JPEGs: about 10 kB at 224 px, so that a gallery leaves a report small


@dataclass(frozen=True)
class ExampleImage:
    """A case of the gallery.

    Attributes:
        case: which image, and why it is shown.
        caption: the truth, the probability and the decision; no name of a file or person.
        image, overlay: JPEG files.
    """

    case: Case
    caption: str
    image: bytes
    overlay: bytes


def gallery(
    cases: Sequence[Case],
    findings: Sequence[str],
    targets: np.ndarray,
    probabilities: np.ndarray,
    decisions: np.ndarray,
    pixels: np.ndarray,
    maps: np.ndarray,
) -> list[ExampleImage]:
    """Return a tile for each case.

    Args:
        findings: F names.
        targets, probabilities, decisions: (N, F) of all images; `Case.row` points into them.
        pixels: uint8 (cases, H, W, C).
        maps: (cases, H, W) in 0–1, of each case's own finding.
    """
    return [
        ExampleImage(
            case, _caption(case, findings, targets, probabilities, decisions), jpeg(image), jpeg(overlay(image, found))
        )
        for case, image, found in zip(cases, pixels, maps, strict=True)
    ]


def jpeg(pixels: np.ndarray) -> bytes:
    """Return uint8 (H, W, 1 or 3) as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _caption(
    case: Case, findings: Sequence[str], targets: np.ndarray, probabilities: np.ndarray, decisions: np.ndarray
) -> str:
    place, name = (case.row, case.finding), findings[case.finding]
    truth = name if targets[place] == 1 else f"not {name}"
    said = "called" if decisions[place] else "not called"
    return f"Truth: {truth}. {name} {said}, probability {in_digits(probabilities[place])}"
