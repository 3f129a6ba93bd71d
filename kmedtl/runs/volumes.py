"""Volumes and examinations that are answered as a whole: which slices are used, and what a recipe may ask of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kmedtl.data.store import Store
from kmedtl.edge.pooling import ATTENTION, Pooling
from kmedtl.errors import expect
from kmedtl.images.background import RULE, is_background, without_say
from kmedtl.recipe import CLASSIFIERS, Recipe

LINEAR = ("logistic", "svm")  # of CLASSIFIERS: the mean of logits is the logit of the mean of features
AT_A_TIME = 64  # slices


def pooling_of(recipe: Recipe, table: pd.DataFrame) -> Pooling:
    """Return how the slices of a table's volumes become one answer; "" where each row is answered by itself.

    Of examinations it is how the images of one view do.
    """
    together = bool(recipe.data.views) or (table["volume"] != "").any()
    return recipe.data.slices if not recipe.task.is_local and together else ""


def without_background(recipe: Recipe, images: Store, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows that are used, and what is to be told of the others: slices of background have no say.

    A volume of background alone keeps all of its slices; images, and slices that are answered by themselves, all stay.
    """
    volumes = (table["volume"] != "").to_numpy()
    if not pooling_of(recipe, table) or not volumes.any():
        return table, ()
    batches = images.images().batch(AT_A_TIME).as_numpy_iterator()
    dark = np.concatenate([is_background(pixels) for pixels in batches])[table["record"].to_numpy()]
    left_out = without_say(dark & volumes, pd.factorize(table["volume"])[0])
    told = f"Slices of background, left out: {left_out.sum()} of {volumes.sum()}: {RULE}."
    return table[~left_out].reset_index(drop=True), (told,) if left_out.any() else ()


def check_settings(recipe: Recipe, table: pd.DataFrame) -> None:
    """Refuse what would take slices for volumes, images for slices, or images for examinations.

    Raises:
        UserError: such a setting.
    """
    task, schedule, views = recipe.task, recipe.schedule, recipe.data.views
    if views:
        expect(not task.is_local, "data.views", "none beside masks, which are of one image", list(views))
        expect(schedule not in CLASSIFIERS, "schedule", "one that trains, beside data.views", schedule)
        attends = recipe.data.slices == ATTENTION and not (table["volume"] != "").any()
        expect(not attends, "data.slices", "mean or max beside images", recipe.data.slices)
    if not pooling_of(recipe, table):
        slices = recipe.data.slices
        expect(task.is_local or slices != ATTENTION, "data.slices", "mean or max beside images", slices)
        return
    expect(task.needs == "vector", "task", "no masks beside answers for whole volumes", task.kind)
    together = "examinations: a teacher answers images" if views else "volumes: a teacher answers slices"
    expect(not recipe.distill, "distill", f"nothing beside {together}", recipe.distill)
    if schedule in CLASSIFIERS:
        expect(schedule in LINEAR, "schedule", f"{' or '.join(LINEAR)}, or one that trains, beside volumes", schedule)
        expect(recipe.data.slices == "mean", "data.slices", f"mean beside schedule={schedule}", recipe.data.slices)
