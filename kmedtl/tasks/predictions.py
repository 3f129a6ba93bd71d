"""predictions.csv of a run folder, and the arrays beside it, read as the run wrote them. Imports no TensorFlow."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.errors import UserError
from kmedtl.files.csv_tables import read_csv, write_csv
from kmedtl.tasks.task import Arrays, Examples, Task

PREDICTIONS, ARRAYS = "predictions.csv", "predictions.npz"
IDS = "id"  # of the arrays, a row each


def write_predictions(predictions: pd.DataFrame, arrays: Arrays, folder: Path) -> None:
    """Write the table into a run folder, and what the task keeps beside it, if anything, with the images' ids."""
    write_csv(predictions, folder / PREDICTIONS)
    if arrays:
        named: dict[str, Any] = {**arrays, IDS: predictions["id"].to_numpy(str)}
        np.savez_compressed(folder / ARRAYS, **named)


def read_predictions(path: Path) -> pd.DataFrame:
    """Return predictions.csv of a run folder as the run wrote it; its index counts the rows.

    Raises:
        UserError: it is not as a run wrote it.
    """
    try:
        return read_csv(path, keep_default_na=False, dtype=dict.fromkeys(("id", "patient"), str))
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: {_damaged(error)}") from None


def read_arrays(folder: Path, predictions: pd.DataFrame) -> Arrays:
    """Return what a run folder holds beside predictions.csv, by name; {} where its task keeps no arrays.

    Args:
        predictions: the rows are returned in its order, which somebody may have changed.

    Raises:
        UserError: it is not as a run wrote it, or of other images.
    """
    path = folder / ARRAYS
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        place = {name: row for row, name in enumerate(arrays.pop(IDS).tolist())}
        rows = [place[name] for name in predictions["id"]]
        return {name: array[rows] for name, array in arrays.items()}
    except (ValueError, LookupError, OSError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: {_damaged(error)}") from None


def _damaged(error: Exception) -> str:
    return f"not as a run wrote it ({' '.join(str(error).split())[:200]}); run it again."


def examples_of(predictions: pd.DataFrame, arrays: Arrays, task: Task, question: Any, split: str = "") -> Examples:
    """Return the rows of a split of predictions.csv, or all; every further column is a group.

    Args:
        predictions: in any order; the index says which row of the arrays belongs to a row of it.

    Raises:
        KeyError, ValueError, IndexError: columns or arrays that are not as the task wrote them.
    """
    table = predictions[predictions["split"] == split] if split else predictions
    targets, outputs = task.read(question, table, arrays)
    return Examples(table["id"].to_numpy(object), table["patient"].to_numpy(object), targets, outputs, table)
