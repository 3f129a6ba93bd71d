"""What an answer rests on, as a picture to look at. NumPy and Pillow only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from kmedtl.edge.occlusion import occlusion
from kmedtl.edge.predictor import ImageResult, Model, first_output

LONGEST = 512  # pixels of the picture's longer side
STRONGEST = 0.6  # opacity of the map's maximum; where the map is 0 the image shows as it is
# Dark to light also as a greyscale print: nearly matplotlib's inferno, at equal steps from 0 to 1.
COLOURS = np.array(
    [
        [0, 0, 4], [33, 12, 74], [87, 16, 110], [138, 34, 106], [188, 55, 84], [228, 90, 49], [249, 142, 9],
        [249, 203, 53], [252, 255, 164],
    ]
)  # fmt: skip


def heat_map(model: Model, seen: ImageResult) -> np.ndarray:
    """Return uint8 RGB (height, width, 3), in the file's own aspect: what its answer rests on.

    The image as the model saw it, with the occlusion map laid on.
    """
    assert seen.pixels is not None  # there is no answer to explain where the file could not be read
    found = occlusion(explained_score(model, seen), seen.pixels[None])[0]
    scale = LONGEST / max(seen.facts.width, seen.facts.height)
    size = max(1, round(seen.facts.width * scale)), max(1, round(seen.facts.height * scale))
    bilinear = Image.Resampling.BILINEAR
    image = Image.fromarray(seen.pixels.squeeze(axis=2) if seen.pixels.shape[2] == 1 else seen.pixels)
    ground = np.asarray(image.convert("RGB").resize(size, bilinear))
    return overlay(ground, np.asarray(Image.fromarray(found).resize(size, bilinear)))


def explained_score(model: Model, seen: ImageResult) -> Callable[[np.ndarray], np.ndarray]:
    """Return the score that an explanation is of: the one the answer names; of a foreign model its highest output."""
    answer = seen.prediction.answer
    if model.info is None or answer is None:
        assert seen.prediction.outputs is not None  # as of every model without metadata
        highest = int(np.argmax(seen.prediction.outputs))
        return lambda images: first_output(model.runtime(images))[:, highest]
    name, column = model.info.task.explained(answer)

    def score(images: np.ndarray) -> np.ndarray:
        found = model.outputs(images, seen.known)[name][..., column]
        return found.reshape(len(found), -1).mean(axis=1)  # of a mask over all its pixels

    return score


def overlay(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return a map (H, W) in 0–1 over its image, uint8 (H, W, 3): in colour, more opaque where it is higher.

    A line encloses what reaches half the maximum, white beside black, to be seen on any ground and without colours.
    """
    steps = np.linspace(0, 1, len(COLOURS))
    colours = np.stack([np.interp(found, steps, channel) for channel in COLOURS.T], axis=-1)
    opacity = STRONGEST * found[..., None]
    laid = np.round(image * (1 - opacity) + colours * opacity).astype(np.uint8)
    inside = found >= 0.5
    laid[_grown(inside) & ~inside] = 255
    laid[inside & _grown(~inside)] = 0
    return laid


def _grown(region: np.ndarray) -> np.ndarray:
    """Return a region (H, W) with the pixels above, below, left and right of it."""
    framed = np.pad(region, 1)
    return region | framed[:-2, 1:-1] | framed[2:, 1:-1] | framed[1:-1, :-2] | framed[1:-1, 2:]
