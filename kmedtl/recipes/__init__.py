"""The built-in recipes, one module each; a recipe's docstring states its measured result."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from kmedtl.errors import UserError, nearest
from kmedtl.recipe import Recipe, read


def find(name: str) -> Recipe:
    """Return the built-in recipe `name`, or the one in the YAML file `name`.

    Raises:
        UserError: neither exists (with the nearest name), or the file is not a recipe.
    """
    if name.endswith((".yaml", ".yml")):
        return read(Path(name))
    known = describe()
    if name not in known:
        raise UserError(f"recipe '{name}': no such recipe and no YAML file. {nearest(name, known)}")
    return importlib.import_module(f"{__name__}.{name}").RECIPE


def describe() -> dict[str, str]:
    """Return name → first line of the docstring of every built-in recipe."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in modules.items()}
