"""Predictions in; metrics with intervals, plots and the report out. Called, it judges a table of predictions."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmedtl.tasks.classification.metrics import Metrics


class _Room(ModuleType):
    """This room, which can be called: `kmedtl.evaluate` is a function of the public interface as well."""

    def __call__(self, *arguments: Any, **settings: Any) -> Metrics:
        from kmedtl.runs.evaluate_table import evaluate

        return evaluate(*arguments, **settings)


sys.modules[__name__].__class__ = _Room
