"""Weights of several runs of one architecture, averaged: an ensemble for the price of one model.

Wortsman et al., Model Soups, 2022. It works where the runs started from the same weights and stayed in one basin of
the loss; validation tells whether they did, and the greedy recipe leaves out what did not (section 2, recipe 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmedtl.data.pipeline import Pipeline
from kmedtl.ensemble.members import Member, open_members, refuse_seen
from kmedtl.errors import UserError
from kmedtl.export.runtimes import load_keras
from kmedtl.files.names import MODEL
from kmedtl.finetune.epoch_score import mean_loss
from kmedtl.finetune.stage_data import predict_outputs
from kmedtl.recipe import Recipe, Schedule
from kmedtl.system.progress import progress
from kmedtl.tasks import task_of

Weights = list[np.ndarray]
SHAPES = ("backbone.name", "backbone.truncate_at", "head.kind", "head.hidden", "data.size", "data.channels")


def recipe_of_soup(members: Sequence[Member], schedule: Schedule) -> Recipe:
    """Return the recipe that makes a soup of runs, judged and exported as the first run's recipe asks.

    Args:
        schedule: `soup` (greedy) or `uniform_soup`.

    Raises:
        UserError: runs of other architectures.
    """
    first = members[0]
    for member in members[1:]:
        _refuse_other_architecture(member, first)
    return replace(
        first.recipe,
        data=replace(first.recipe.data, unlabelled=""),
        name=f"{first.recipe.name}-{schedule}",
        stages=(),
        schedule=schedule,
        soup=tuple(str(member.folder.resolve()) for member in members),
        distill="",
    )


def average_weights(
    model: keras.Model, recipe: Recipe, question: Any, data: dict[str, Pipeline], log: Callable[[str], None]
) -> None:
    """Give a model the averaged weights of the recipe's runs.

    `uniform_soup` averages all. `soup` starts with the run whose headline figure of validation is best and takes in the
    others, the better first, each for good where the average does not get worse by it (of equal ones, by the loss).

    Args:
        model: of the architecture of the runs.
        data: `train`, `val` and `test`; validation chooses, the test is looked at for its patients only.

    Raises:
        UserError: runs that cannot be judged together, or of other architectures.
    """
    members = open_members([Path(folder) for folder in recipe.soup])
    recipe_of_soup(members, recipe.schedule)
    for member in members:
        for split in ("val", "test"):
            refuse_seen(member.folder, data[split].table, "the soup")
    bar = progress(members, "Ingredients", unit="run")
    ingredients = {str(member.folder): load_keras(member.folder / MODEL).get_weights() for member in bar}
    chosen = (
        ingredients if recipe.schedule == "uniform_soup" else _greedy(model, recipe, question, ingredients, data["val"])
    )
    model.set_weights(_mean(list(chosen.values())))
    log(f"Soup of {len(chosen)} of {len(ingredients)} runs: {', '.join(chosen)}")


def _greedy(
    model: keras.Model, recipe: Recipe, question: Any, ingredients: dict[str, Weights], validation: Pipeline
) -> dict[str, Weights]:
    task = task_of(recipe.task)
    losses = task.network().losses(question, None, recipe.training, False)

    def merit(soup: Sequence[Weights]) -> tuple[float, float]:
        model.set_weights(_mean(soup))
        outputs = predict_outputs(model, validation)
        figures = task.score(question, outputs, validation.targets)
        return next(iter(figures.values())), -mean_loss(losses, validation.targets, outputs)

    alone = {name: merit([weights]) for name, weights in progress(ingredients.items(), "Alone")}
    ranked = sorted(ingredients, key=alone.__getitem__, reverse=True)
    chosen, best = {ranked[0]: ingredients[ranked[0]]}, alone[ranked[0]]
    for name in progress(ranked[1:], "Soup"):
        together = merit([*chosen.values(), ingredients[name]])
        if together >= best:
            chosen, best = chosen | {name: ingredients[name]}, together
    return chosen


def _mean(soup: Sequence[Weights]) -> Weights:
    return [np.mean(arrays, axis=0, dtype=np.float64).astype(arrays[0].dtype) for arrays in zip(*soup, strict=True)]


def _refuse_other_architecture(member: Member, first: Member) -> None:
    mine, theirs = (_shape(run.recipe) for run in (member, first))
    apart = [name for name in SHAPES if mine[name] != theirs[name]]
    if apart:
        name = apart[0]
        raise UserError(
            f"{member.folder}: a soup takes runs of one architecture; expected {name}={theirs[name]}, as in "
            f"{first.folder}. Received: {mine[name]}; let them vote instead, as --method mean."
        )
    for run in (first, member):
        if not (run.folder / MODEL).is_file():
            raise UserError(f"{run.folder}: a soup needs the weights; expected {run.folder / MODEL}.")


def _shape(recipe: Recipe) -> dict[str, object]:
    head = recipe.head.hidden if recipe.head.kind != "linear" else None
    parts = recipe.backbone.name, recipe.backbone.truncate_at, recipe.head.kind, head
    return dict(zip(SHAPES, (*parts, recipe.data.size, recipe.data.channels), strict=True))
