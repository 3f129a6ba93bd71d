"""What a search varies: which settings may, how KerasTuner is told of them, and what its values make of a recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any, Literal

import keras_tuner

from kmedtl import config
from kmedtl.errors import UserError, nearest
from kmedtl.finetune.batch_norm import ADAPTED
from kmedtl.finetune.mix_style import MIXSTYLE
from kmedtl.recipe import Head, Recipe, Stage
from kmedtl.recipe.search import Range, Span
from kmedtl.runs.train import check_network
from kmedtl.search.objective import objective_of

MAY_VARY = re.compile(r"stages\.\d+\.(?!name$).+|head\..+|backbone\..+|data\.(augment|batch_size)")
# What the frozen part of the model depends on.
OF_BLOCKS = re.compile(r"stages\.\d+\.(train|batch_norm|style|domains)|backbone\..+")
TUNER = "tuner/"  # begins the names of Hyperband's own values
EPOCHS = f"{TUNER}epochs"


def space_of(recipe: Recipe) -> dict[str, Range]:
    """Return path → range: the recipe's own, or else what is worth varying of any head."""
    if recipe.search.ranges:
        return recipe.search.ranges
    rate = 3e-3 if recipe.stages[0].lr == "auto" else recipe.stages[0].lr
    every: dict[str, Range] = {
        "stages.0.lr": Span(rate / 10, min(10 * rate, 10.0), "log"),
        "stages.0.weight_decay": Span(1e-6, 1e-2, "log"),
        "stages.0.label_smoothing": Span(0.0, 0.2),
        "head.kind": tuple(kind for kind in ("linear", "mlp") if Head(kind).gives == recipe.task.needs),
        "head.hidden": Span(32, 512, "log"),
        "head.dropout": Span(0.0, 0.5),
    }
    idle = {f"stages.0.{name}" for name in recipe.task.idle}
    return {path: values for path, values in every.items() if values != () and path not in idle}


def check(recipe: Recipe) -> None:
    """Refuse a search that could not be carried out, before anything is read.

    Raises:
        UserError: a setting that is not there or may not vary, a range that holds what the setting cannot take, a block
            that is not there, no stages, patches.
    """
    if recipe.schedule != "stages":
        raise UserError(
            f"search: expected a recipe with stages. Received: schedule={recipe.schedule}; run it once, and search the "
            "recipe.yaml of its run folder, which has the stages that it became."
        )
    if recipe.data.folds:
        raise UserError("search: data.folds: expected 0, a search has folds of its own (search.folds, --folds).")
    if recipe.distill:
        raise UserError("search: distill: expected none; search the recipe first, and let the best one be taught.")
    if recipe.data.patch:
        raise UserError("search: data.patch: expected 0, trials see whole images; search with a smaller data.size.")
    objective_of(recipe)
    known = [path for path in config.flat(recipe) if MAY_VARY.fullmatch(path)]
    for path, choices in space_of(recipe).items():
        if path not in known:
            raise UserError(f"search.space: {path}: no setting that a search may vary. {nearest(path, known)}")
        for value in (choices.min, choices.max) if isinstance(choices, Span) else choices:
            varied = assigned(recipe, {path: _as_set(recipe, path, value)})
            if OF_BLOCKS.fullmatch(path):
                check_network(varied)
    if recipe.search.tier == "head" and not cached_stages(recipe):
        raise UserError(
            "search.tier: head: expected a first stage that trains the head alone, with views, and training.select "
            "other than worst_shift; set search.tier=full."
        )


def tier_of(recipe: Recipe) -> Literal["head", "full"]:
    """Return how much of a recipe its trials train, see `kmedtl.recipe.search.Search`."""
    if recipe.search.tier != "auto":
        return recipe.search.tier
    count = len(cached_stages(recipe))
    first = tuple(f"stages.{number}." for number in range(count))
    varied = [path for path in space_of(recipe) if not path.startswith(("head.", "data."))]
    of_head = all(path.startswith(first) and not OF_BLOCKS.fullmatch(path) for path in varied) if count else False
    return "head" if of_head else "full"


