"""Images larger than a model, looked at through a window of the model's size that slides over their own pixels.

For models whose training images were as large as the square, so that a pixel of the window is a pixel of theirs. NumPy
only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from kmedtl.edge.batches import batches
from kmedtl.edge.predictor import Model, Runtime
from kmedtl.edge.shapes import FEATURES
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError


@dataclass(frozen=True)
class SlidingWindow:
    """A runtime for one image of any size, uint8 (1, H, W, C).

    Windows overlap by half; where several look at a pixel, its logit is their mean, each weighing less towards its
    border (Ronneberger et al. 2015 tile likewise). Features are the mean over the windows.

    Attributes:
        runtime: of images (n, size, size, C).
        output: the output that has a value a pixel.
    """

    runtime: Runtime
    size: int
    output: str

    def __call__(self, images: np.ndarray, fields: np.ndarray | None = None) -> Outputs:
        (image,) = images
        height, width = image.shape[:2]
        padded = np.pad(image, [(0, max(0, self.size - height)), (0, max(0, self.size - width)), (0, 0)])
        weight, total, features = _pyramid(self.size), None, []
        for corners in batches(_corners(padded.shape[0], padded.shape[1], self.size)):
            places = [(slice(top, top + self.size), slice(left, left + self.size)) for top, left in corners]
            outputs = self.runtime(np.stack([padded[place] for place in places]))
            if total is None:
                total = np.zeros((*padded.shape[:2], outputs[self.output].shape[-1]), np.float32)
                weights = np.zeros((*padded.shape[:2], 1), np.float32)
            for place, logits in zip(places, outputs[self.output], strict=True):
                total[place] += logits * weight
                weights[place] += weight
            features += [outputs[FEATURES]] if FEATURES in outputs else []
        assert total is not None  # there is one window at least
        total /= weights
        found = {self.output: total[None, :height, :width]}
        return found | ({FEATURES: np.concatenate(features).mean(axis=0, keepdims=True)} if features else {})


def by_window(model: Model) -> Model:
    """Return the model with its window sliding over images as large as their files.

    Raises:
        UserError: a model that has no masks, or answers for an image as a whole besides.
    """
    info = model.info
    if info is None or info.task.masks is None:
        raise UserError("--window: expected a model of a segmentation; this one answers for an image as a whole.")
    output, *others = info.task.widths(info.decoder)
    if others:
        raise UserError("--window: expected a model of masks alone; this one answers for an image as a whole as well.")
    known = info.out_of_distribution
    if known is not None:  # the layout of a whole image says nothing of a window
        info = replace(info, out_of_distribution=replace(known, layout=None))
    runtime, reading = SlidingWindow(model.runtime, info.size, output), replace(model.reading, whole=True)
    return replace(model, runtime=runtime, reading=reading, info=info)


def _corners(height: int, width: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield top and left of the windows, row by row; the last of a row or column ends where the image does."""
    for top in _starts(height, size):
        for left in _starts(width, size):
            yield top, left


def _starts(length: int, size: int) -> list[int]:
    return [*range(0, length - size, max(1, size // 2)), length - size]


def _pyramid(size: int) -> np.ndarray:
    """Return float32 (size, size, 1), highest in the middle and above 0 everywhere."""
    line = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)
    return (line[:, None] * line / line.max() ** 2)[..., None]
