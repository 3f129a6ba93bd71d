"""What the report of a run shows of a regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from kmedtl.files.plot_style import ACCENT, SOFT, square
from kmedtl.tasks.task import Evaluation, Picture, ReportParts, Section


def curves(evaluation: Evaluation) -> dict[str, Picture]:
    """Return predictions over truth, and their differences over their means (Bland & Altman, Lancet 1986)."""
    estimates = evaluation.estimates
    return {
        "scatter": Picture(
            _scatter(evaluation), f"Predictions over truth. R² {estimates['r2']}.", "Predicted over true; dashed: equal"
        ),
        "bland_altman": Picture(
            _bland_altman(evaluation),
            f"Differences over means. Bias {estimates['bias']}, limits of agreement {estimates['lower_limit']} and "
            f"{estimates['upper_limit']}.",
            "Bland–Altman: predicted minus true over their mean; dashed: bias and limits of agreement",
        ),
    }


def report(result: Any) -> ReportParts:
    """Return templates and what they read, of a `kmedtl.runs.result.Result`."""
    context = {"decoder": result.fit.decoder, "estimates": result.evaluation.estimates}
    sections = (Section("agreement", "Agreement", "agreement.html"),)
    pictures = curves(result.evaluation)
    return ReportParts(Path(__file__).parent, "regression_summary.html", "model_card.md", sections, pictures, context)


def _scatter(evaluation: Evaluation) -> Figure:
    table = evaluation.tables["agreement"]
    figure, axes = square("Predicted and true", "True", "Predicted")
    low, high = table[["truth", "predicted"]].min().min(), table[["truth", "predicted"]].max().max()
    axes.plot([low, high], [low, high], color=SOFT, linewidth=1, linestyle="--")
    axes.scatter(table["truth"], table["predicted"], s=9, color=ACCENT, alpha=0.6)
    margin = 0.04 * (high - low) or 1
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    return figure


def _bland_altman(evaluation: Evaluation) -> Figure:
    table, estimates = evaluation.tables["agreement"], evaluation.estimates
    figure, axes = square("Limits of agreement", "Mean of predicted and true", "Predicted − true")
    difference = table["predicted"] - table["truth"]
    axes.scatter((table["predicted"] + table["truth"]) / 2, difference, s=9, color=ACCENT, alpha=0.6)
    for name in ("lower_limit", "bias", "upper_limit"):
        axes.axhline(estimates[name].value, color=SOFT, linewidth=1, linestyle="--")
    axes.set_aspect("auto")
    axes.set(xlim=(None, None), ylim=(None, None))
    axes.autoscale()
    return figure
