"""What the report of a run shows of grades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kmedtl.tasks.classification.decision_plots import confusion
from kmedtl.tasks.classification.figures import confusion_in_words
from kmedtl.tasks.classification.probability_plots import histogram
from kmedtl.tasks.classification.reliability import reliability
from kmedtl.tasks.classification.reliability_pictures import reliability as reliability_pictures
from kmedtl.tasks.ordinal.figures import Graded
from kmedtl.tasks.task import Evaluation, Picture, ReportParts, Section


def curves(evaluation: Evaluation) -> dict[str, Picture]:
    """Return the confusion matrix, and what the probability of a referable grade is worth, by truth and by claim."""
    found: Graded = evaluation.details
    counts = evaluation.tables["confusion"].to_numpy().tolist()
    words = confusion_in_words(counts, found.grades)
    matrix = Picture(confusion(counts, found.grades), words, "Images by grade and decision; shares are of the grade")
    if not found.has_probabilities:
        return {"confusion": matrix}
    chances, answers = found.referable_probability[:, None], found.is_referable[:, None]
    table = reliability(chances, answers, found.patients, "binary")
    return {
        "confusion": matrix,
        "reliability": reliability_pictures({"before": table, "after": table})["reliability"],
        "spread": _spread(found),
    }


def report(result: Any) -> ReportParts:
    """Return templates and what they read, of a `kmedtl.runs.result.Result`."""
    decoder, evaluation = result.fit.decoder, result.evaluation
    cuts = zip(decoder.grades[1:], decoder.thresholds, decoder.slopes, decoder.offsets, strict=True)
    context = {
        "decoder": decoder,
        "estimates": evaluation.estimates,
        "settled": result.fit.details,
        "cuts": [dict(zip(("grade", "threshold", "slope", "offset"), cut, strict=True)) for cut in cuts],
    }
    sections = (Section("grades", "Grades", "grades.html"),)
    pictures = curves(evaluation)
    return ReportParts(Path(__file__).parent, "grades_summary.html", "model_card.md", sections, pictures, context)


def _spread(found: Graded) -> Picture:
    chances, names = found.referable_probability, dict(enumerate(found.grades))
    there = {number: name for number, name in names.items() if (found.truth == number).any()}
    medians = ", ".join(f"of {name} {np.median(chances[found.truth == at]):.3f}" for at, name in there.items())
    return Picture(
        histogram(chances, found.truth, there),
        f"Probability of a referable grade, by true grade; median {medians}.",
        "Probability of a referable grade in the images of each grade",
    )
