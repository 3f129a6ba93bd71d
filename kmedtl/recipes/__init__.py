"""The built-in recipes, one module each; a recipe's docstring states its measured result, or that there is none."""

from __future__ import annotations

import importlib
import pkgutil
import shlex
from pathlib import Path

from kmedtl.errors import UserError, nearest
from kmedtl.recipe import Recipe, read

SOURCES = (".csv", ".tsv", ".parquet", ".npz")  # of images, which somebody may name where a recipe belongs


def find(name: str | Path) -> Recipe:
    """Return the built-in recipe `name`, in whatever case, or the one in the YAML file `name`.

    Raises:
        UserError: neither exists (with the nearest name), or the file is not a recipe.
    """
    text = str(name)
    if text.endswith((".yaml", ".yml")):
        return read(Path(name))
    known = {recipe.lower(): recipe for recipe in describe()}
    if text.lower() not in known:
        if Path(name).is_dir() or Path(name).suffix.lower() in SOURCES:
            raise UserError(
                f"{name}: expected a recipe. Received: images; type `kmedtl run RECIPE --data {shlex.quote(text)}`, "
                f"with one of {', '.join(sorted(known.values()))} as RECIPE."
            )
        raise UserError(f"recipe '{name}': no such recipe and no YAML file. {nearest(text, known.values())}")
    return importlib.import_module(f"{__name__}.{known[text.lower()]}").RECIPE


def describe() -> dict[str, str]:
    """Return name → first line of the docstring of every built-in recipe."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in modules.items()}
