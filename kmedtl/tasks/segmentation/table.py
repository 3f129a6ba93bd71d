"""A table with the figures of masks, a row an image, judged. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from kmedtl.errors import UserError
from kmedtl.tasks.segmentation.columns import long
from kmedtl.tasks.segmentation.evaluation import UNITS, by_group
from kmedtl.tasks.segmentation.figures import evaluation_of
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.tables import judged_rows, with_manifest
from kmedtl.tasks.task import TableEvaluation, TableSettings

LAST = ".lesions_found"  # ends the name of a column that every structure has
EXPECTED = "STRUCTURE.dice, STRUCTURE.lesions_found and the others that a run writes into predictions.csv"


def evaluate_table(path: Path, run: dict[str, Any], settings: TableSettings) -> TableEvaluation:
    """Judge a CSV as a run of a segmentation writes it.

    Raises:
        UserError: no such file, a table without those columns, cells that are no numbers, or a setting that asks for
            classes.
    """
    table = judged_rows(path, settings, "figures of masks")
    if "volume" in table:  # whose figures stand at each of its slices
        table = table[(table["volume"] == "") | ~table["volume"].duplicated()].reset_index(drop=True)
    structures = _structures(path, table, run)
    figures = _numbers(long(table, structures), path)
    unit = run.get("decoder", {}).get("unit", "")  # of a table alone nothing says it
    patients = (table["patient"] if "patient" in table else table.index.astype(str)).to_numpy(object)
    notes: list[str] = []
    if settings.manifest:
        ids = table["id"] if "id" in table else table.index.astype(str)
        table, notes = with_manifest(list(ids), table, settings.manifest)
    found = evaluation_of(figures, patients, structures)
    for column in settings.groups:
        if column not in table:
            raise UserError(f"{path}: no column '{column}' to judge by. Found: {', '.join(map(str, table))}.")
    found = replace(found, details=unit or None)
    by = found.by | by_group(figures, patients, table, settings.groups, structures)
    document = {
        "notes": notes,
        "unit": unit,
        "test": {name: asdict(one) for name, one in found.estimates.items()},
        "by": {name: {key: asdict(one) for key, one in part.items()} for name, part in by.items()},
        "empty": found.tables["empty"].to_dict("records"),
    }
    lines = [f"  {name}: Dice {part['dice']}, surface Dice {part['surface_dice']}" for name, part in by.items()]
    lines += [f"  Distances are in {UNITS[unit]}."] if unit in UNITS else []
    return TableEvaluation(found, found.images, found.patients, document, [*estimate_lines(found, 0.0), *lines])


def wrote(columns: Sequence[str]) -> bool:
    """Tell whether columns hold the figures of a structure, whose name has no dot: else it is one of several tasks'."""
    structures = [name.removesuffix(LAST) for name in columns if name.endswith(LAST)]
    return any("." not in name and f"{name}.dice" in columns for name in structures)


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
