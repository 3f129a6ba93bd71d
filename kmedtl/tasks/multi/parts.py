"""What belongs to each of several tasks: its images, those of which it knows something, under its own names.

Targets of images of which a task knows nothing are `UNKNOWN`, or `UNKNOWN_MASK` in masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data.manifest import UNKNOWN, UNKNOWN_MASK
from kmedtl.edge.tasks.multi import joined, part_of
from kmedtl.tasks.task import Examples, Targets, Task

Tasks = Mapping[str, Task]


def known_rows(targets: Targets) -> np.ndarray:
    """Return the rows of the images of which something is known, int (K,)."""
    each = [(array != _unknown(array.dtype)).reshape(len(array), -1).any(axis=1) for array in targets.values()]
    return np.flatnonzero(np.any(each, axis=0))


def known_targets(name: str, targets: Targets) -> tuple[np.ndarray, Targets]:
    """Return the rows of the images of which a task knows something, int (K,), and its targets of these."""
    own = part_of(name, targets)
    rows = known_rows(own)
    return rows, {output: array[rows] for output, array in own.items()}


def known_to(name: str, examples: Examples) -> tuple[np.ndarray, Examples]:
    """Return the images of which a task knows something: their rows, int (K,), and themselves as it sees them."""
    targets, outputs = part_of(name, examples.targets), part_of(name, examples.outputs)
    rows = known_rows(targets)
    return rows, Examples(examples.ids, examples.patients, targets, outputs, examples.groups).of(rows)


def spread(known: Targets, rows: np.ndarray, count: int) -> Targets:
    """Return targets of `count` images, those in `rows` known; of the others nobody knows anything."""
    return {name: _filled(array, rows, count, _unknown(array.dtype)) for name, array in known.items()}


def spread_arrays(known: Mapping[str, np.ndarray], rows: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Return arrays of `count` images, those in `rows` given; 0 elsewhere."""
    return {name: _filled(array, rows, count, 0) for name, array in known.items()}


def spread_table(table: pd.DataFrame, rows: np.ndarray, count: int) -> pd.DataFrame:
    """Return a table of `count` rows, those in `rows` given; empty elsewhere."""
    return table.set_axis(rows).reindex(range(count))


def prefixed(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures, columns or arrays under names that begin with the task's."""
    return {joined(name, figure): value for figure, value in figures.items()}


def merged(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what each task has, `prefixed`, in one."""
    return {key: value for name, part in parts.items() for key, value in prefixed(name, part).items()}


def first_of(tasks: Mapping[str, Any]) -> str:
    """Return the name of the task that gives the headline."""
    return next(iter(tasks))


def _unknown(dtype: np.dtype) -> float:
    return UNKNOWN_MASK if dtype == np.uint8 else UNKNOWN


def _filled(array: np.ndarray, rows: np.ndarray, count: int, value: float) -> np.ndarray:
    if len(rows) == count:
        return array
    filled = np.full((count, *array.shape[1:]), value, array.dtype)
    filled[rows] = array
    return filled
