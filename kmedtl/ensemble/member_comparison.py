"""Several models beside the one that was made of them, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmedtl.ensemble.members import Member, answers
from kmedtl.evaluate.confidence import (
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
from kmedtl.evaluate.ranking import placements
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.metrics import measure


@dataclass(frozen=True)
class MemberComparison:
    """One run beside what was made of it and others.

    Attributes:
        figure: which area is meant: `auc`, or of several findings `macro_auc`.
        area: of the run.
        gain: the area of what was made minus that of the run, on the same images.
    """

    run: str
    figure: str
    area: Estimate
    gain: Estimate


def member_comparisons(
    members: Sequence[Member], made: LabelledPredictions, ordered: bool = False
) -> tuple[MemberComparison, ...]:
    """Return each run beside what was made of them all, on the images of the test."""
    found = []
    for member in members:
        alone = answers(member.predictions, member.info, "test")
        figure, area = next(iter(measure(alone, ordered).estimates.items()))
        found.append(MemberComparison(str(member.folder), figure, area, gain(made, alone)))
    return tuple(found)


def gain(ours: LabelledPredictions, theirs: LabelledPredictions) -> Estimate:
    """Return the AUC of `ours` minus that of `theirs`, paired by image, with an interval by patient.

    Of several findings it is the mean over those of which both answers are there, and what an image adds to it is the
    mean of what it adds to each.

    Args:
        ours, theirs: of the same images, in any order.
    """
    place = {name: row for row, name in enumerate(theirs.ids)}
    scores = theirs.scores[[place[name] for name in ours.ids]]
    if ours.kind == "binary":
        return auc_loss(ours.targets[:, 0], ours.scores[:, 0], scores[:, 0], ours.patients)
    areas, carrying, added = [], [], np.zeros(len(ours.ids))
    for labels, mine, other in zip(ours.targets.T, ours.scores.T, scores.T, strict=True):
        known = labels >= 0
        if {0, 1} <= set(labels.tolist()):
            labels = labels[known]
            difference = placements(labels, mine[known]) - placements(labels, other[known])
            areas.append(difference[labels == 1].mean())
            added[known] += leveraged(auc_influence(difference, labels), ours.patients[known], labels)
            carrying.append(rarer_class(labels, ours.patients[known]))
    if not areas:
        return undefined("no finding of which both answers are there")
    value, half = float(np.mean(areas)), half_by_patient(added / len(areas), ours.patients)
    found = Estimate(value, max(-1.0, value - half), min(1.0, value + half), "DeLong by patient, paired")
    return at_least_by_patients(found, mean_patients(carrying), WIDE)
