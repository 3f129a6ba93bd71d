"""A table of predicted numbers, of whatever model, judged. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.errors import UserError
from kmedtl.tasks.regression.figures import by_group, evaluation_of
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.tables import judged_rows, with_manifest
from kmedtl.tasks.task import TableEvaluation, TableSettings

TRUTH, PREDICTED = ("truth", "y_true", "target", "true"), ("prediction", "predicted", "y_pred")
PATIENT = ("patient", "patient_id", "patientid", "subject", "subject_id")
EXPECTED = "truth and prediction"


def evaluate_table(path: Path, run: dict[str, Any], settings: TableSettings) -> TableEvaluation:
    """Judge a CSV with `truth` and `prediction`, and `low` and `high` where predictions have an interval.

    Raises:
        UserError: no such file, a table without those columns, cells that are no numbers, or a setting that asks for
            classes.
    """
    table = judged_rows(path, settings, "numbers").rename(columns=str.lower)
    numbers = {"truth": _numbers(table, TRUTH, path), "predicted": _numbers(table, PREDICTED, path)}
    notes: list[str] = []
    for end in ("low", "high"):
        numbers[end] = _numbers(table, (end,), path) if end in table else numbers["predicted"]
    judged = pd.DataFrame(numbers)
    patient = next((name for name in PATIENT if name in table), "")
    patients = table[patient].to_numpy(object) if patient else np.arange(len(table)).astype(str)
    if settings.manifest:
        ids = table["id"] if "id" in table else table.index.astype(str)
        table, notes = with_manifest(list(ids), table, settings.manifest)
    found = evaluation_of(judged, patients)
    if not {"low", "high"} <= set(table):
        known = {name: estimate for name, estimate in found.estimates.items() if name != "coverage"}
        found = replace(found, estimates=known)
    for column in settings.groups:
        if column not in table:
            raise UserError(f"{path}: no column '{column}' to judge by. Found: {', '.join(map(str, table))}.")
    parts = by_group(judged, patients, table, settings.groups)
    document = {
        "notes": notes,
        "test": {name: vars(one) for name, one in found.estimates.items()},
        "groups": {name: {key: vars(one) for key, one in part.items()} for name, part in parts.items()},
    }
    group_lines = [f"  {name}: mean absolute error {part['mae']}, bias {part['bias']}" for name, part in parts.items()]
    return TableEvaluation(found, found.images, found.patients, document, [*estimate_lines(found, 0.0), *group_lines])


def wrote(columns: Sequence[str]) -> bool:
    """Tell whether columns are those of a run: truth, prediction, and the ends of its interval."""
    return {"truth", "prediction", "low", "high"} <= set(columns)


def _numbers(table: pd.DataFrame, names: tuple[str, ...], path: Path) -> np.ndarray:
    name = next((name for name in names if name in table), None)
    if name is None:
        raise UserError(f"{path}: expected the columns {EXPECTED}. Found: {', '.join(map(str, table))}.")
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(f"{path}: {name}: expected a number in each row. Received: '{table[name].iloc[row]}'.")
    return values
