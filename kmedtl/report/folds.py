"""The page of a cross-validation: all tests together, and a link to each fold's own report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import kmedtl
from kmedtl.evaluate import plots
from kmedtl.files import html
from kmedtl.recipe import Recipe, without_folders
from kmedtl.tasks.classification.figures import named_in_legend, precision_in_words, roc_in_words
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.metrics import Metrics
from kmedtl.tasks.classification.summary import no_better_than_chance, title

COLUMNS = ("auc", "macro_auc", "micro_auc", "accuracy", "sensitivity", "specificity")  # of each fold, where it has them


def write(
    recipe: Recipe,
    folds: Mapping[str, Metrics],
    answers: LabelledPredictions,
    metrics: Metrics,
    synthetic: bool,
    when: str,
    folder: Path,
) -> None:
    """Write `plots/` and the self-contained `report.html` into the folder that holds the folds.

    Args:
        folds: name → what its test said, in the order of their folders, `fold-1` first.
        answers, metrics: of all tests together.
        when: date and duration.
    """
    by_finding = metrics.by_finding or {answers.findings[0]: metrics.estimates}
    curves = answers.targets, answers.scores, named_in_legend(metrics)
    figures = {"roc": plots.roc_by_finding(*curves), "precision_recall": plots.precision_recall_by_finding(*curves)}
    html.write(
        folder / "report.html",
        Path(__file__).with_name("folds.html"),
        recipe=without_folders(recipe),
        folds=folds,
        metrics=metrics,
        by_finding=by_finding,
        synthetic=synthetic,
        when=when,
        pictures=html.save_plots(figures, folder / "plots"),
        words={"roc": roc_in_words(by_finding), "precision_recall": precision_in_words(by_finding)},
        columns={name: title(name) for name in COLUMNS if name in metrics.estimates},
        title=title,
        chance=no_better_than_chance(metrics.estimates, metrics.patients),
        version=kmedtl.__version__,
    )
