"""The page of a cross-validation: all tests together, and a link to each fold's own report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import kmedtl
from kmedtl.files import html
from kmedtl.recipe import Recipe, without_folders
from kmedtl.system.titles import title
from kmedtl.tasks.summary import NO_UNITS, no_better_than_chance
from kmedtl.tasks.task import Evaluation, Task


def write(
    recipe: Recipe,
    task: Task,
    folds: Mapping[str, Evaluation],
    pooled: Evaluation,
    synthetic: bool,
    when: str,
    folder: Path,
    units: Mapping[str, str] = NO_UNITS,
) -> None:
    """Write `plots/` and the self-contained `report.html` into the folder that holds the folds.

    Args:
        folds: name → the evaluation of its test, in the order of their folders, `fold-1` first.
        pooled: of all tests together.
        when: date and duration.
        units: of the figures that have one.
    """
    pictures = task.curves(pooled)
    html.write(
        folder / "report.html",
        Path(__file__).with_name("folds.html"),
        recipe=without_folders(recipe),
        folds=folds,
        pooled=pooled,
        synthetic=synthetic,
        when=when,
        pictures=html.save_plots({name: picture.figure for name, picture in pictures.items()}, folder / "plots"),
        shown=pictures,
        columns={name: title(name, units.get(name, "")) for name in task.brief if name in pooled.estimates},
        titles={name: title(name, units.get(name, "")) for name in pooled.estimates},
        chance=no_better_than_chance(pooled, task.chance),
        version=kmedtl.__version__,
    )
