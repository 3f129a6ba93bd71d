"""What a model loses elsewhere: its figures on corrupted test images, beside those on clean ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmedtl.data.corruptions import PLAUSIBLE, REFERENCE, SEVERITIES, suite
from kmedtl.edge.model_info import ModelInfo
from kmedtl.edge.predictor import decide
from kmedtl.edge.tasks.classification.calibration import probabilities
from kmedtl.evaluate.confidence import Estimate, auc_loss, delong_auc, wilson
from kmedtl.system.progress import progress

CLEAN = "clean"


@dataclass(frozen=True)
class Row:
    """One corruption at one severity.

    Attributes:
        corruption: of `kmedtl.data.corruptions.suite`, or `CLEAN`.
        severity: 1 to 5; 0 of the clean images.
        meaning: what that severity is, in words.
        auc, sensitivity, specificity: with intervals by patient; the last two at the run's operating point.
        auc_loss: the clean AUC minus this one, with the interval of a paired comparison.
    """

    corruption: str
    severity: int
    meaning: str
    auc: Estimate
    auc_loss: Estimate
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class Shift:
    """A model under every corruption.

    Attributes:
        images, patients: how many were judged.
        clean: the images as they are.
        rows: a corruption's severities follow each other.
        summarised: the severity that `mean_loss` and `worst` are of: `PLAUSIBLE`, or the largest where that was left
            out.
        mean_loss: of AUC, over the corruptions.
    """

    images: int
    patients: int
    clean: Row
    rows: tuple[Row, ...]
    summarised: int
    mean_loss: Estimate

    @property
    def worst(self) -> Row:
        """The corruption that leaves the lowest AUC."""
        return min(self.at(self.summarised), key=lambda row: row.auc.value)

    def at(self, severity: int) -> list[Row]:
        return [row for row in self.rows if row.severity == severity]

    def table(self) -> pd.DataFrame:
        """Return a row a corruption and severity, the clean images first; `NAME_low` and `NAME_high` bound `NAME`."""
        return pd.DataFrame([_flat(row) for row in (self.clean, *self.rows)])


def shift(
    logits_of: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    table: pd.DataFrame,
    info: ModelInfo,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    reference: np.ndarray = REFERENCE,
) -> Shift:
    """Judge a model on `images` under every corruption.

    Args:
        logits_of: from uint8 images (N, H, W, C) to logits (N, 1).
        images: uint8 (N, H, W, C).
        table: a row an image, in the same order: `patient` and `label` (0 or 1, both present).
        info: of a model of one finding; its calibration and threshold make decisions of logits.
        severities: of 1 to 5.
        seed: of what is random in a corruption.
        reference: where `histogram` goes; as `kmedtl.data.corruptions.quantiles_of` returns it.
    """
    labels, patients = table["label"].to_numpy(), table["patient"].to_numpy()

    def judged(name: str, severity: int, meaning: str, logits: np.ndarray) -> Row:
        right = decide(probabilities(logits, info.calibration), info.thresholds)[:, 0] == labels
        logits = logits[:, 0]
        return Row(
            name,
            severity,
            meaning,
            delong_auc(labels, logits, patients),
            auc_loss(labels, clean[:, 0], logits, patients),
            *(wilson(right[labels == answer], patients[labels == answer]) for answer in (1, 0)),
        )

    clean = logits_of(images)
    summarised = PLAUSIBLE if PLAUSIBLE in severities else max(severities)
    rows, at_summarised = [], []
    cases = [(name, corruption, severity) for name, corruption in suite(reference).items() for severity in severities]
    for name, corruption, severity in progress(cases, "Corrupting", unit="severity"):
        logits = logits_of(corruption(images, severity, seed))
        rows.append(judged(name, severity, corruption.at(severity), logits))
        at_summarised += [logits] if severity == summarised else []
    return Shift(
        len(labels),
        len(set(patients)),
        judged(CLEAN, 0, "as they are", clean),
        tuple(rows),
        summarised,
        auc_loss(labels, clean[:, 0], np.stack(at_summarised)[:, :, 0], patients),
    )


def _flat(row: Row) -> dict:
    cells = {"corruption": row.corruption, "severity": row.severity, "meaning": row.meaning}
    for name in ("auc", "auc_loss", "sensitivity", "specificity"):
        estimate = getattr(row, name)
        cells |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return cells
