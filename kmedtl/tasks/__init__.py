"""Every task, a row each; a further task is a folder here, a file in `edge/tasks/`, and two lines."""

from __future__ import annotations

from typing import Any

from kmedtl.tasks.classification.row import CLASSIFICATION
from kmedtl.tasks.regression.row import REGRESSION
from kmedtl.tasks.segmentation.row import SEGMENTATION
from kmedtl.tasks.task import Task

TASKS: dict[str, Task] = {
    "classification": CLASSIFICATION,
    "regression": REGRESSION,
    "segmentation": SEGMENTATION,
}


def task_of(settings: Any) -> Task:
    """Return the row of a recipe's `task`, or of a decoder, whose `kind` is the task's name."""
    return TASKS[settings.kind]
