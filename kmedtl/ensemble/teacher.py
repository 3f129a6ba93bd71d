"""What a large model or an ensemble says of the images that a small one learns from.

The teacher is asked once for each image, as it lies in the store, before any augmentation: that costs one pass,
whatever the epochs, and lets the teacher take images of another size, read from the original files. Asking it anew for
each augmented view is closer to what the student sees and gained accuracy over very long trainings (Beyer et al.,
Knowledge Distillation: A Good Teacher Is Patient and Consistent, 2022, section 3.1); it would cost the teacher's pass
for each view, and bind it to the student's pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data import store
from kmedtl.data.pipeline import Pipeline
from kmedtl.edge import model_info
from kmedtl.edge.model_info import MEMBER
from kmedtl.edge.tasks.task import Outputs, of_batches
from kmedtl.ensemble.members import read_votes, refuse_other_question, refuse_seen
from kmedtl.errors import UserError
from kmedtl.export.runtimes import load_keras
from kmedtl.files.names import MODEL
from kmedtl.images.reading import Reading
from kmedtl.recipe import Recipe
from kmedtl.system.progress import progress
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Targets, Task, Vote

PUPIL = "the run that it shall teach"


def check_teacher(recipe: Recipe, question: Any = None) -> None:
    """Refuse a teacher that is not there, or that answers another question, where that is known.

    Raises:
        UserError: neither a run folder with a model nor an ensemble of such; another question; a task that cannot be
            taught.
    """
    for folder in _models(Path(recipe.distill)):
        if not (folder / MODEL).is_file():
            raise UserError(
                f"distill: {folder}: expected a finished run or an ensemble of runs; {folder / MODEL} is not there."
            )
        if (folder / MEMBER).is_file() and model_info.read(folder).fields:
            raise UserError(f"distill: {folder}: takes fields beside the image, of which its pupil would know nothing.")
    vote = task_of(recipe.task).vote
    if vote is None or vote.teach is None:
        raise UserError(f"distill: expected nothing beside task={recipe.task.kind}. Received: {recipe.distill}.")
    if question is not None:
        decoder = model_info.read(Path(recipe.distill)).decoder
        refuse_other_question(Path(recipe.distill), task_of(decoder).question(decoder), question, PUPIL)


def with_teacher_targets(recipe: Recipe, data: dict[str, Pipeline], log: Callable[[str], None]) -> Pipeline:
    """Return the training images with targets that hold, for each output, the labels and then the teacher's answers.

    The answers are probabilities at the recipe's temperature, from the teacher's calibrated log-odds.

    Args:
        data: `train`, `val` and `test`.

    Raises:
        UserError: a teacher that was trained on a patient of validation or test.
    """
    folder, train = Path(recipe.distill), data["train"]
    info = model_info.read(folder)
    judged = pd.concat([data[split].table for split in ("val", "test")])
    refuse_seen(folder, judged, PUPIL)
    task = task_of(info.decoder)
    outputs = _outputs(folder, train, recipe.data.reading)
    soft = _teach(task)(task.question(info.decoder), outputs, info.decoder, recipe.training.soft_temperature)
    share = recipe.training.soft_share
    log(f"Teacher: {folder}, {share:.0%} of the loss at temperature {recipe.training.soft_temperature:g}")
    targets = {name: np.concatenate([array, soft[name]], axis=1) for name, array in train.targets.items()}
    return replace(train, targets=targets)


def _models(folder: Path) -> list[Path]:
    """Return the runs with weights that a run is made of: itself, or those that vote."""
    votes = read_votes(folder)
    return [model for member in votes["members"] for model in _models(Path(member))] if votes else [folder]


def _vote(task: Task) -> Vote:
    if task.vote is None:
        raise UserError("distill: the task cannot be taught; leave distill out.")
    return task.vote


def _teach(task: Task) -> Callable[..., Targets]:
    teach = _vote(task).teach
    if teach is None:
        raise UserError("distill: the task cannot be taught; leave distill out.")
    return teach


def _outputs(folder: Path, images: Pipeline, reading: Reading) -> Outputs:
    """Return the outputs for images that `reading` made, in the order of their table."""
    info, votes = model_info.read(folder), read_votes(folder)
    if votes is None:
        seen, rows = (images, slice(None)) if info.reading == reading else _read_again(images, info.reading)
        return {name: array[rows] for name, array in _predict(folder, seen).items()}
    members, task = [Path(member) for member in votes["members"]], task_of(info.decoder)
    decoders = [model_info.read(member).decoder for member in members]
    each = [_outputs(member, images, reading) for member in members]
    return _vote(task).combine(task.question(info.decoder), votes["method"], votes["weights"], each, decoders)


def _read_again(images: Pipeline, reading: Reading) -> tuple[Pipeline, np.ndarray]:
    """Return the images at another size, and where each row of the table is among them."""
    again = store.prepare(images.table, reading)
    records = again.facts.set_index("id").loc[images.table["id"], "record"].to_numpy()
    if (records < 0).any():
        name = images.table["id"].to_numpy()[records < 0][0]
        raise UserError(f"distill: {name}: cannot be read at the teacher's {reading.size} px; remove it, or try again.")
    order = np.argsort(records)
    table = images.table.assign(record=records).iloc[order].reset_index(drop=True)
    targets = {name: array[order] for name, array in images.targets.items()}
    return replace(images, store=again, table=table, targets=targets), np.argsort(order)


def _predict(folder: Path, images: Pipeline) -> dict[str, np.ndarray]:
    model = load_keras(folder / MODEL, model_info.read(folder))
    batches = progress(images.images(), f"Teacher {folder.name}", images.steps, unit="step")
    return of_batches([model.predict_on_batch(batch) for batch in batches])
