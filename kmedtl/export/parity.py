"""Does the exported file answer as the model did? Each one runs over the test images in its own runtime."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import decide
from kmedtl.edge.tasks.classification.calibration import probabilities
from kmedtl.evaluate.confidence import auc_loss
from kmedtl.recipe import Gate
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.metrics import mean_auc


@dataclass(frozen=True)
class Parity:
    """A file against the model in memory, on the same images, each with its own calibration and operating point.

    Attributes:
        megabytes: size on disk, 10^6 bytes.
        auc, auc_loss: the file's, the mean over findings, and the model's minus the file's.
        mean_difference, max_difference: of the probabilities, absolute.
        flips: fraction of the images decided otherwise.
        auc_loss_low, auc_loss_high: DeLong's paired interval of `auc_loss` by patient; of several findings the mean of
            theirs, which is wide enough however they hang together.
        made: how the file was made, where there was a choice.
        failed_gates: what it differs in by more than its gate allows; a file without any keeps its word.
    """

    file: str
    megabytes: float
    auc: float
    auc_loss: float
    mean_difference: float
    max_difference: float
    flips: float
    auc_loss_low: float = math.nan
    auc_loss_high: float = math.nan
    made: str = ""
    failed_gates: tuple[str, ...] = ()


def compare(file: str, megabytes: float, model: LabelledPredictions, logits: np.ndarray, info: ModelInfo) -> Parity:
    """Compare a file's `logits` (N, findings) on the images of `model` with what the model said of them.

    Args:
        model: the model's answers, calibrated and decided.
        info: the file's own, with its calibration and thresholds.
    """
    found = probabilities(logits, info.calibration)
    difference = np.abs(found - model.probabilities)
    scores = found if model.kind == "multi_class" else logits
    auc = mean_auc(model.targets, scores)
    low, high = _interval(model, scores)
    return Parity(
        file=file,
        megabytes=megabytes,
        auc=auc,
        auc_loss=mean_auc(model.targets, model.scores) - auc,
        mean_difference=float(difference.mean()),
        max_difference=float(difference.max()),
        flips=float((decide(found, info.thresholds) != model.decisions).any(axis=1).mean()),
        auc_loss_low=low,
        auc_loss_high=high,
    )


def failed_gates(parity: Parity, format: str, gate: Gate) -> tuple[str, ...]:
    """Return what a file of a format differs in by more than `gate` allows, in words."""
    if format in ("int8", "dynamic"):
        checked = {
            "AUC loss": (parity.auc_loss, gate.auc_loss),
            "mean |Δp|": (parity.mean_difference, gate.mean_difference),
            "decisions changed": (parity.flips, gate.flips),
        }
    else:
        checked = {"max |Δp|": (parity.max_difference, gate.float16 if format == "float16" else gate.float32)}
    return tuple(f"{name} {value:.4g} > {limit:g}" for name, (value, limit) in checked.items() if value > limit)


def size_of(path: Path) -> float:
    """Return the size of a file or folder in 10^6 bytes."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def _interval(model: LabelledPredictions, scores: np.ndarray) -> tuple[float, float]:
    bounds = []
    for labels, before, after in zip(model.targets.T, model.scores.T, scores.T, strict=True):
        known = labels != UNKNOWN
        if len(set(labels[known])) == 2:
            loss = auc_loss(labels[known], before[known], after[known], model.patients[known])
            bounds.append((loss.low, loss.high))
    return tuple(map(float, np.mean(bounds, axis=0))) if bounds else (math.nan, math.nan)
