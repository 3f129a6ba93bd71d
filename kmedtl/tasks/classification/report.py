"""What the report of a run shows of a classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kmedtl.tasks.classification import figures, thresholds
from kmedtl.tasks.classification.natural_frequencies import of_hundred, share
from kmedtl.tasks.classification.summary import too_few
from kmedtl.tasks.task import Evaluation, Picture, ReportParts, Section

SECTIONS = (
    Section("discrimination", "Discrimination", "discrimination.html"),
    Section("threshold", "Threshold", "threshold.html"),
    Section("calibration", "Calibration", "probabilities.html"),
    Section("benefit", "Decision curve"),
    Section("certainty", "Certainty"),
    Section("subgroups", "Subgroups", "subgroups.html"),
)


def curves(evaluation: Evaluation) -> dict[str, Picture]:
    """Return ROC curve, precision over recall, and confusion."""
    return dict(figures.of_decisions(evaluation.details))


def report(result: Any) -> ReportParts:
    """Return templates and what they read, of a `kmedtl.runs.result.Result`."""
    details, decoder = result.evaluation.details, result.fit.decoder
    named = figures.by_finding(details.metrics)
    choices = thresholds.choices(details.test, decoder.thresholds, result.recipe.evaluation.prevalence)
    context = {
        "metrics": details.metrics,
        "judgement": details,
        "settled": result.fit.details,
        "decoder": decoder,
        "test": details.test,
        "hundreds": [of_hundred(finding, estimates) for finding, estimates in named.items()],
        "choices": choices,
        "document": thresholds.document(choices),
        "too_few": too_few(details.groups),
        "share": share,
    }
    return ReportParts(Path(__file__).parent, "summary.html", "model_card.md", SECTIONS, figures.draw(details), context)
