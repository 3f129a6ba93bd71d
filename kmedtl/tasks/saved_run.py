"""A finished run as its folder holds it: what it was asked, and what it answered. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kmedtl import recipe as recipes
from kmedtl.edge import model_info
from kmedtl.edge.model_info import ModelInfo
from kmedtl.errors import UserError
from kmedtl.recipe import Recipe
from kmedtl.tasks import task_of
from kmedtl.tasks.predictions import PREDICTIONS, examples_of, read_arrays, read_predictions
from kmedtl.tasks.task import Arrays, Examples, Task


@dataclass(frozen=True)
class SavedRun:
    """What a run folder holds, its weights aside.

    Attributes:
        folder: the run folder.
        info: of the run's model, or of an exported file.
        predictions, arrays: of validation and test, as `kmedtl.runs.result.Result` has them.
    """

    folder: Path
    recipe: Recipe
    info: ModelInfo
    predictions: pd.DataFrame
    arrays: Arrays

    @property
    def task(self) -> Task:
        return task_of(self.info.decoder)

    @property
    def question(self) -> Any:
        """What was asked, as far as the model file says it."""
        return self.task.question(self.info.decoder)

    def examples(self, split: str = "") -> Examples:
        """Return what the run answered for a split, or for all rows.

        Raises:
            UserError: columns or arrays that are not as the task wrote them.
        """
        try:
            return examples_of(self.predictions, self.arrays, self.task, self.question, split)
        except (LookupError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{self.folder}: its predictions are not as a run wrote them ({reason}).") from None


def read_run(folder: Path, model: Path | None = None) -> SavedRun:
    """Read a run folder.

    Args:
        model: an exported file whose document counts; None: the run's own.

    Raises:
        UserError: files that are not as a run wrote them.
        OSError: files that are not there.
    """
    predictions = read_predictions(folder / PREDICTIONS)
    arrays = read_arrays(folder, predictions)
    return SavedRun(folder, recipes.read(folder / "recipe.yaml"), model_info.read(model or folder), predictions, arrays)
