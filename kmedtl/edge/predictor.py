"""From image files to decisions, whatever runs the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmedtl.data.pixels import UnreadableImageError
from kmedtl.data.read_image import read_image
from kmedtl.edge.model_info import ModelInfo

Runtime = Callable[[np.ndarray], np.ndarray]  # uint8 (N, size, size, C) → logits (N,)


@dataclass(frozen=True)
class Prediction:
    """The answer for one file.

    Attributes:
        image: the path as given.
        probability: of the second class, 0–1, calibrated; None where the file could not be read.
        decision: the class name at the operating point; None likewise.
        error: why there is no answer, or None.
    """

    image: str
    probability: float | None
    decision: str | None
    error: str | None = None


def predict(runtime: Runtime, info: ModelInfo, paths: Iterable[str | Path]) -> Iterator[Prediction]:
    """Yield a prediction for each file; an unreadable one is answered with its reason."""
    for path in paths:
        try:
            picture = read_image(path, info.reading)
        except UnreadableImageError as error:
            yield Prediction(str(path), None, None, str(error))
            continue
        probability = float(probabilities(runtime(picture.pixels[None]), info.temperature)[0])
        decision = info.classes[int(probability >= info.threshold)]
        yield Prediction(str(path), probability, decision)


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return sigmoid(logits / temperature), float64, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64) / temperature))
