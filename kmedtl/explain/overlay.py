"""Explanations as pictures: the map over its image, and the tiles of a report's gallery."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from PIL import Image

from kmedtl.explain.cases import Case

COLORS = "inferno"  # perceptually uniform: as a greyscale print it still runs from dark to light
STRONGEST = 0.6  # opacity of the map's maximum; where the map is 0 the image shows as it is
QUALITY = 80  # of the JPEGs: about 10 kB at 224 px, so that a gallery leaves a report small


@dataclass(frozen=True)
class Tile:
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
) -> list[Tile]:
    """Return a tile for each case.

    Args:
        findings: F names.
        targets, probabilities, decisions: (N, F) of all images; `Case.row` points into them.
        pixels: uint8 (cases, H, W, C).
        maps: (cases, H, W) in 0–1, of each case's own finding.
    """
    return [
        Tile(
            case, _caption(case, findings, targets, probabilities, decisions), jpeg(image), jpeg(overlay(image, found))
        )
        for case, image, found in zip(cases, pixels, maps, strict=True)
    ]


def overlay(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the map over its image, uint8 RGB (H, W, 3).

    The map is laid on in colour, the more opaque the higher it is, and a line encloses what reaches half its maximum,
    white beside black, so that it can be seen on any ground and without colours.

    Args:
        image: uint8 (H, W, 1 or 3).
        found: (H, W) in 0–1.
    """
    ground = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float32)
    colors = 255 * matplotlib.colormaps[COLORS](found)[..., :3]
    opacity = STRONGEST * found[..., None]
    laid = np.round(ground * (1 - opacity) + colors * opacity).astype(np.uint8)
    inside = found >= 0.5
    laid[_grown(inside) & ~inside] = 255
    laid[inside & _grown(~inside)] = 0
    return laid


def jpeg(pixels: np.ndarray) -> bytes:
    """Return uint8 (H, W, 1 or 3) as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _grown(region: np.ndarray) -> np.ndarray:
    """Return a region (H, W) with the pixels above, below, left and right of it."""
    framed = np.pad(region, 1)
    return region | framed[:-2, 1:-1] | framed[2:, 1:-1] | framed[1:-1, :-2] | framed[1:-1, 2:]


def _caption(
    case: Case, findings: Sequence[str], targets: np.ndarray, probabilities: np.ndarray, decisions: np.ndarray
) -> str:
    place, name = (case.row, case.finding), findings[case.finding]
    truth = name if targets[place] == 1 else f"not {name}"
    said = "called" if decisions[place] else "not called"
    return f"Truth: {truth}. {name} {said}, probability {probabilities[place]:.3f}"
