"""What can be refused before TensorFlow is loaded, which takes seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kmedtl.data.kinds import KINDS, MADE
from kmedtl.errors import UserError
from kmedtl.system.home import expanded

if TYPE_CHECKING:
    from kmedtl.recipe import Data, Recipe


def check_run(path: Path, what: str = "a run folder") -> None:
    """Refuse a run folder, or a model, that is not there.

    Raises:
        UserError: nothing has that name.
    """
    if not path.exists():
        raise UserError(f"{path}: no such folder; expected {what}, as they lie under saved_models/.")


def check_source(data: Data, given: str = "") -> None:
    """Refuse a source or a table of labels that is not there.

    Args:
        given: how a command is told of another source, where a recipe names one.

    Raises:
        UserError: nothing has that name.
    """
    if data.source.partition(":")[0] in MADE:
        return
    source = expanded(data.source).absolute()
    if not source.exists():
        raise UserError(f"{source}: no such folder or file; expected {KINDS}{given}.")
    if data.labels and not expanded(data.labels).exists():
        raise UserError(f"data.labels: {data.labels}: no such file; expected a CSV of labels.")


def check_source_of(run: Path) -> None:
    """Refuse a run whose images are no longer where they were.

    Args:
        run: a run folder, or a model in one.

    Raises:
        UserError: no such run, or what `check_source` refuses.
    """
    from kmedtl.recipe import read
    from kmedtl.runs.locate import RECIPE, located

    check_run(run, "a run folder or one of its models")
    check_source(read(located(run)[0] / RECIPE).data)


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe whose source, weights or runs are not there.

    Raises:
        UserError: nothing has that name.
    """
    check_source(recipe.data, ", given with --data")
    if recipe.data.unlabelled:
        check_source(replace(recipe.data, source=recipe.data.unlabelled, labels=""), ", as data.unlabelled")
    weights = recipe.backbone.weights
    if weights not in ("imagenet", "random") and not expanded(weights).exists():
        raise UserError(f"backbone.weights: {weights}: no such file; expected imagenet, random or a weights file.")
    for run in (*recipe.soup, *filter(None, (recipe.distill, recipe.update.run))):
        check_run(expanded(run))
