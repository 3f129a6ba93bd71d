"""The images that a search may see: those of training and validation. The test is no part of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data import splits
from kmedtl.data.manifest import Manifest
from kmedtl.data.pipeline import Pipeline, pipelines
from kmedtl.data.store import files_of, folder_of, open_store
from kmedtl.errors import expect
from kmedtl.recipe import Data, Recipe, Task
from kmedtl.runs.prepare import prepare_recipe, refuse
from kmedtl.runs.volumes import pooling_of
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Targets


@dataclass(frozen=True)
class Development:
    """What trials learn from and are judged by; it can be handed to another process.

    Attributes:
        images: the folder of the store that holds their pixels.
        manifest: its table holds no image of the test.
        settings, data, question: the recipe's task and data settings, and what is asked of these images.
        divisions: the same images, divided into `train` and `val`: once, or once a fold, each patient being validated
            in one fold.
    """

    images: Path
    manifest: Manifest
    settings: Task
    data: Data
    question: Any
    divisions: tuple[pd.DataFrame, ...]

    def parts(self, fold: int, batch_size: int) -> dict[str, Pipeline]:
        """Return `train` and `val` of a division."""
        return pipelines(
            open_store(self.images), self.divisions[fold], batch_size, self.targets, task_of(self.settings).moves
        )

    def validation(self) -> list[pd.DataFrame]:
        """Return the validation rows of each division, in the order of a pipeline's table."""
        parts = (table[table["split"] == "val"] for table in self.divisions)
        return [part.sort_values("record", ignore_index=True) for part in parts]

    def targets(self, table: pd.DataFrame) -> Targets:
        """Return the targets of a table's rows."""
        known = task_of(self.settings).targets(self.question, self.data, self.manifest, self.manifest.table)
        return known.of(table)


def development(recipe: Recipe) -> Development:
    """Read, audit, decode and divide a recipe's images as its run does, and leave the test out.

    Raises:
        UserError: what a run refuses; fields or unlabelled images, which trials know nothing of yet.
    """
    expect(not recipe.tabular, "tabular", "nothing in a search, whose trials see the image alone", list(recipe.tabular))
    expect(not recipe.update.run, "update.run", "nothing in a search, which starts from no run", recipe.update.run)
    unlabelled = recipe.data.unlabelled
    expect(not unlabelled, "data.unlabelled", "nothing in a search, whose trials see labelled images", unlabelled)
    for stage in recipe.stages:
        place = f"stage {stage.name}: objective"
        expect(stage.is_supervised, place, "supervised in a search, which compares epochs by labels", stage.objective)
    found = prepare_recipe(recipe)
    refuse(found, recipe)
    pooling = pooling_of(recipe, found.table)
    told = "examinations" if recipe.data.views else "volumes with labels"
    expect(not pooling, "data.source", "images in a search, or volumes that are segmented", told)
    table = splits.split(found.manifest, found.table, recipe.data.validation, recipe.data.test, recipe.seed)
    if recipe.data.train_limit:
        table = splits.limit_training(table, recipe.data.train_limit, recipe.seed)
    table = table[table["split"] != "test"].reset_index(drop=True)
    manifest = replace(found.manifest, table=table)
    images = folder_of(files_of(found.manifest.table), recipe.data.reading)
    return Development(images, manifest, recipe.task, recipe.data, found.question, _divisions(recipe, manifest))


def _divisions(recipe: Recipe, manifest: Manifest) -> tuple[pd.DataFrame, ...]:
    if not recipe.search.folds:
        return (manifest.table,)
    whole = manifest.table.assign(split="")
    divided = splits.folds(manifest, whole, recipe.search.folds, recipe.data.validation, recipe.seed)
    return tuple(fold.assign(split=np.where(fold["split"] == "test", "val", "train")) for _, fold in divided)
