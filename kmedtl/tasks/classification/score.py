"""How good validation is: the AUC, and what else may choose the epoch."""

from __future__ import annotations

from functools import partial

import numpy as np

from kmedtl.edge.tasks.classification.calibration import against_rest
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.edge.tasks.task import Outputs
from kmedtl.recipe import Training
from kmedtl.tasks.classification.metrics import mean_auc, mean_over_findings
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.task import Targets


def score(question: ClassQuestion, outputs: Outputs, targets: Targets) -> dict[str, float]:
    """Return `auc`, the mean over findings of which both answers are known."""
    return {"auc": mean_auc(targets[LOGITS], ranked(question, outputs))}


def select(question: ClassQuestion, training: Training, outputs: Outputs, targets: Targets) -> float:
    """Return what `training.select` names: the AUC, or the sensitivity at a specificity."""
    if training.select == "sensitivity":
        figure = partial(sensitivity_at, training.specificity)
        return mean_over_findings(figure, targets[LOGITS], ranked(question, outputs))
    return score(question, outputs, targets)["auc"]


def ranked(question: ClassQuestion, outputs: Outputs) -> np.ndarray:
    """Return what orders the images, (N, F): logits, of several classes each against the rest."""
    logits = outputs[LOGITS]
    return against_rest(logits) if question.labels == "multi_class" else logits


def sensitivity_at(specificity: float, target: np.ndarray, logit: np.ndarray) -> float:
    """Return the highest sensitivity of any threshold with at least this specificity."""
    from sklearn.metrics import roc_curve  # slow to import, and seldom wanted

    false_alarms, sensitivity, _ = roc_curve(target, logit, drop_intermediate=False)
    return float(sensitivity[1 - false_alarms >= specificity - 1e-9].max())
