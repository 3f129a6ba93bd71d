"""Figures of one pair of masks: what their areas, their outlines and their lesions have in common.

A mask is bool (H, W), or (D, H, W) of a volume, whose outline is a surface and whose components touch at corners too.
`spacing` is the length of a pixel along each axis, in mm or in any other unit of distances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kmedtl.statistics.surfaces import surface_areas

# What passes through a 2×2 neighbourhood, by its pixels as binary digits, row by row: 0 no outline, 1 a corner cut off,
# 2 a horizontal line, 3 a vertical one, 4 two corners cut off.
PIECES = np.array([0, 1, 1, 2, 1, 3, 4, 1, 1, 4, 3, 1, 2, 1, 1, 0])


@dataclass(frozen=True)
class Lesions:
    """Counts of components: 8-connected ones of an image, 26-connected ones of a volume.

    Attributes:
        lesions, found: components of the reference, and those of them that the prediction covers enough of.
        components, false_positives: components of the prediction, and those that lie on the reference too little.
    """

    lesions: int
    found: int
    components: int
    false_positives: int


@dataclass(frozen=True)
class Matches:
    """Counts of instances: matched ones, further predicted ones, further ones of the reference."""

    true_positives: int
    false_positives: int
    false_negatives: int


@dataclass(frozen=True)
class Outline:
    """The pieces of an outline, the nearest first.

    Attributes:
        distances: (K,) of each piece from the other mask's outline.
        lengths: (K,) of each piece, in the same unit; of a surface areas, in that squared.
    """

    distances: np.ndarray
    lengths: np.ndarray


def dice(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Return 2 |R ∩ P| / (|R| + |P|), from 0 to 1; NaN of an empty reference."""
    return _share(2 * _both(reference, prediction), _size(reference) + _size(prediction), reference)


