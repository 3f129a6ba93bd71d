"""How far answers moved: those of an exported file, or of the same images seen otherwise, beside the model's own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.tasks.classification.decoder import ClassDecoder
from kmedtl.edge.tasks.task import Outputs
from kmedtl.statistics.confidence import (
    WIDE,
    Estimate,
    at_least_by_patients,
    auc_influence,
    auc_loss,
    half_by_patient,
    leveraged,
    mean_patients,
    rarer_class,
    undefined,
)
from kmedtl.statistics.ranking import placements
from kmedtl.tasks.classification.examples import labelled
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.metrics import mean_auc
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.task import Drift, Examples

TITLES = {"mean_difference": "mean |Δp|", "max_difference": "max |Δp|", "flips": "decisions changed"}


def drift(
    question: ClassQuestion, before: Examples, decoder: ClassDecoder, after: Outputs, anew: ClassDecoder
) -> Drift:
    """Compare answers to the same images, each with the calibration and operating point of its own decoder.

    - `mean_difference`, `max_difference`: of the probabilities, absolute.
    - `flips`: fraction of the images decided otherwise.

    The loss is that of the mean AUC over findings; of several, its interval is the mean of theirs (DeLong, paired, by
    patient), which is wide enough however they hang together.
    """
    model = labelled(before, decoder)
    other = labelled(Examples(before.ids, before.patients, before.targets, after, before.groups), anew)
    difference = np.abs(other.probabilities - model.probabilities)
    value = mean_auc(model.targets, other.scores)
    low, high = _interval(model, other.scores)
    return Drift(
        value,
        Estimate(mean_auc(model.targets, model.scores) - value, low, high, "DeLong by patient, paired"),
        {
            "mean_difference": float(difference.mean()),
            "max_difference": float(difference.max()),
            "flips": float((other.decisions != model.decisions).any(axis=1).mean()),
        },
    )


def gain(
    question: ClassQuestion, ours: Examples, theirs: Sequence[Examples], decoder: ClassDecoder, other: ClassDecoder
) -> Estimate:
    """Return the headline AUC of `ours` minus the mean of `theirs`, paired by image, with an interval by patient.

    Of several findings it is the mean over those of which both answers are there, and what an image adds to it is the
    mean of what it adds to each.

    Args:
        ours, theirs: of the same images, in any order.
        decoder, other: of ours, and of theirs.
    """
    mine = labelled(ours, decoder)
    scores = np.stack([labelled(examples.in_order_of(mine.ids), other).scores for examples in theirs])
    if mine.kind == "binary":
        return auc_loss(mine.targets[:, 0], mine.scores[:, 0], scores[:, :, 0], mine.patients)
    areas, carrying, added = [], [], np.zeros(len(mine.ids))
    for number, labels in enumerate(mine.targets.T):
        known = labels >= 0
        if {0, 1} <= set(labels.tolist()):
            labels = labels[known]
            others = np.mean([placements(labels, one[known, number]) for one in scores], axis=0)
            difference = placements(labels, mine.scores[known, number]) - others
            areas.append(difference[labels == 1].mean())
            added[known] += leveraged(auc_influence(difference, labels), mine.patients[known], labels)
            carrying.append(rarer_class(labels, mine.patients[known]))
    if not areas:
        return undefined("no finding of which both answers are there")
    value, half = float(np.mean(areas)), half_by_patient(added / len(areas), mine.patients)
    found = Estimate(value, max(-1.0, value - half), min(1.0, value + half), "DeLong by patient, paired")
    return at_least_by_patients(found, mean_patients(carrying), WIDE)


def _interval(model: LabelledPredictions, scores: np.ndarray) -> tuple[float, float]:
    bounds = []
    for labels, before, after in zip(model.targets.T, model.scores.T, scores.T, strict=True):
        known = labels != UNKNOWN
        if len(set(labels[known])) == 2:
            loss = auc_loss(labels[known], before[known], after[known], model.patients[known])
            bounds.append((loss.low, loss.high))
    if not bounds:
        return math.nan, math.nan
    low, high = np.mean(bounds, axis=0)
    return float(low), float(high)
