"""What a search makes best: a figure of validation that the recipe's task has, and which way is better."""

from __future__ import annotations

from kmedtl.errors import UserError, nearest
from kmedtl.recipe import Recipe
from kmedtl.tasks import task_of

HEADLINE = "headline"


def figures_of(recipe: Recipe) -> dict[str, str]:
    """Return the figures of an epoch, the task's headline first: name → `max` or `min`."""
    own = {f"val_{name}": better for name, better in task_of(recipe.task).better.items()}
    return own | {"val_loss": "min", "score": "max"}


def objective_of(recipe: Recipe) -> str:
    """Return the name of the figure that `search.objective` asks for.

    Raises:
        UserError: the task has no figure of that name.
    """
    figures, wanted = figures_of(recipe), recipe.search.objective
    if wanted == HEADLINE:
        return next(iter(figures))
    if wanted not in figures:
        raise UserError(f"search.objective: no figure '{wanted}' of validation. {nearest(wanted, figures)}")
    return wanted


def sign_of(recipe: Recipe) -> int:
    """Return 1 where more of the objective is better, else −1."""
    return 1 if figures_of(recipe)[objective_of(recipe)] == "max" else -1
