"""How the outputs of slices become those of their volumes, and those of several images of one patient the outputs of
their examination: here alone, for validation, test and scanner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kmedtl.edge.tasks.task import Outputs

Pooling = Literal["", "mean", "attention", "max"]  # "": each image is answered by itself
ATTENTION = "attention"  # the output of a model that says how much a slice counts, float32 (N, KNOTS); none of others
KNOTS = 5  # places along a volume, evenly from its first slice to its last, for each of which a slice has a score


def along(frames: np.ndarray, volumes: np.ndarray) -> np.ndarray:
    """Return where slices lie between the first and the last of their volume, float64 (N,) in 0–1; one alone at ½.

    Args:
        frames: (N,), the index of each slice in its file; those that have no say are left out.
        volumes: int (N,), as of `pooled`.
    """
    first, last = np.full(volumes.max() + 1, np.inf), np.full(volumes.max() + 1, -np.inf)
    np.minimum.at(first, volumes, frames)
    np.maximum.at(last, volumes, frames)
    length = (last - first)[volumes]
    return np.where(length > 0, (frames - first[volumes]) / np.maximum(length, 1), 0.5)


def knots(places: np.ndarray) -> np.ndarray:
    """Return how near each of the places in 0–1 is to each knot, float32 (N, KNOTS): by these shares scores are
    interpolated.
    """
    return np.maximum(0, 1 - np.abs(places[:, None] * (KNOTS - 1) - np.arange(KNOTS))).astype(np.float32)


def shares(outputs: Outputs, volumes: np.ndarray, rule: Pooling, places: np.ndarray) -> np.ndarray:
    """Return how much each slice counts in the answer for its volume, float64 (N,), 1 in all of a volume.

    `mean`: each the same. `attention`: the softmax, within the volume, of the slices' scores where they lie. Arguments
    as of `pooled`.
    """
    scores = np.zeros(len(volumes))
    if rule == ATTENTION:
        scores = np.sum(outputs[ATTENTION].astype(np.float64) * knots(places), axis=1)
    highest = np.full(volumes.max() + 1, -np.inf)
    np.maximum.at(highest, volumes, scores)
    weights = np.exp(scores - highest[volumes])
    return weights / np.bincount(volumes, weights)[volumes]


def pooled(outputs: Outputs, volumes: np.ndarray, rule: Pooling, places: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs of volumes, float32 (V, …), of those of their slices, (N, …).

    They are sums of the slices' outputs, each times its share: of a linear head that is what it makes of the sum of
    their features. `max` is the largest of each output instead, so that one slice suffices.

    Args:
        volumes: int (N,): of which volume each slice is, from 0 to V − 1, none left out.
        places: (N,), of `along`.
    """
    order = np.argsort(volumes, kind="stable")
    starts = np.searchsorted(volumes[order], np.arange(volumes.max() + 1))
    found = {name: array[order] for name, array in outputs.items() if name != ATTENTION}
    if rule == "max":
        return {name: np.maximum.reduceat(array, starts).astype(np.float32) for name, array in found.items()}
    counted = shares(outputs, volumes, rule, places)[order]
    return {name: _sums(array, counted, starts) for name, array in found.items()}


def _sums(array: np.ndarray, shares: np.ndarray, starts: np.ndarray) -> np.ndarray:
    weighted = array.astype(np.float64) * shares.reshape(-1, *[1] * (array.ndim - 1))
    return np.add.reduceat(weighted, starts).astype(np.float32)


@dataclass(frozen=True)
class Views:
    """Of which view each image of an examination is: of N images int (N,), from 0 to `count` − 1."""

    of: np.ndarray
    count: int


@dataclass(frozen=True)
class Contributions:
    """What each view says in the answer for its examination; the answer is the mean over the views.

    Attributes:
        answered: output → float64 (E, V, …), pooled from the images of each view; of no meaning where there are none.
        missing: output → likewise, what the network has learned to say where a view is missing.
        there: bool (E, V): the examination has the view.
    """

    answered: dict[str, np.ndarray]
    missing: dict[str, np.ndarray]
    there: np.ndarray

    def outputs(self, seen: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs of the examinations, float32 (E, …), of the views that are there and `seen`, bool (V,)."""
        used = (self.there & seen)[..., None]
        each = {name: np.where(used, found, self.missing[name]) for name, found in self.answered.items()}
        return {name: found.mean(axis=1).astype(np.float32) for name, found in each.items()}


def of_own_view(outputs: Outputs, views: Views) -> dict[str, np.ndarray]:
    """Return what each image says as one of its own view, float32 (N, K), of outputs (N, 2·V·K).

    A network of V views has for each output of K numbers first what the image says as one of each view, then what
    stands for each view where it is missing, which is the same of all images. `attention` is no such output.
    """
    rows = np.arange(len(views.of))
    return {
        name: found if name == ATTENTION else found.reshape(len(found), 2 * views.count, -1)[rows, views.of]
        for name, found in outputs.items()
    }


def contributions(
    outputs: Outputs, exams: np.ndarray, rule: Pooling, places: np.ndarray, views: Views
) -> Contributions:
    """Return what each view says, of the outputs of images, (N, 2·V·K).

    Images of one view, such as the slices of a volume, are pooled by the rule first.

    Args:
        exams: int (N,): of which examination each image is, from 0 to E − 1, none left out.
        places: (N,), of `along` within each view of each examination.
    """
    count, first = views.count, np.unique(exams, return_index=True)[1]
    present, of = np.unique(exams * count + views.of, return_inverse=True)
    there = np.zeros(len(first) * count, bool)
    there[present] = True
    answered, missing = {}, {}
    for name, found in pooled(of_own_view(outputs, views), of, rule, places).items():
        each = np.zeros((len(there), found.shape[1]))
        each[present] = found
        answered[name] = each.reshape(len(first), count, -1)
        missing[name] = outputs[name][first].reshape(len(first), 2 * count, -1)[:, count:].astype(np.float64)
    return Contributions(answered, missing, there.reshape(-1, count))
