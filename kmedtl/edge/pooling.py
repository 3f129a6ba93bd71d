"""How the outputs of slices become those of their volumes: here alone, for validation, test and scanner."""

from __future__ import annotations

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
