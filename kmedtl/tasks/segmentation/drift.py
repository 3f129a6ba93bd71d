"""How masks differ from others of the same images: of an exported file, or of another run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kmedtl.edge.tasks.mask_decoder import MaskDecoder
from kmedtl.edge.tasks.segmentation import probabilities
from kmedtl.edge.tasks.task import Outputs
from kmedtl.statistics.confidence import Estimate
from kmedtl.statistics.overlap import components
from kmedtl.tasks.segmentation.evaluation import figures_of, masks_of, per_image
from kmedtl.tasks.segmentation.figures import dice_gain, evaluation_of
from kmedtl.tasks.segmentation.question import MaskQuestion
from kmedtl.tasks.task import Drift, Examples


def drift(question: MaskQuestion, before: Examples, decoder: MaskDecoder, after: Outputs, anew: MaskDecoder) -> Drift:
    """Compare the masks of the same images, each outputs by their own decoder.

    `mean_difference` and `max_difference` are of the probability of a pixel, `dice_apart` is 1 − Dice between both
    masks over all images that have one, `lesions_changed` counts connected parts of one mask that the other lacks.
    """
    other = replace(before, outputs=after)
    ours, theirs = masks_of(before, question, decoder), masks_of(other, question, anew)
    difference = np.abs(probabilities(after) - probabilities(before.outputs))
    tables = [figures_of(before, question, masks) for masks in (ours, theirs)]
    whole = np.count_nonzero(ours) + np.count_nonzero(theirs)
    figures = {
        "mean_difference": float(difference.mean(dtype=np.float64)),
        "max_difference": float(difference.max()),
        "dice_apart": 1 - 2 * np.count_nonzero(ours & theirs) / whole if whole else 0.0,
        "pixels_changed": float((ours != theirs).mean()),
        "lesions_changed": float(_apart(ours, theirs) + _apart(theirs, ours)),
    }
    value = evaluation_of(tables[1], before.patients, question.structures).estimates["dice"].value
    return Drift(value, dice_gain(tables[0], [tables[1]], before.patients), figures)


def _apart(masks: np.ndarray, others: np.ndarray) -> int:
    """Return how many connected parts of masks (N, h, w, M) have no pixel in common with the others."""
    count = 0
    for mask, other in zip(np.moveaxis(masks, -1, 1), np.moveaxis(others, -1, 1), strict=True):
        for plane, twin in zip(mask, other, strict=True):
            labels = components(plane)
            count += int(labels.max(initial=0)) - len(set(np.unique(labels[twin])) - {0})
    return count


def gain(
    question: MaskQuestion, ours: Examples, theirs: Sequence[Examples], decoder: MaskDecoder, other: MaskDecoder
) -> Estimate:
    """Return the Dice of ours minus the mean Dice of theirs, paired by image."""
    tables = [per_image(one.in_order_of(ours.ids), question, other) for one in theirs]
    return dice_gain(per_image(ours, question, decoder), tables, ours.patients)
