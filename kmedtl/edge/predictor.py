"""From image files to decisions, whatever runs the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kmedtl.data.pixels import UnreadableImageError
from kmedtl.data.read_image import read_image
from kmedtl.edge.calibration import probabilities
from kmedtl.edge.model_info import ModelInfo

Runtime = Callable[[np.ndarray], np.ndarray]  # uint8 (N, size, size, C) → logits float32 (N, findings)
NOTHING = "none"  # the decision where no finding is called


@dataclass(frozen=True)
class Prediction:
    """The answer for one file.

    Attributes:
        image: the path as given.
        probabilities: of each finding, 0–1, calibrated; empty where the file could not be read.
        decision: the class at the operating point; of several findings those called, or `none`; None likewise.
        error: why there is no answer, or None.
    """

    image: str
    probabilities: dict[str, float] = field(default_factory=dict)
    decision: str | None = None
    error: str | None = None


def predict(runtime: Runtime, info: ModelInfo, paths: Iterable[str | Path]) -> Iterator[Prediction]:
    """Yield a prediction for each file; an unreadable one is answered with its reason."""
    for path in paths:
        try:
            picture = read_image(path, info.reading)
        except UnreadableImageError as error:
            yield Prediction(str(path), error=str(error))
            continue
        found = probabilities(runtime(picture.pixels[None]), info.calibration)
        said = dict(zip(info.findings, found[0].tolist(), strict=True))
        yield Prediction(str(path), said, _named(decide(found, info.thresholds)[0], info))


def decide(found: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Return which findings are called, bool (N, F), of probabilities (N, F).

    Args:
        thresholds: a finding is called from its threshold on; none: the most probable is.
    """
    if len(thresholds):
        return found >= np.array(thresholds)
    return np.arange(found.shape[1]) == found.argmax(axis=1)[:, None]


def _named(called: np.ndarray, info: ModelInfo) -> str:
    if info.kind == "binary":
        return info.classes[int(called[0])]
    return ", ".join(name for name, is_called in zip(info.findings, called, strict=True) if is_called) or NOTHING
