"""The cases of a report, chosen and explained."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import keras
import numpy as np

from kmedtl.explain.cases import choose_cases
from kmedtl.explain.methods import METHODS
from kmedtl.explain.overlay import ExampleImage, gallery
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions


def explained(
    model: keras.Model,
    answers: LabelledPredictions,
    thresholds: Sequence[float],
    images: np.ndarray,
    method: str,
    count: int,
    hidden: Collection[str] = (),
) -> list[ExampleImage]:
    """Return up to `count` tiles of each kind of case, each with the map of the finding that it was chosen for.

    Args:
        images: uint8 (N, H, W, C), in the order of the answers.
        method: a key of `METHODS`.
        hidden: ids that are not shown.
    """
    targets = np.where(np.isin(answers.ids, list(hidden))[:, None], -1, answers.targets)  # as if nobody knew
    cases = choose_cases(targets, answers.probabilities, thresholds, count)
    pixels = images[[case.row for case in cases]]
    maps = np.zeros(pixels.shape[:3], np.float32)
    for finding in {case.finding for case in cases}:
        rows = [number for number, case in enumerate(cases) if case.finding == finding]
        maps[rows] = METHODS[method](model, pixels[rows], finding)
    return gallery(cases, answers, pixels, maps)
