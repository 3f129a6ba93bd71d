"""How far the best validation score flatters: the best of many is best partly by luck on just these images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmedtl.evaluate.confidence import codes_of
from kmedtl.system.progress import progress
from kmedtl.tasks.classification.metrics import mean_auc

RESAMPLES = 200


def auc_after_choice(
    logits: Sequence[Sequence[np.ndarray]],
    targets: Sequence[np.ndarray],
    patients: Sequence[np.ndarray],
    seed: int,
    resamples: int = RESAMPLES,
) -> float:
    """Return the validation AUC to expect of the best trial on patients it was not chosen by.

    Patients are drawn with replacement; the trial that is best on those drawn is judged on those that were not. The
    mean over the resamples is the bootstrap bias corrected estimate of Tsamardinos, Greasidou & Borboudakis (2018),
    section 3.2, with patients in the place of samples. It is a little pessimistic, since a choice by fewer patients is
    a worse one.

    Args:
        logits: of each trial, of each division: (N, findings).
        targets, patients: of each division: (N, findings) and (N,).
        seed: of the resamples.

    Returns:
        0–1; NaN where no resample leaves both answers.
    """
    random = np.random.default_rng(seed)
    codes = codes_of(np.concatenate([np.asarray(names, dtype=str) for names in patients]))
    ends = np.cumsum([len(part) for part in targets])[:-1]
    parts = np.split(codes, ends)
    found = []
    for _ in progress(range(resamples), "optimism", unit="resample", delay=2):
        drawn = np.bincount(random.integers(codes.max() + 1, size=codes.max() + 1), minlength=codes.max() + 1)
        inside = [np.repeat(np.arange(len(part)), drawn[part]) for part in parts]
        outside = [np.flatnonzero(drawn[part] == 0) for part in parts]
        scores = [_score(trial, targets, inside) for trial in logits]
        if not np.isnan(scores).all():
            found.append(_score(logits[int(np.nanargmax(scores))], targets, outside))
    known = [score for score in found if not np.isnan(score)]
    return float(np.mean(known)) if known else float("nan")


def _score(trial: Sequence[np.ndarray], targets: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> float:
    """Return the mean AUC over the divisions, of some of their rows."""
    scores = [mean_auc(target[row], logit[row]) for target, logit, row in zip(targets, trial, rows, strict=True)]
    return float(np.mean(scores))
