"""kmedtl: staged transfer learning for medical images on Keras 3 and TensorFlow.

Research software: not a medical device, no clinical use is claimed.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from kmedtl.system.home import give_libraries_a_place

if TYPE_CHECKING:
    from kmedtl.recipe import Backbone, Data, Evaluation, Export, Head, Recipe, Search, Stage, Training
    from kmedtl.recipes import find as load_recipe
    from kmedtl.runner import run
    from kmedtl.runs.evaluate_table import evaluate
    from kmedtl.runs.predict import predict
    from kmedtl.runs.reopen import open_run

__all__ = [
    "Backbone", "Data", "Evaluation", "Export", "Head", "Recipe", "Search", "Stage", "Training",
    "evaluate", "load_recipe", "open_run", "predict", "run",
]  # fmt: skip
__version__ = "0.1.0"

# Name → where it is, if not among the recipe's parts; imported when it is first asked for.
PLACES = {
    "evaluate": ("kmedtl.runs.evaluate_table", "evaluate"),
    "load_recipe": ("kmedtl.recipes", "find"),
    "open_run": ("kmedtl.runs.reopen", "open_run"),
    "predict": ("kmedtl.runs.predict", "predict"),
    "run": ("kmedtl.runner", "run"),
}

HEAVY = ("open_run", "run")  # that bring TensorFlow

give_libraries_a_place()  # before any of them is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # else TensorFlow tells of every GPU that is not there


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kmedtl' has no attribute {name!r}")
    module, attribute = PLACES.get(name, ("kmedtl.recipe", name))
    if name in HEAVY and "tensorflow" not in sys.modules:
        from kmedtl.system.native_logs import loading_tensorflow

        with loading_tensorflow():  # which greets whoever imports it, whatever its level of logging
            importlib.import_module(module)
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
