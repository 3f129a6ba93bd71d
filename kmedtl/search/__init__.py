"""Searches over recipes with KerasTuner; `RecipeHyperModel` is for a KerasTuner script of one's own."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["RecipeHyperModel"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: a process of trials has to set its log up before TensorFlow is loaded."""
    if name in __all__:
        return importlib.import_module("kmedtl.search.hypermodel").RecipeHyperModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
