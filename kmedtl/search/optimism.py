"""How far the best validation score flatters: the best of many is best partly by luck on just these images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kmedtl.edge.tasks.task import Outputs
from kmedtl.statistics.confidence import codes_of
from kmedtl.system.progress import progress
from kmedtl.tasks.task import Targets

RESAMPLES = 200


def score_after_choice(
    score: Callable[[Outputs, Targets], float],
    outputs: Sequence[Sequence[Outputs]],
    targets: Sequence[Targets],
    patients: Sequence[np.ndarray],
    seed: int,
    resamples: int = RESAMPLES,
) -> float:
    """Return the validation score to expect of the best trial on patients it was not chosen by.

    Patients are drawn with replacement; the trial that is best on those drawn is judged on those that were not. The
    mean over the resamples is the bootstrap bias corrected estimate of Tsamardinos, Greasidou & Borboudakis (2018),
    section 3.2, with patients in the place of samples. It is a little pessimistic, since a choice by fewer patients is
    a worse one.

    Args:
        score: of outputs and targets; more is better.
        outputs: of each trial, of each division.
        targets, patients: of each division: by output (N, …), and (N,).
        seed: of the resamples.

    Returns:
        NaN where no resample can be scored.
    """
    random = np.random.default_rng(seed)
    codes = codes_of(np.concatenate([np.asarray(names, dtype=str) for names in patients]))
    ends = np.cumsum([len(part) for part in patients])[:-1]
    parts = np.split(codes, ends)
    found = []
    for _ in progress(range(resamples), "optimism", unit="resample", delay=2):
        drawn = np.bincount(random.integers(codes.max() + 1, size=codes.max() + 1), minlength=codes.max() + 1)
        inside = [np.repeat(np.arange(len(part)), drawn[part]) for part in parts]
        outside = [np.flatnonzero(drawn[part] == 0) for part in parts]
        scores = [_mean(score, trial, targets, inside) for trial in outputs]
        if not np.isnan(scores).all():
            found.append(_mean(score, outputs[int(np.nanargmax(scores))], targets, outside))
    known = [score for score in found if not np.isnan(score)]
    return float(np.mean(known)) if known else float("nan")


def _mean(
    score: Callable[[Outputs, Targets], float],
    trial: Sequence[Outputs],
    targets: Sequence[Targets],
    rows: Sequence[np.ndarray],
) -> float:
    """Return the mean score over the divisions, of some of their rows."""
    each = zip(trial, targets, rows, strict=True)
    return float(np.mean([score(_part(outputs, row), _part(target, row)) for outputs, target, row in each]))


def _part(arrays: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in arrays.items()}
