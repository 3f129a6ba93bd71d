"""The page of runs that vote: what they say together, and each of them beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import kmedtl
from kmedtl import report
from kmedtl.ensemble.member_comparison import MemberComparison
from kmedtl.evaluate import plots
from kmedtl.files import html
from kmedtl.recipe import Recipe, without_folders
from kmedtl.tasks.classification.evaluation import Judgement, Settled
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.reliability_pictures import reliability
from kmedtl.tasks.classification.summary import aligned, no_better_than_chance, title, too_few

METHODS = {
    "mean": "the mean of their probabilities (soft voting)",
    "vote": "the share of them that calls the finding (hard voting)",
    "weighted": "the mean of their probabilities, weighted as validation asks",
    "stack": "a weighted sum of their logits, by logistic regression on validation",
}


def write(
    recipe: Recipe,
    method: str,
    member_comparisons: Sequence[MemberComparison],
    test: LabelledPredictions,
    settled: Settled,
    judgement: Judgement,
    notice: str,
    folder: Path,
) -> None:
    """Write `plots/` and the self-contained `report.html` into `folder`."""
    metrics = judgement.metrics
    curves = test.targets, test.scores, metrics.by_finding or {"": metrics.estimates}
    diagrams = reliability(judgement.reliability)
    figures = {
        "roc": plots.roc_by_finding(*curves),
        "precision_recall": plots.precision_recall_by_finding(*curves),
        **{name: picture.figure for name, picture in diagrams.items()},
    }
    html.write(
        folder / "report.html",
        Path(report.__file__).with_name("ensemble.html"),  # beside the macros that reports share
        recipe=without_folders(recipe),
        method=METHODS[method],
        member_comparisons=member_comparisons,
        findings=test.findings,
        settled=settled,
        judgement=judgement,
        metrics=metrics,
        notice=notice,
        pictures=html.save_plots(figures, folder / "plots"),
        words={name: picture.words for name, picture in diagrams.items()},
        title=title,
        chance=no_better_than_chance(metrics.estimates, metrics.patients),
        too_few=too_few(judgement.groups),
        version=kmedtl.__version__,
    )


def lines(member_comparisons: Sequence[MemberComparison]) -> list[str]:
    """Return a table of the runs beside what was made of them."""
    header = ["Run", f"{title(member_comparisons[0].figure)} alone", "Gain of what was made of them"]
    rows = [[one.run, str(one.area), _signed(one)] for one in member_comparisons]
    return aligned([header, *rows])


def _signed(one: MemberComparison) -> str:
    gain = one.gain
    if gain.value != gain.value:
        return str(gain)
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
