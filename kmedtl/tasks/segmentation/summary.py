"""What metrics.json holds of a segmentation, and what the terminal shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kmedtl.edge.tasks.mask_decoder import rules
from kmedtl.recipe import Evaluation as Settings
from kmedtl.tasks.segmentation.evaluation import UNITS
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.task import Evaluation, Fit


def document(fit: Fit, evaluation: Evaluation) -> dict[str, Any]:
    """Return what metrics.json holds."""
    own = {name: asdict(estimate) for name, estimate in evaluation.estimates.items()}
    by = {name: {figure: asdict(one) for figure, one in part.items()} for name, part in evaluation.by.items()}
    test = {"images": evaluation.images, "patients": evaluation.patients, **own}
    empty = evaluation.tables["empty"].to_dict("records")
    return {"decoder": asdict(fit.decoder), "unit": evaluation.details, "test": test, "by": by, "empty": empty}


def lines(settings: Settings, fit: Fit, evaluation: Evaluation) -> list[str]:
    """Return what the terminal shows."""
    decoder = fit.decoder
    by = [f"  {name}: Dice {part['dice']}, surface Dice {part['surface_dice']}" for name, part in evaluation.by.items()]
    distances = f"  Distances are in {UNITS[decoder.unit]}; borders agree up to {decoder.tolerance:g} apart."
    return [
        *estimate_lines(evaluation, 0.0),
        distances,
        f"  Chosen on validation: {'; '.join(rules(decoder))}",
        *by,
        *_empty(evaluation),
    ]


def _empty(evaluation: Evaluation) -> list[str]:
    """Return what became of images without a structure, which the means leave out."""
    return [
        f"  {row['structure']}: {row['both_empty'] + row['only_reference_empty']} images without any, of which "
        f"{row['only_reference_empty']} were given a mask; {row['only_prediction_empty']} with some were given none"
        for row in evaluation.tables["empty"].to_dict("records")
    ]