def cached_stages(recipe: Recipe) -> tuple[Stage, ...]:
    """Return the recipe's first stages, as far as they train nothing but the head on one and the same features."""
    if recipe.training.select == "worst_shift":  # it needs the images
        return ()

    def seen(stage: Stage) -> tuple:
        return stage.augment, stage.mix, stage.border, stage.style, stage.views, stage.class_weights

    def is_cached(stage: Stage) -> bool:
        plain = stage.train == "head" and stage.views > 0 and stage.batch_norm not in ADAPTED
        in_graph = stage.style == MIXSTYLE or stage.domains != "none"  # which asks for the whole model
        return plain and not in_graph and seen(stage) == seen(recipe.stages[0])

    return tuple(takewhile(is_cached, recipe.stages))


def stages_of(recipe: Recipe, tier: str) -> tuple[Stage, ...]:
    """Return the stages that a trial trains."""
    return cached_stages(recipe) if tier == "head" else recipe.stages


def declare(recipe: Recipe, hyperparameters: keras_tuner.HyperParameters) -> dict[str, Any]:
    """Declare the space to KerasTuner; return its values by path, Hyperband's own included.

    What the recipe says is each one's default, where it lies in the range.
    """
    values = {path: _declared(recipe, hyperparameters, path, choices) for path, choices in space_of(recipe).items()}
    return values | {name: value for name, value in hyperparameters.values.items() if name.startswith(TUNER)}


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among a trial's values, by path: all but Hyperband's own."""
    return {path: value for path, value in values.items() if not path.startswith(TUNER)}


def as_it_stands(recipe: Recipe) -> dict[str, Any] | None:
    """Return the recipe's own values by path; None where one of them is outside the space."""
    current = config.flat(recipe)
    space = space_of(recipe)
    return (
        {path: current[path] for path in space} if all(_holds(space[path], current[path]) for path in space) else None
    )


def recipe_of(recipe: Recipe, values: Mapping[str, Any], tier: str) -> Recipe:
    """Return the recipe of a trial: with its values, and with fewer epochs where Hyperband has it so.

    Raises:
        UserError: values that cannot be together.
    """
    varied = assigned(recipe, settings_of(values))
    if EPOCHS not in values:
        return varied
    share = values[EPOCHS] / most_epochs(recipe, tier)
    stages = stages_of(varied, tier)
    fewer = [replace(stage, epochs=max(1, round(share * stage.epochs))) for stage in stages]
    return replace(varied, stages=(*fewer, *varied.stages[len(stages) :]))


def most_epochs(recipe: Recipe, tier: str) -> int:
    """Return how many epochs a trial has that nothing cuts short."""
    return sum(stage.epochs for stage in stages_of(recipe, tier))


def assigned(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with these values by path."""
    return config.override(recipe, [f"{path}={json.dumps(value)}" for path, value in values.items()])


def _declared(recipe: Recipe, hyperparameters: keras_tuner.HyperParameters, path: str, choices: Range) -> Any:
    current = config.flat(recipe)[path]
    default = current if _holds(choices, current) else None
    if isinstance(choices, tuple):
        values = [_as_set(recipe, path, choice) for choice in choices]
        return hyperparameters.Choice(path, values, default=default)
    if type(current) is int:
        return hyperparameters.Int(
            path, round(choices.min), round(choices.max), sampling=choices.scale, default=default
        )
    return hyperparameters.Float(path, choices.min, choices.max, sampling=choices.scale, default=default)


def _as_set(recipe: Recipe, path: str, value: Any) -> Any:
    """Return a number of a range as the setting has it: whole or not."""
    if type(value) in (int, float):
        kind = int if type(config.flat(recipe)[path]) is int else float
        return kind(value)
    return value


def _holds(choices: Range, value: Any) -> bool:
    if isinstance(choices, tuple):
        return value in choices
    return isinstance(value, int | float) and choices.min <= value <= choices.max
