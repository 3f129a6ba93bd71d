"""What makes an epoch the best: a figure of validation that means something to a clinician."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
from sklearn.metrics import roc_curve

from kmedtl.edge.tasks.classification.calibration import against_rest
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.shifted_validation import worst_auc
from kmedtl.finetune.stage_data import Logits
from kmedtl.tasks.classification.losses import cross_entropy
from kmedtl.tasks.classification.metrics import mean_auc, mean_over_findings


def validation_metrics(job: TrainingJob, logits: Logits) -> dict[str, float]:
    """Return `val_loss`, `val_auc` and `score`, which is what `training.select` names."""
    training, data = job.training, job.data
    ranked = {split: against_rest(values) if job.kind == "multi_class" else values for split, values in logits.items()}
    targets, validation = data["val"].targets, ranked["val"]
    auc = mean_auc(targets, validation)
    if training.select == "sensitivity":
        chosen = mean_over_findings(partial(sensitivity_at, training.specificity), targets, validation)
    elif training.select == "worst_shift":
        chosen = worst_auc(data["shift"], ranked["shift"])
    else:
        chosen = auc
    loss = float(keras.ops.mean(cross_entropy(job.kind)(targets, logits["val"])))
    return {"val_loss": loss, "val_auc": auc, "score": chosen}


def sensitivity_at(specificity: float, target: np.ndarray, logit: np.ndarray) -> float:
    """Return the highest sensitivity of any threshold with at least this specificity."""
    false_alarms, sensitivity, _ = roc_curve(target, logit, drop_intermediate=False)
    return float(sensitivity[1 - false_alarms >= specificity - 1e-9].max())
