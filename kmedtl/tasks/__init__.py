"""Every task, a row each; a further task is a folder here, a file in `edge/tasks/`, and two lines."""

from __future__ import annotations

from functools import cache
from typing import Any

from kmedtl.edge.tasks import combined_of
from kmedtl.tasks.classification.row import CLASSIFICATION
from kmedtl.tasks.multi.row import combined
from kmedtl.tasks.ordinal.row import ORDINAL
from kmedtl.tasks.regression.row import REGRESSION
from kmedtl.tasks.segmentation.row import SEGMENTATION
from kmedtl.tasks.task import Task

TASKS: dict[str, Task] = {
    "classification": CLASSIFICATION,
    "regression": REGRESSION,
    "segmentation": SEGMENTATION,
    "ordinal": ORDINAL,
}


def task_of(settings: Any) -> Task:
    """Return the row of a recipe's `task` or of a decoder, by its `kind`; that of several tasks is made of theirs."""
    parts = getattr(settings, "tasks", None)
    return _several(tuple((name, one.kind) for name, one in parts.items())) if parts else TASKS[settings.kind]


def needs_labels(settings: Any) -> bool:
    """Say whether a source must have labels for a recipe's `task`: some part of it reads no column of its own."""
    parts = getattr(settings, "tasks", {"": settings}).values()
    return any(TASKS[one.kind].needs_classes and not getattr(one, "target", "") for one in parts)


def task_named(name: str, run: dict[str, Any]) -> Task:
    """Return the row by the name of a task; of several tasks those that metrics.json of a run names.

    Raises:
        KeyError: no such task.
    """
    parts = run.get("tasks") if name not in TASKS else None
    return _several(tuple((part, one["task"]) for part, one in parts.items())) if parts else TASKS[name]


@cache
def _several(kinds: tuple[tuple[str, str], ...]) -> Task:
    """Return the row of several tasks: (name, kind) of each; the same row for the same tasks."""
    return combined({name: TASKS[kind] for name, kind in kinds}, combined_of(kinds))
