"""The images of a report: best, median and worst masks, and structures that were missed, with contours and doubt."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.mask_decoder import MaskDecoder
from kmedtl.edge.tasks.segmentation import MASK, probabilities
from kmedtl.tasks.segmentation.evaluation import masks_of, per_image
from kmedtl.tasks.segmentation.question import MaskQuestion
from kmedtl.tasks.segmentation.volumes import judged_together
from kmedtl.tasks.task import Case, Examples, Targets

REFERENCE, PREDICTED = (0, 200, 83), (255, 64, 129)  # green and pink, which differ in lightness as well


def cases(question: MaskQuestion, examples: Examples, decoder: MaskDecoder, count: int) -> list[Case]:
    """Return up to `count` images and structures of each kind: missed altogether, worst, median, best Dice."""
    table = per_image(examples, question, decoder)
    known = table[table["reference"] > 0].sort_values("dice", kind="stable")
    missed, found = known[known["predicted"] == 0], known[known["predicted"] > 0]
    middle = max(0, (len(found) - count) // 2)
    kinds = {
        "best mask": found.iloc[::-1][:count],
        "median mask": found.iloc[middle : middle + count],
        "worst mask": found.iloc[:count],
        "missed altogether": missed.iloc[:count],
    }
    slices = {rows[0]: rows for rows in judged_together(examples.groups)}
    return [
        _case(row, why, question, _shown(examples, slices[row["image"]], question.structures.index(row["structure"])))
        for why, rows in kinds.items()
        for _, row in rows.iterrows()
    ]


def _shown(examples: Examples, rows: np.ndarray, column: int) -> int:
    """Return the row that stands for an image or a volume: the slice that has the most of a structure."""
    return int(rows[examples.targets[MASK][rows, ..., column].sum(axis=(1, 2)).argmax()])


def _case(row: pd.Series, why: str, question: MaskQuestion, image: int) -> Case:
    structure = str(row["structure"])
    caption = f"{structure}: Dice {row['dice']:.3f}, {row['lesions_found']:.0f} of {row['lesions']:.0f} parts found"
    return Case(image, MASK, question.structures.index(structure), why, f"{caption}.")


def gallery(
    question: MaskQuestion, examples: Examples, decoder: MaskDecoder, shown: list[Case], pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images with the contours of reference and prediction, and how much each pixel is in doubt.

    The doubt of a probability p is 1 − |2p − 1|: 1 at a half, 0 where the model is sure.
    """
    rows, columns = [case.row for case in shown], [case.column for case in shown]
    chosen, each = examples.of(np.array(rows, int)), np.arange(len(shown))
    predicted = masks_of(chosen, question, decoder)[each, ..., columns]
    reference = chosen.targets[MASK][each, ..., columns] > 0
    pictures = _colored(pixels)
    pictures[contours(reference)] = REFERENCE
    pictures[contours(predicted)] = PREDICTED
    doubt = 1 - np.abs(2 * probabilities(chosen.outputs)[each, ..., columns] - 1)
    return pictures, doubt.astype(np.float32)


def draw(question: MaskQuestion, images: np.ndarray, targets: Targets) -> np.ndarray:
    """Return the images, uint8 (N, H, W, 3), with the contours of all structures."""
    pictures = _colored(images)
    for structure in np.moveaxis(targets[MASK] > 0, -1, 0):
        pictures[contours(structure)] = REFERENCE
    return pictures


def _colored(images: np.ndarray) -> np.ndarray:
    """Return a copy of the images that has three channels to draw in."""
    return np.repeat(images, 3 if images.shape[-1] == 1 else 1, axis=-1)


def contours(masks: np.ndarray) -> np.ndarray:
    """Return the pixels of masks, bool (n, h, w), that have a neighbour outside, above, below, left or right."""
    framed = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    inner = framed[:, :-2, 1:-1] & framed[:, 2:, 1:-1] & framed[:, 1:-1, :-2] & framed[:, 1:-1, 2:]
    return masks & ~inner
