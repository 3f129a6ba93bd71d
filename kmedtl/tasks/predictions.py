"""predictions.csv of a run folder, read as the run wrote it. Imports no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from kmedtl.errors import UserError
from kmedtl.files.csv_tables import read_csv
from kmedtl.tasks.task import Examples, Task


def read_predictions(path: Path) -> pd.DataFrame:
    """Return predictions.csv of a run folder as the run wrote it.

    Raises:
        UserError: it is not as a run wrote it.
    """
    try:
        return read_csv(path, keep_default_na=False, dtype=dict.fromkeys(("id", "patient"), str))
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not as a run wrote it ({reason}); run it again.") from None


def examples_of(predictions: pd.DataFrame, task: Task, question: Any, split: str = "") -> Examples:
    """Return the rows of a split of predictions.csv, or all; every further column is a group.

    Raises:
        KeyError, ValueError: columns that are not as the task wrote them.
    """
    table = predictions[predictions["split"] == split] if split else predictions
    targets, outputs = task.read(question, table)
    return Examples(table["id"].to_numpy(object), table["patient"].to_numpy(object), targets, outputs, table)
