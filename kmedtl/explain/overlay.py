"""Explanations as pictures: the map over its image, and the tiles of a report's gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmedtl.edge.heat_map import overlay
from kmedtl.explain.cases import Case
from kmedtl.files.digits import in_digits
from kmedtl.images.thumbnail import jpeg
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions


@dataclass(frozen=True)
class ExampleImage:
    """A case of the gallery.

    Attributes:
        case: which image, and why it is shown.
        caption: the truth, the probability and the decision.
        image, overlay: JPEG files.
        id: as predictions.csv has it: a pseudonym of DICOM files, the file's name of others.
    """

    case: Case
    caption: str
    image: bytes
    overlay: bytes
    id: str = ""


def gallery(
    cases: Sequence[Case], answers: LabelledPredictions, pixels: np.ndarray, maps: np.ndarray
) -> list[ExampleImage]:
    """Return a tile for each case.

    Args:
        answers: of all images; `Case.row` points into them.
        pixels: uint8 (cases, H, W, C).
        maps: (cases, H, W) in 0–1, of each case's own finding.
    """
    return [
        ExampleImage(
            case, _caption(case, answers), jpeg(image), jpeg(overlay(image, found)), str(answers.ids[case.row])
        )
        for case, image, found in zip(cases, pixels, maps, strict=True)
    ]


def _caption(case: Case, answers: LabelledPredictions) -> str:
    place, name = (case.row, case.finding), answers.findings[case.finding]
    truth = name if answers.targets[place] == 1 else f"not {name}"
    said = "called" if answers.decisions[place] else "not called"
    return f"Truth: {truth}. {name} {said}, probability {in_digits(answers.probabilities[place])}"
