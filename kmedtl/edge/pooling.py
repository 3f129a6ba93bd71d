"""How the outputs of slices become those of their volumes: here alone, for validation, test and scanner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from kmedtl.edge.tasks.task import Outputs

Pooling = Literal["", "mean", "max"]  # "": each image is answered by itself


def _mean(array: np.ndarray, starts: np.ndarray) -> np.ndarray:
    counts = np.diff(starts, append=len(array)).reshape(-1, *[1] * (array.ndim - 1))
    return np.add.reduceat(array.astype(np.float64), starts) / counts


POOLINGS: Mapping[str, Callable[[np.ndarray, np.ndarray], Any]] = {"mean": _mean, "max": np.maximum.reduceat}


def pooled(outputs: Outputs, volumes: np.ndarray, rule: Pooling) -> dict[str, np.ndarray]:
    """Return the outputs of volumes, float32 (V, …), of those of their slices, (N, …).

    `mean` of logits is what a linear head makes of the mean of the slices' features; `max` is the largest of each
    logit, so that one slice suffices. The order of the slices is of no concern.

    Args:
        volumes: int (N,): of which volume each slice is, from 0 to V − 1, none left out.
    """
    order = np.argsort(volumes, kind="stable")
    starts = np.searchsorted(volumes[order], np.arange(volumes.max() + 1))
    return {name: POOLINGS[rule](array[order], starts).astype(np.float32) for name, array in outputs.items()}
