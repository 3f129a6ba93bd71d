"""What makes an epoch the best: a figure of validation that the task names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from kmedtl.data.pipeline import Pipeline
from kmedtl.edge.tasks.task import Outputs
from kmedtl.finetune.job import TrainingJob
from kmedtl.finetune.shifted_validation import corrupted_rows
from kmedtl.tasks.task import Targets


def validation_metrics(job: TrainingJob, outputs: Mapping[str, Outputs]) -> dict[str, Any]:
    """Return `val_loss`, the task's `figures`, and `score`, which is what `training.select` names.

    Args:
        outputs: of each split but the training images.
    """
    bags = job.data["val"].bags
    found, targets = bags.outputs(outputs["val"]), bags.known(job.data["val"].targets)
    figures = job.task.score(job.question, found, targets)
    return {
        "val_loss": mean_loss(job.losses(), targets, found),
        "figures": {f"val_{name}": value for name, value in figures.items()},
        "score": _worst(job, outputs["shift"])
        if job.training.select == "worst_shift"
        else job.task.select(job.question, job.training, found, targets),
    }


def unjudged(figures: Iterable[str]) -> dict[str, Any]:
    """Return what `validation_metrics` does of figures with these names, each nan: the head has not learned yet."""
    return {"val_loss": math.nan, "figures": dict.fromkeys(figures, math.nan), "score": math.nan}


def mean_loss(losses: Mapping[str, keras.losses.Loss], targets: Targets, outputs: Outputs) -> float:
    """Return the mean loss, summed over outputs."""
    return sum(float(keras.ops.mean(loss(targets[name], outputs[name]))) for name, loss in losses.items())


def _worst(job: TrainingJob, outputs: Outputs) -> float:
    """Return the lowest headline figure over the corruptions of `shifted`."""
    shifted = job.data["shift"]
    return min(_headline(job, shifted.of(rows), _part(outputs, rows)) for rows in corrupted_rows(shifted))


def _headline(job: TrainingJob, part: Pipeline, outputs: Outputs) -> float:
    figures = job.task.score(job.question, part.bags.outputs(outputs), part.bags.known(part.targets))
    return next(iter(figures.values()))


def _part(arrays: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: array[rows] for name, array in arrays.items()}
