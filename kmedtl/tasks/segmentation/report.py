"""What the report of a run shows of a segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kmedtl.edge.tasks.mask_decoder import HIGHEST, of_parts
from kmedtl.files.plot_style import SOFT, series, single, square
from kmedtl.tasks.segmentation.evaluation import UNITS
from kmedtl.tasks.task import Evaluation, Picture, ReportParts, Section

AREAS = {"px": "pixels", "mm": "mm²"}
AREA, VOLUME = "area", "volume"  # what a table measures, in columns of that name
BINS = 21  # of the histogram of Dice
MAPS_IN_WORDS = (
    "Green outlines are the reference, pink ones the prediction. On the right lies the doubt of each pixel: 1 at a "
    "probability of a half, 0 where the model is sure."
)


def curves(evaluation: Evaluation) -> dict[str, Picture]:
    """Return the distribution of Dice, and areas: their differences over their means (Bland & Altman, Lancet 1986)."""
    table = evaluation.tables["images"]
    words = f"How Dice is distributed over the images. Mean {evaluation.estimates['dice']}."
    bias, low, high = limits(table)
    measure = _measure(table)
    unit = "ml" if measure == VOLUME else AREAS[evaluation.details]
    agreement = f"Bias {bias:.4g}, limits of agreement {low:.4g} and {high:.4g} {unit}."
    areas = f"Differences of {measure}s over their means. {agreement}"
    pictures = {
        "dice": Picture(_dice(table), words, "Dice of the images whose reference is not empty"),
        "areas": Picture(
            _areas(table, unit),
            areas,
            f"Bland–Altman: predicted minus true {measure} over their mean; dashed: bias and limits",
        ),
    }
    known = evaluation.tables.get("calibration")  # which folds have each by itself
    return pictures if known is None else pictures | {"calibration": _pixels(known)}


def _pixels(table: pd.DataFrame) -> Picture:
    claims = "; ".join(f"{row['claimed']:.2f} and {row['observed']:.2f}" for row in table.to_dict("records"))
    words = f"Calibration of pixels, claimed and observed: {claims}."
    return Picture(_calibration(table), words, "Pixels of a probability: claimed and observed; dashed: the same")


def limits(table: pd.DataFrame) -> tuple[float, float, float]:
    """Return the mean difference of predicted and true areas, or volumes, and the limits of agreement."""
    measure = _measure(table)
    difference = (table[f"{measure}_predicted"] - table[f"{measure}_reference"]).to_numpy()
    spread = 1.96 * difference.std(ddof=1) if len(difference) > 1 else np.nan
    return float(difference.mean()), float(difference.mean() - spread), float(difference.mean() + spread)


def _measure(table: pd.DataFrame) -> str:
    return VOLUME if f"{VOLUME}_reference" in table else AREA


def report(result: Any) -> ReportParts:
    """Return templates and what they read, of a `kmedtl.runs.result.Result`."""
    decoder, evaluation = result.fit.decoder, result.evaluation
    called = [
        {
            "name": name,
            "probability": (threshold + 0.5) / HIGHEST,
            "parts": of_parts(decoder, number).removeprefix(", ") or "all",
        }
        for number, (name, threshold) in enumerate(zip(decoder.structures, decoder.thresholds, strict=True))
    ]
    context = {
        "decoder": decoder,
        "estimates": evaluation.estimates,
        "empty": evaluation.tables["empty"].to_dict("records"),
        "called": called,
        "unit": UNITS[decoder.unit],
        "miss_rate": result.recipe.evaluation.miss_rate,
    }
    sections = (Section("masks", "Masks", "masks.html"),)
    pictures = curves(evaluation)
    return ReportParts(
        Path(__file__).parent, "masks_summary.html", "model_card.md", sections, pictures, context, MAPS_IN_WORDS
    )


def _dice(table: pd.DataFrame) -> Figure:
    figure, axes = square("Dice", "Dice", "Images")
    known = table[table["reference"] > 0]
    for number, (name, part) in enumerate(known.groupby("structure", sort=False)):
        axes.hist(part["dice"], bins=list(np.linspace(0, 1, BINS)), histtype="step", label=str(name), **series(number))
    axes.set_aspect("auto")
    axes.set_ylim(auto=True)
    axes.autoscale(axis="y")
    if known["structure"].nunique() > 1:
        axes.legend(frameon=False)
    return figure


def _calibration(table: pd.DataFrame) -> Figure:
    figure, axes = square("Calibration of pixels", "Claimed probability", "Share that belongs to it")
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    axes.plot(table["claimed"], table["observed"], marker="o", **series(0))
    return figure


def _areas(table: pd.DataFrame, unit: str) -> Figure:
    measure = _measure(table)
    figure, axes = single(
        f"Agreement of {measure}s", f"Mean of predicted and true {measure} [{unit}]", f"Predicted − true [{unit}]"
    )
    for number, (name, part) in enumerate(table.groupby("structure", sort=False)):
        predicted, reference = part[f"{measure}_predicted"], part[f"{measure}_reference"]
        difference = predicted - reference
        colour = series(number)["color"]
        axes.scatter((predicted + reference) / 2, difference, s=9, color=colour, alpha=0.6, label=name)
    for value in limits(table):
        axes.axhline(value, color=SOFT, linewidth=1, linestyle="--")
    if table["structure"].nunique() > 1:
        axes.legend(frameon=False)
    return figure
