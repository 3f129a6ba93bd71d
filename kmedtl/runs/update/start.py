"""Where an update begins: a finished run, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.edge import model_info
from kmedtl.errors import UserError
from kmedtl.export.runtimes import load_keras
from kmedtl.files.names import MODEL
from kmedtl.recipe import Recipe
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Task

ARCHITECTURE = (
    "backbone.name", "backbone.truncate_at", "head.kind", "head.hidden", "head.detail", "data.size", "data.channels",
    "data.neighbours",
)  # fmt: skip


def check_update(recipe: Recipe) -> None:
    """Refuse a run that an update cannot begin with.

    Raises:
        UserError: no finished run with a model, one that was rejected itself, or another architecture.
    """
    run = Path(recipe.update.run)
    if not (run / MODEL).is_file():
        raise UserError(f"update.run: {run}: expected a finished run; {run / MODEL} is not there.")
    info = model_info.read(run)
    if info.rejected:
        raise UserError(f"update.run: {run}: is an update that was rejected; update {info.updated[-1].run} instead.")
    of_run, of_recipe = (config.flat(one) for one in (recipes.read(run / "recipe.yaml"), recipe))
    for path in ARCHITECTURE:
        if of_recipe[path] != of_run[path]:
            raise UserError(f"{path}: expected {of_run[path]!r}, as {run} has it. Received: {of_recipe[path]!r}.")


def as_asked_before(recipe: Recipe, question: Any) -> Any:
    """Return the question of an update's images, in the scale in which the run learned to answer it.

    Raises:
        UserError: the run was asked something else.
    """
    run, task = Path(recipe.update.run), task_of(recipe.task)
    decoder = model_info.read(run).decoder
    if task_of(decoder) is not task or _header(task, task.question(decoder)) != _header(task, question):
        both = (decoder, task.plain(question))
        asked = " and ".join(task_of(one).edge.in_words(one)[0][1] for one in both)
        raise UserError(f"update.run: {run}: expected images that are asked the same. Received: {asked}.")
    return task.goes_on(task.question(decoder), question)


def _header(task: Task, question: Any) -> Sequence[Any]:
    """Return what the answers to a question are called."""
    return task.edge.header(task.plain(question))[:1]


def begin_with_run(model: keras.Model, recipe: Recipe) -> None:
    """Give the model the weights of the run that the recipe updates.

    Raises:
        UserError: they are another model's.
    """
    run = Path(recipe.update.run)
    weights = load_keras(run / MODEL, model_info.read(run)).get_weights()
    if [one.shape for one in weights] != [one.shape for one in model.get_weights()]:
        raise UserError(f"update.run: {run}: expected weights of the recipe's network. Received: those of another one.")
    model.set_weights(weights)