def iou(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Return |R ∩ P| / |R ∪ P| (Jaccard), from 0 to 1; NaN of an empty reference."""
    return _share(_both(reference, prediction), _size(reference | prediction), reference)


def recall(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Return |R ∩ P| / |R|, from 0 to 1; NaN of an empty reference."""
    return _share(_both(reference, prediction), _size(reference), reference)


def precision(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Return |R ∩ P| / |P|, from 0 to 1; 0 where only the prediction is empty, NaN where both are."""
    if prediction.any():
        return _both(reference, prediction) / _size(prediction)
    return 0.0 if reference.any() else math.nan


def _size(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))


def _both(reference: np.ndarray, prediction: np.ndarray) -> int:
    return _size(reference & prediction)


def _share(part: int, whole: int, reference: np.ndarray) -> float:
    return part / whole if reference.any() else math.nan


def hausdorff95(reference: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Return the 95th percentile of the distances between two outlines, in the unit of `spacing`.

    An outline runs through the corners where pixels in the mask meet pixels outside, the border of the image being
    outside: a piece for each 2×2 neighbourhood that is mixed, as long as the line that marching squares draws through
    it. The distance of a piece is that from its corner to the nearest one of the other outline. Of each outline it is
    the smallest distance that pieces of 95 % of its length keep within; the larger of the two counts. In a volume, a
    piece is as large as the surface in its 2×2×2 neighbourhood, see `surfaces.surface_areas`.

    The diagonal of the image where only the prediction is empty; NaN of an empty reference.
    """
    return outline_figures(reference, prediction, 0.0, spacing)[0]


def surface_dice(reference: np.ndarray, prediction: np.ndarray, tolerance: float, spacing: tuple[float, ...]) -> float:
    """Return the share of both outlines' length that lies within `tolerance` of the other one, from 0 to 1.

    Outlines, lengths and distances are those of `hausdorff95`. 0 where only the prediction is empty; NaN of an empty
    reference.

    Source: Nikolov et al., Journal of Medical Internet Research 2021, "surface Dice similarity coefficient".
    """
    return outline_figures(reference, prediction, tolerance, spacing)[1]


def outline_figures(
    reference: np.ndarray, prediction: np.ndarray, tolerance: float, spacing: tuple[float, ...]
) -> tuple[float, float]:
    """Return `hausdorff95` and `surface_dice`, which measure the same distances."""
    if not reference.any():
        return math.nan, math.nan
    if not prediction.any():
        return math.hypot(*(side * step for side, step in zip(reference.shape, spacing, strict=True))), 0.0
    outlines = _outlines(reference, prediction, spacing)
    near = sum(float(one.lengths[one.distances <= tolerance].sum()) for one in outlines)
    return max(_percentile(one, 0.95) for one in outlines), near / sum(float(one.lengths.sum()) for one in outlines)


def _outlines(reference: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> list[Outline]:
    box = bounding_box(reference | prediction)
    sizes = surface_areas if reference.ndim == 3 else _lengths
    lengths = [sizes(mask[box], spacing) for mask in (reference, prediction)]
    from scipy import ndimage  # slow to import, and a table of classes is judged without it

    away = [ndimage.distance_transform_edt(length == 0, sampling=spacing) for length in lengths]
    outlines = []
    for length, distance in zip(lengths, reversed(away), strict=True):
        here = length > 0
        order = np.lexsort((length[here], distance[here]))
        outlines.append(Outline(distance[here][order], length[here][order]))
    return outlines


def _lengths(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return how long the outline is in each 2×2 neighbourhood, (H + 1, W + 1); around the image is outside."""
    padded = np.pad(mask, 1).astype(np.uint8)
    upper, lower = padded[:-1], padded[1:]
    code = 8 * upper[:, :-1] + 4 * upper[:, 1:] + 2 * lower[:, :-1] + lower[:, 1:]
    height, width = spacing
    corner = 0.5 * math.sqrt(height**2 + width**2)
    return np.array([0.0, corner, width, height, 2 * corner])[PIECES[code]]


def _percentile(outline: Outline, share: float) -> float:
    reached = np.cumsum(outline.lengths) / outline.lengths.sum()
    place = int(np.searchsorted(reached, share))
    return float(outline.distances[min(place, len(reached) - 1)])


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the part of each axis, such as rows and columns, that holds all of a mask; none of an empty one."""
    axes = range(mask.ndim)
    held = [np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    return tuple(slice(one[0], one[-1] + 1) if len(one) else slice(0) for one in held)


def components(mask: np.ndarray) -> np.ndarray:
    """Return the number of each pixel's component, of pixels that touch at corners too, from 1 on; 0 outside."""
    from scipy import ndimage

    return ndimage.label(mask, structure=np.ones((3,) * mask.ndim))[0]


def lesions(reference: np.ndarray, prediction: np.ndarray, share: float = 0.1) -> Lesions:
    """Count lesions, the components of the reference, and those of the prediction.

    Args:
        share: above 0: what must be predicted of a lesion for it to count as found, and what of a predicted component
            must lie on the reference for it not to be a false positive, in pixels (10 % as of Commowick et al.,
            Scientific Reports 2018).
    """
    found = _covered(components(reference), prediction) >= share
    right = _covered(components(prediction), reference) >= share
    return Lesions(len(found), int(found.sum()), len(right), int((~right).sum()))


def _covered(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the share of each component that lies on a mask, (K,)."""
    sizes = np.bincount(labels.ravel(), minlength=1)
    return np.bincount(labels[mask], minlength=len(sizes))[1:] / sizes[1:]


def instances(reference: np.ndarray, prediction: np.ndarray, above: float = 0.5) -> Matches:
    """Match instances whose IoU is above 0.5 or more.

    No instance can match two: the two would share pixels, or each hold less than half of it (Kirillov et al., Panoptic
    Segmentation, CVPR 2019, section 4.1).

    Args:
        reference, prediction: the number of each pixel's instance, int (H, W), 0 being none.
        above: the IoU, 0.5 at least.
    """
    known, drawn = (np.unique(labels[labels > 0], return_counts=True) for labels in (reference, prediction))
    both = (reference > 0) & (prediction > 0)
    width = int(prediction.max(initial=0)) + 1
    pairs, common = np.unique(reference[both].astype(np.int64) * width + prediction[both], return_counts=True)
    sizes = known[1][np.searchsorted(known[0], pairs // width)] + drawn[1][np.searchsorted(drawn[0], pairs % width)]
    matched = int((common / (sizes - common) > above).sum())
    return Matches(matched, len(drawn[0]) - matched, len(known[0]) - matched)
