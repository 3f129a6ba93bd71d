"""A table with the figures of masks, a row an image, judged. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data.delimited import read_text_table
from kmedtl.errors import UserError
from kmedtl.statistics.groups import bands, in_order
from kmedtl.tasks.segmentation.evaluation import UNITS, long
from kmedtl.tasks.segmentation.figures import evaluation_of
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.tables import with_manifest
from kmedtl.tasks.task import TableEvaluation, TableSettings

LAST = "_lesions_found"  # ends the name of a column that every structure has
EXPECTED = "STRUCTURE_dice, STRUCTURE_lesions_found and the others that a run writes into predictions.csv"


def evaluate_table(path: Path, run: dict[str, Any], settings: TableSettings) -> TableEvaluation:
    """Judge a CSV as a run of a segmentation writes it.

    Raises:
        UserError: no such file, a table without those columns, cells that are no numbers, or a setting that asks for
            classes.
    """
    for option in ("threshold", "finding", "ordered"):
        if getattr(settings, option) not in (None, "", False):
            raise UserError(f"--{option}: {path} holds figures of masks; it is for classes and findings.")
    listed = read_text_table(path)
    table = pd.DataFrame(listed.rows, columns=list(listed.columns))
    if settings.split and "split" in table:
        table = table[table["split"] == settings.split].reset_index(drop=True)
    if table.empty:
        raise UserError(f"{path}: no rows of the split '{settings.split}'; name another by --split, or '' for all.")
    structures = _structures(path, table, run)
    figures = _numbers(long(table, structures), path)
    unit = run.get("decoder", {}).get("unit", "")  # of a table alone nothing says it
    patients = (table["patient"] if "patient" in table else table.index.astype(str)).to_numpy(object)
    notes: list[str] = []
    if settings.manifest:
        ids = table["id"] if "id" in table else table.index.astype(str)
        table, notes = with_manifest(list(ids), table, settings.manifest)
    found = evaluation_of(figures, patients, structures)
    found = replace(found, details=unit or None)
    by = found.by | _by_group(figures, patients, structures, table, settings.groups, path)
    document = {
        "notes": notes,
        "unit": unit,
        "test": {name: asdict(one) for name, one in found.estimates.items()},
        "by": {name: {key: asdict(one) for key, one in part.items()} for name, part in by.items()},
        "empty": found.tables["empty"].to_dict("records"),
    }
    told = [f"  {name}: Dice {part['dice']}, surface Dice {part['surface_dice']}" for name, part in by.items()]
    told += [f"  Distances are in {UNITS[unit]}."] if unit in UNITS else []
    return TableEvaluation(found, found.images, found.patients, document, [*estimate_lines(found, 0.0), *told])


def _structures(path: Path, table: pd.DataFrame, run: dict[str, Any]) -> tuple[str, ...]:
    named = tuple(run.get("decoder", {}).get("structures", ()))
    found = named or tuple(name.removesuffix(LAST) for name in map(str, table) if name.endswith(LAST))
    if not found or any(f"{name}{LAST}" not in table for name in found):
        raise UserError(f"{path}: expected the columns {EXPECTED}. Found: {', '.join(map(str, table))}.")
    return found


def _numbers(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the figures as numbers; an empty cell is a figure that is not defined."""
    numbers = {}
    for name in table.columns.drop(["image", "structure"]):
        texts = table[name].astype(str).str.strip()
        values = pd.to_numeric(texts.where(texts != ""), errors="coerce")
        wrong = values.isna() & (texts != "") & (texts.str.casefold() != "nan")
        if wrong.any():
            raise UserError(f"{path}: {name}: expected a number or nothing. Received: '{texts[wrong].iloc[0]}'.")
        numbers[name] = values
    return table.assign(**numbers)


def _by_group(
    figures: pd.DataFrame,
    patients: np.ndarray,
    structures: Sequence[str],
    table: pd.DataFrame,
    columns: Sequence[str],
    path: Path,
) -> dict[str, dict[str, Any]]:
    by = {}
    for column in columns:
        if column not in table:
            raise UserError(f"{path}: no column '{column}' to judge by. Found: {', '.join(map(str, table))}.")
        names = bands(table[column])
        for name in in_order(names):
            part = figures[(names == name)[figures["image"]]]
            by[f"{column} {name}"] = evaluation_of(part, patients, structures).estimates
    return by
