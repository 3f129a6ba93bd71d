"""The figures of a classification, and what each shows in words and numbers, for who cannot see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks.classification.decision_plots import (
    confusion,
    precision_recall_by_finding,
    roc_by_finding,
    subgroups,
)
from kmedtl.tasks.classification.evaluation import ClassDetails
from kmedtl.tasks.classification.metrics import Metrics
from kmedtl.tasks.classification.probability_plots import decision_curve, histogram, selective
from kmedtl.tasks.classification.reliability_pictures import reliability
from kmedtl.tasks.classification.selective import SelectiveCurve
from kmedtl.tasks.task import Picture

READ_AT = (0.1, 0.2, 0.3, 0.5)  # threshold probabilities that the words on a decision curve name


def draw(details: ClassDetails) -> dict[str, Picture]:
    """Return the figures by name; of those of which there is one a finding, the name ends in its number."""
    return dict([*of_decisions(details), *_of_probabilities(details), *_of_groups(details)])


def by_finding(metrics: Metrics) -> Mapping[str, Mapping[str, Estimate]]:
    """Return the figures of each finding, or of each class against the rest."""
    return metrics.by_finding or {metrics.classes[-1]: metrics.estimates}


def named_in_legend(metrics: Metrics) -> Mapping[str, Mapping[str, Estimate]]:
    """Return the figures of each finding; a single one needs no name beside its curve."""
    return metrics.by_finding or {"": metrics.estimates}


def roc_in_words(by_finding: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Return the areas under the ROC curves and their operating points."""
    words = [
        f"{finding}: AUC {figures['auc']}, operating point at sensitivity {figures['sensitivity']} and specificity "
        f"{figures['specificity']}"
        for finding, figures in by_finding.items()
    ]
    return f"ROC curve. {'. '.join(words)}."


def precision_in_words(by_finding: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Return the average precisions, and the PPVs at the operating points."""
    words = [
        f"{finding}: average precision {figures['average_precision']}, operating point at sensitivity "
        f"{figures['sensitivity']} and PPV {figures['ppv']}"
        for finding, figures in by_finding.items()
    ]
    return f"Precision over recall. {'. '.join(words)}."


def of_decisions(details: ClassDetails) -> Iterator[tuple[str, Picture]]:
    """Yield what tells how well findings are told apart."""
    test, metrics, named = details.test, details.metrics, by_finding(details.metrics)
    curves = test.targets, test.scores, named_in_legend(metrics)
    yield (
        "roc",
        Picture(roc_by_finding(*curves), roc_in_words(named), "ROC curve; the point is the operating point"),
    )
    yield (
        "precision_recall",
        Picture(
            precision_recall_by_finding(*curves),
            precision_in_words(named),
            "Precision over recall; dotted: the prevalence, which guessing reaches",
        ),
    )
    if metrics.confusion:
        words = confusion_in_words(metrics.confusion, metrics.classes)
        yield (
            "confusion",
            Picture(confusion(metrics.confusion, test.classes), words, "Images by truth and decision"),
        )


def _of_probabilities(judgement: ClassDetails) -> Iterator[tuple[str, Picture]]:
    test = judgement.test
    yield from reliability(judgement.reliability).items()
    if test.kind == "binary":
        names = dict(enumerate(test.classes))
        chances, truth = test.probabilities[:, 0], test.targets[:, 0]
        medians = {names[at]: np.median(chances[truth == at]) for at in names if (truth == at).any()}
        words = ", ".join(f"of {name} {median:.3f}" for name, median in medians.items())
        yield (
            "histogram",
            Picture(histogram(chances, truth, names), f"Probabilities by class; median {words}."),
        )
    for number, (finding, table) in enumerate(judgement.net_benefit.items()):
        yield (
            f"decision_curve-{number}",
            Picture(decision_curve(table), _benefit_in_words(finding, table)),
        )
    if judgement.selective:
        yield (
            "selective",
            Picture(selective(judgement.selective), _selective_in_words(judgement.selective)),
        )


def _of_groups(details: ClassDetails) -> Iterator[tuple[str, Picture]]:
    test, named = details.test, by_finding(details.metrics)
    for number, finding in enumerate(test.findings):
        groups = [group for group in details.groups if group.finding == finding and not group.few]
        if groups:
            known = int((test.targets[:, number] >= 0).sum())
            rows = [("all", known, named[finding]["auc"])]
            rows += [(f"{group.column} {group.name}", group.images, group.estimates["auc"]) for group in groups]
            words = "; ".join(f"{name} ({count} images) {estimate}" for name, count, estimate in rows)
            yield f"subgroups-{number}", Picture(subgroups(rows), f"AUC for {finding} by group: {words}.")


def confusion_in_words(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Return how many images of each class were called what."""
    words = [
        f"of {sum(row)} images of {truth} "
        + ", ".join(f"{count} called {name}" for name, count in zip(classes, row, strict=True))
        for truth, row in zip(classes, counts, strict=True)
    ]
    return f"Confusion matrix: {'; '.join(words)}."


def _benefit_in_words(finding: str, table: pd.DataFrame) -> str:
    rows = [table.iloc[(table["threshold"] - at).abs().argmin()] for at in READ_AT]
    words = "; ".join(
        f"at {row['threshold']:.2f} the model {row['model']:.3f} ({row['model_low']:.3f} to {row['model_high']:.3f}), "
        f"treating all {row['treat_all']:.3f}, treating none 0"
        for row in rows
    )
    return f"Decision curve for {finding}. Net benefit {words}."


def _selective_in_words(curve: SelectiveCurve) -> str:
    rows = [curve.table.iloc[(curve.table["coverage"] - share).abs().argmin()] for share in (0.25, 0.5, 0.75, 1)]
    words = "; ".join(
        f"of the surest {row['coverage']:.0%} it is {row['error']:.3f} ({row['error_low']:.3f}–{row['error_high']:.3f})"
        for row in rows
    )
    return f"Error over coverage: {words}."
