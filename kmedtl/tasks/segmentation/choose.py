"""What validation chooses of masks: thresholds, the parts that are kept, and whether holes are filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.mask_decoder import HIGHEST, MIDDLE, MaskDecoder
from kmedtl.edge.tasks.mask_parts import holes, kept_parts
from kmedtl.statistics.overlap import components, dice

Masks = np.ndarray | Sequence[np.ndarray]  # of images, (N, H, W), or of volumes of any size, (D, H, W) each
LEVELS = HIGHEST + 1  # how many a probability may have
NEAR = 0.002  # of mean Dice, within which thresholds are as good
PartRules = tuple[bool, bool]  # the largest part alone, holes filled
PART_RULES: tuple[PartRules, ...] = ((False, False), (False, True), (True, False), (True, True))
SMALLEST = (0, 8, 16, 32, 64, 128, 256)  # sizes of a component that may be the smallest kept, in pixels
SMALLEST_IN_VOLUMES = (0, 16, 64, 256, 1024, 4096)  # the same, in voxels of the model's grid


@dataclass(frozen=True)
class StructureRules:
    """What is called one structure, as of `kmedtl.edge.tasks.mask_decoder.MaskDecoder`."""

    threshold: int
    smallest: int
    largest: bool
    filled: bool


def rules_of(decoder: MaskDecoder, number: int) -> StructureRules:
    """Return what a decoder calls the structure of a channel."""
    parts = (bool(rule and rule[number]) for rule in (decoder.largest, decoder.filled))
    return StructureRules(decoder.thresholds[number], decoder.smallest[number], *parts)


def with_rules(plain: MaskDecoder, chosen: Sequence[StructureRules]) -> MaskDecoder:
    """Return a decoder with the rules of each structure."""
    return replace(
        plain,
        thresholds=tuple(one.threshold for one in chosen),
        smallest=tuple(one.smallest for one in chosen),
        largest=tuple(one.largest for one in chosen),
        filled=tuple(one.filled for one in chosen),
    )


def choose_rules(
    reference: Masks, levels: Masks, sizes: Sequence[int], known_before: StructureRules | None = None
) -> StructureRules:
    """Return the threshold, and by it the smallest part, then whether one part is kept and holes are filled.

    Args:
        reference, levels: as of `choose_threshold`.
        sizes: as of `choose_smallest`.
        known_before: each rule of it stays where it is as good.
    """
    before = known_before
    threshold = choose_threshold(reference, levels, before.threshold if before else None)
    called = [one > threshold for one in levels]
    smallest = choose_smallest(reference, called, before.smallest if before else None, sizes)
    kept = [kept_parts(one, smallest) for one in called]
    largest, filled = choose_parts(reference, kept, (before.largest, before.filled) if before else None)
    return StructureRules(threshold, smallest, largest, filled)


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


def choose_parts(reference: Masks, called: Masks, known_before: PartRules | None = None) -> PartRules:
    """Return whether the largest part of one structure is kept alone, and whether its holes are filled.

    Either is done where mean Dice, counted as in `choose_smallest`, gains 0.002 or more by it.

    Args:
        reference, called: bool.
        known_before: stays where it is within 0.002 of the best.
    """
    if not any(one.any() for one in reference):
        return known_before or PART_RULES[0]
    scores = {
        rule: np.mean([_score(known, _by_rule(mask, rule)) for known, mask in zip(reference, called, strict=True)])
        for rule in PART_RULES
    }
    if known_before is not None and scores[known_before] >= max(scores.values()) - NEAR:
        return known_before
    alone = [rule for rule in PART_RULES if scores[rule] >= scores[PART_RULES[0]] + NEAR]
    return max(alone, key=lambda rule: scores[rule], default=PART_RULES[0])


def _by_rule(mask: np.ndarray, rule: PartRules) -> np.ndarray:
    largest, filled = rule
    kept = kept_parts(mask, largest=largest)
    return kept | holes(kept) if filled else kept


def _score(reference: np.ndarray, kept: np.ndarray) -> float:
    return dice(reference, kept) if reference.any() else float(not kept.any())
