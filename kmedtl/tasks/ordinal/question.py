"""The question of an ordinal grading: which grades there are, and from which on an image is referable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmedtl.data.manifest import Manifest, check_order, labelled_by
from kmedtl.edge.tasks.ordinal import FEWEST, GRADE, STEEPNESS, GradeDecoder, Loss
from kmedtl.errors import UserError, nearest
from kmedtl.recipe import Data, Ordinal
from kmedtl.tasks.task import KnownTargets, Targets

LEARNED_FROM = ("train", "val")  # splits that tell nothing where all images are of one grade


@dataclass(frozen=True)
class GradeQuestion:
    """Which grades there are, from the lowest to the highest, and how they are learned.

    Attributes:
        grades: names, three or more.
        referable: the name of the lowest referable grade.
        loss, delta: as of `kmedtl.recipe.Ordinal`.
    """

    grades: tuple[str, ...]
    referable: str
    loss: Loss
    delta: float = 0.0


def ask(settings: Ordinal, data: Data, manifest: Manifest) -> tuple[GradeQuestion, Manifest]:
    """Return the question that the classes answer, and the images that have one: of the source's labels all.

    Raises:
        UserError: a column that is not there, several findings an image, fewer than three grades, grades whose order
            nobody gave, or a referable grade that is none or the lowest.
    """
    if settings.target:
        manifest = labelled_by(manifest, settings.target, "task.target", settings.grades)
    grades = manifest.classes
    if manifest.multi_label:
        raise UserError(
            f"task.kind: ordinal expects one grade an image. {manifest.source}: any of several findings; set "
            "task.kind=classification."
        )
    if len(grades) < FEWEST:
        raise UserError(
            f"task.kind: ordinal expects {FEWEST} grades or more. {manifest.source}: {len(grades)} "
            f"({', '.join(grades)}); set task.kind=classification."
        )
    named, by = (settings.grades, "task.grades") if settings.target else (data.classes, "data.classes")
    check_order(manifest, named, "task.kind=ordinal", by)
    referable = settings.referable or grades[len(grades) // 2]
    if referable not in grades[1:]:
        known = f"a grade above the lowest. Received: '{referable}'. {nearest(referable, grades[1:])}"
        raise UserError(f"task.referable: expected {known}")
    return GradeQuestion(grades, referable, settings.loss, settings.delta), manifest


def targets(question: GradeQuestion, data: Data, manifest: Manifest, table: pd.DataFrame) -> KnownTargets:
    """Return what gives the number of the grade, float32 (N, 1)."""

    def of(part: pd.DataFrame) -> Targets:
        return {GRADE: part["label"].to_numpy(np.float32)[:, None]}

    return KnownTargets(of)


def check(question: GradeQuestion, known: Mapping[str, Targets]) -> None:
    """Refuse a training or a validation whose images are all of one grade.

    Raises:
        UserError: the first such split.
    """
    for split in (name for name in LEARNED_FROM if name in known):
        numbers = np.unique(known[split][GRADE])
        if len(numbers) == 1:
            raise UserError(
                f"data: the split '{split}' holds the grade '{question.grades[int(numbers[0])]}' alone; take more "
                "images or another seed."
            )


def plain(question: GradeQuestion) -> GradeDecoder:
    """Return the decoder of outputs as they are: a cut is passed above ½, a number is rounded."""
    cuts = len(question.grades) - 1
    slope = STEEPNESS if question.loss == "expected_grade" else 1.0
    return GradeDecoder(
        question.grades, question.loss, question.referable, (slope,) * cuts, (0.0,) * cuts, (0.5,) * cuts
    )


def question_of(decoder: GradeDecoder) -> GradeQuestion:
    """Return the question that a decoder answers, as far as a finished run needs it."""
    return GradeQuestion(decoder.grades, decoder.referable, decoder.loss)
