"""The table of predictions: a row an image of validation and test, for whatever kind of question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from kmedtl.data.manifest import Manifest
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.tasks.classification.calibration import probabilities
from kmedtl.edge.tasks.classification.labels import columns
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions, from_table


def predictions_of(
    logits: np.ndarray, table: pd.DataFrame, manifest: Manifest, groups: Sequence[str] = ()
) -> pd.DataFrame:
    """Return columns `id`, `patient`, `split`, the labels, the groups, and the logits (N, findings).

    Labels are `label` (0 or 1; of several classes the name), or `label_NAME` of each finding (1, 0 or −1).
    """
    known = table[["id", "patient", "split"]].copy()
    if manifest.kind == "multi_label":
        known[columns("label", manifest.kind, manifest.findings)] = table[list(manifest.findings)].astype(int)
    else:
        names = pd.Series(manifest.classes)
        known["label"] = table["label"] if manifest.kind == "binary" else names[table["label"]].to_numpy()
    known[list(groups)] = table[list(groups)]
    return known.assign(**dict(zip(columns("logit", manifest.kind, manifest.findings), logits.T, strict=True)))


def calibrated(predictions: pd.DataFrame, info: ModelInfo) -> pd.DataFrame:
    """Return the predictions with a column `probability` (or `probability_NAME`) more for each finding."""
    logits = predictions[columns("logit", info.kind, info.findings)].to_numpy()
    names = columns("probability", info.kind, info.findings)
    return predictions.assign(**dict(zip(names, probabilities(logits, info.calibration).T, strict=True)))


def answers_of(
    predictions: pd.DataFrame, manifest: Manifest, split: str, thresholds: Sequence[float] = ()
) -> LabelledPredictions:
    """Return the rows of a split as what evaluation reads; without thresholds, a finding is called from 0.5 on."""
    found = from_table(predictions, manifest.source, split, thresholds or None)
    return replace(found, classes=manifest.classes, findings=manifest.findings)
