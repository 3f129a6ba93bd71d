"""Volumes that are answered as a whole: which slices of them are used, and what a recipe may ask of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kmedtl.data.bags import bags_of
from kmedtl.data.store import Store
from kmedtl.edge.pooling import ATTENTION, Pooling
from kmedtl.errors import expect
from kmedtl.images.background import RULE, is_background, without_say
from kmedtl.recipe import CLASSIFIERS, Recipe

LINEAR = ("logistic", "svm")  # of CLASSIFIERS: the mean of logits is the logit of the mean of features
AT_A_TIME = 64  # slices


def pooling_of(recipe: Recipe, table: pd.DataFrame) -> Pooling:
    """Return how the slices of a table's volumes become one answer; "" where each row is answered by itself."""
    return recipe.data.slices if not recipe.task.is_local and (table["volume"] != "").any() else ""


def without_background(recipe: Recipe, images: Store, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows that are used, and what is to be told of the others: slices of background have no say.

    A volume of background alone keeps all of its slices; images, and slices that are answered by themselves, all stay.
    """
    rule = pooling_of(recipe, table)
    if not rule:
        return table, ()
    batches = images.images().batch(AT_A_TIME).as_numpy_iterator()
    dark = np.concatenate([is_background(pixels) for pixels in batches])[table["record"].to_numpy()]
    left_out = without_say(dark, bags_of(table, rule).of)
    told = f"Slices of background, left out: {left_out.sum()} of {len(table)}: {RULE}."
    return table[~left_out].reset_index(drop=True), (told,) if left_out.any() else ()


def check_settings(recipe: Recipe, table: pd.DataFrame) -> None:
    """Refuse what would take slices for volumes, or images for slices.

    Raises:
        UserError: such a setting.
    """
    task, schedule = recipe.task, recipe.schedule
    if not pooling_of(recipe, table):
        slices = recipe.data.slices
        expect(task.is_local or slices != ATTENTION, "data.slices", "mean or max beside images", slices)
        return
    expect(task.needs == "vector", "task", "no masks beside answers for whole volumes", task.kind)
    expect(not recipe.distill, "distill", "nothing beside volumes: a teacher answers slices", recipe.distill)
    if schedule in CLASSIFIERS:
        expect(schedule in LINEAR, "schedule", f"{' or '.join(LINEAR)}, or one that trains, beside volumes", schedule)
        expect(recipe.data.slices == "mean", "data.slices", f"mean beside schedule={schedule}", recipe.data.slices)
