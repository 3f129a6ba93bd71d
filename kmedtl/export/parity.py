"""Does the exported file answer as the model did? Each one runs over the test images in its own runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kmedtl.edge.calibration import probabilities
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import decide
from kmedtl.evaluate.metrics import mean_auc
from kmedtl.export.runtimes import open_runtime


@dataclass(frozen=True)
class Parity:
    """A file against the model in memory, on the same test images.

    Attributes:
        megabytes: size on disk, 10^6 bytes.
        auc, auc_loss: the file's, the mean over findings, and the model's minus the file's.
        mean_difference, max_difference: of the probabilities, absolute.
        flips: fraction of the images decided otherwise.
    """

    file: str
    megabytes: float
    auc: float
    auc_loss: float
    mean_difference: float
    max_difference: float
    flips: float


def compare(path: Path, images: np.ndarray, targets: np.ndarray, logits: np.ndarray, info: ModelInfo) -> Parity:
    """Score `path` on uint8 `images` (N, size, size, C) and compare with the model's own `logits` (N, findings)."""
    file_logits = open_runtime(path)(images)
    ours, theirs = probabilities(logits, info.calibration), probabilities(file_logits, info.calibration)
    difference = np.abs(ours - theirs)
    auc = mean_auc(targets, file_logits)
    flipped = decide(ours, info.thresholds) != decide(theirs, info.thresholds)
    return Parity(
        file=path.name,
        megabytes=_size(path) / 1e6,
        auc=auc,
        auc_loss=mean_auc(targets, logits) - auc,
        mean_difference=float(difference.mean()),
        max_difference=float(difference.max()),
        flips=float(flipped.any(axis=1).mean()),
    )


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
