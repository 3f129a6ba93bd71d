"""What validation chooses of masks: thresholds, and the smallest part that is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.segmentation import HIGHEST, MIDDLE
from kmedtl.statistics.overlap import components

Masks = np.ndarray | Sequence[np.ndarray]  # of images, (N, H, W), or of volumes of any size, (D, H, W) each
LEVELS = HIGHEST + 1  # how many a probability may have
NEAR = 0.002  # of mean Dice, within which thresholds are as good
SMALLEST = (0, 8, 16, 32, 64, 128, 256)  # sizes of a component that may be the smallest kept, in pixels
SMALLEST_IN_VOLUMES = (0, 16, 64, 256, 1024, 4096)  # the same, in voxels of the model's grid


def choose_threshold(reference: Masks, levels: Masks, known_before: int | None = None) -> int:
    """Return the level, 0–254, above which a pixel is best called one structure.

    Best is the highest mean Dice over images that have it. Of thresholds within 0.002 of it, the one that calls the
    fewest pixels in images that don't, where there are such; then that of the highest Dice; then the nearest to 127,
    which also answers where no image has it.

    Args:
        reference: bool.
        levels: probabilities × 255, rounded, uint8, as `reference`.
        known_before: a threshold that stays where it is within 0.002 of the best, so that a file of the same model
            calls what the model called: which of equal thresholds is best is a matter of chance.
    """
    hits, wrong, pixels = _called_above(reference, levels)
    known = pixels > 0
    if not known.any():
        return MIDDLE if known_before is None else known_before
    score = _mean_dice(hits[known], wrong[known], pixels[known])
    if known_before is not None and score[known_before] >= score.max() - NEAR:
        return known_before
    near = np.flatnonzero(score >= score.max() - (NEAR if not known.all() else 0))
    order = np.lexsort((np.abs(near - MIDDLE), -score[near], wrong[~known].sum(axis=0)[near]))
    return int(near[order[0]])


def best_dice(reference: np.ndarray, levels: np.ndarray) -> float:
    """Return the highest mean Dice, over images that have the structure, that any threshold reaches; NaN without such.

    Args:
        reference, levels: as of `choose_threshold`.
    """
    hits, wrong, pixels = _called_above(reference, levels)
    known = pixels > 0
    if not known.any():
        return math.nan
    return float(_mean_dice(hits[known], wrong[known], pixels[known]).max())


def _mean_dice(hits: np.ndarray, wrong: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the mean Dice at each threshold, (255,), of counts as of `_called_above`."""
    return (2 * hits / (hits + wrong + pixels[:, None])).mean(axis=0)


def miss_shares(reference: np.ndarray, levels: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return the share of each patient's reference pixels that no pixel above a threshold calls, float64 (P, 255).

    A threshold is its column, 0–254, and a patient's shares don't decrease along them. Patients are in order of their
    first image; those without any reference pixel are left out, having nothing to miss.

    Args:
        reference, levels: as of `choose_threshold`.
        patients: of each image, (N,).
    """
    hits, _, pixels = _called_above(reference, levels)
    codes, names = pd.factorize(np.asarray(patients))
    found, total = np.zeros((len(names), hits.shape[1]), np.int64), np.zeros(len(names), np.int64)
    np.add.at(found, codes, hits)
    np.add.at(total, codes, pixels)
    return 1 - found[total > 0] / total[total > 0, None]


def _called_above(reference: Masks, levels: Masks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels called on and off the reference at each threshold, int (N, 255) both, and the reference's (N,)."""
    counts = np.array(
        [
            np.bincount((known * np.int16(LEVELS) + level).ravel(), minlength=2 * LEVELS)
            for known, level in zip(reference, levels, strict=True)
        ]
    ).reshape(len(levels), 2, LEVELS)
    above = counts[:, :, ::-1].cumsum(axis=2)[:, :, -2::-1]
    return above[:, 1], above[:, 0], counts[:, 1].sum(axis=1)


def choose_smallest(
    reference: Masks, called: Masks, known_before: int | None = None, sizes: Sequence[int] = SMALLEST
) -> int:
    """Return how many pixels a component of one structure must have to be kept, of `sizes`.

    It is the size of the highest mean Dice, the smallest of equal ones. An image without the structure counts as 1
    where nothing is kept and as 0 where something is: that is for choosing only, no figure of a report counts so.

    Args:
        reference, called: bool.
        known_before: as of `choose_threshold`.
    """
    if not any(one.any() for one in reference):
        return sizes[0] if known_before is None else known_before
    each = np.array([_scores_by_smallest(*masks, sizes) for masks in zip(reference, called, strict=True)])
    scores = each.mean(axis=0).round(12)
    if known_before is not None and known_before in sizes and scores[sizes.index(known_before)] >= scores.max() - NEAR:
        return known_before
    return sizes[int(scores.argmax())]


def _scores_by_smallest(reference: np.ndarray, called: np.ndarray, smallest: Sequence[int]) -> np.ndarray:
    labels = components(called)
    sizes = np.bincount(labels.ravel())[1:]
    hits = np.bincount(labels[reference], minlength=len(sizes) + 1)[1:]
    kept = sizes >= np.array(smallest)[:, None]
    whole = kept @ sizes + np.count_nonzero(reference)
    return np.where(whole > 0, 2 * (kept @ hits) / np.maximum(whole, 1), 1.0)
