"""A run that goes on must be the one that began."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kmedtl import config
from kmedtl import recipe as recipes
from kmedtl.errors import UserError
from kmedtl.recipe import Evaluation, Export, Recipe, Search, Training


def begin(recipe: Recipe, folder: Path) -> None:
    """Write the recipe; where the folder has one already, see that it is the same up to stages and what follows them.

    Raises:
        UserError: the run began with other settings.
    """
    path = folder / "recipe.yaml"
    if path.is_file():
        began = recipes.read(path)
        changed = config.differences(_unchangeable(began), _unchangeable(recipe))
        if changed:
            name, (before, now) = next(iter(changed.items()))
            raise UserError(
                f"--resume: the run began with {name}={before}. Received: {now}; give the same settings, or leave "
                "--resume out."
            )
    recipes.write(recipe, path)


def _unchangeable(recipe: Recipe) -> Recipe:
    """Return the settings that must be unchanged when a run is resumed; stages are compared separately."""
    anywhere = {
        name: getattr(Training(), name) for name in ("accept_hours", "cache_gigabytes", "tensorboard", "mlflow")
    }
    return replace(
        recipe,
        stages=(),
        schedule="untrained",
        soup=(),
        search=Search(),
        training=replace(recipe.training, **anywhere),
        evaluation=Evaluation(),
        export=Export(),
    )
