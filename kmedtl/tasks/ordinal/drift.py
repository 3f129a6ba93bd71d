"""How grades differ from others of the same images: of an exported file, or of another run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmedtl.edge.tasks.ordinal import GRADE, GradeDecoder, cumulative, decide
from kmedtl.edge.tasks.task import Outputs
from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks.ordinal.figures import decisions, kappa_gain, kappa_of
from kmedtl.tasks.ordinal.question import GradeQuestion
from kmedtl.tasks.task import Drift, Examples

TITLES = {"mean_difference": "mean |Δp|", "max_difference": "max |Δp|", "flips": "grades changed"}


def drift(
    question: GradeQuestion, before: Examples, decoder: GradeDecoder, after: Outputs, anew: GradeDecoder
) -> Drift:
    """Compare answers to the same images, each by its own decoder.

    `mean_difference` and `max_difference` are of the probabilities of lying above each cut, absolute; `flips` is the
    share of images that get another grade.
    """
    truth, size = before.targets[GRADE][:, 0].astype(int), len(question.grades)
    above = cumulative(before.outputs, decoder), cumulative(after, anew)
    ours, theirs = decide(above[0], decoder.thresholds), decide(above[1], anew.thresholds)
    difference = np.abs(above[1] - above[0])
    return Drift(
        kappa_of(truth, theirs, size),
        kappa_gain(truth, ours, [theirs], size, before.patients),
        {
            "mean_difference": float(difference.mean()),
            "max_difference": float(difference.max()),
            "flips": float((ours != theirs).mean()),
        },
    )


def gain(
    question: GradeQuestion, ours: Examples, theirs: Sequence[Examples], decoder: GradeDecoder, other: GradeDecoder
) -> Estimate:
    """Return the quadratic weighted kappa of ours minus the mean one of theirs, paired by image."""
    truth = ours.targets[GRADE][:, 0].astype(int)
    others = [decisions(one.in_order_of(ours.ids).outputs, other) for one in theirs]
    return kappa_gain(truth, decisions(ours.outputs, decoder), others, len(question.grades), ours.patients)
