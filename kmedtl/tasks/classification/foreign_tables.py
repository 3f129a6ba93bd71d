"""A CSV of predictions as other programs save it, its columns renamed to those of `labelled_predictions`."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pandas as pd

from kmedtl.data.delimited import read_text, separator_of
from kmedtl.errors import UserError
from kmedtl.files.csv_tables import restored

OWN = ("id", "patient", "split", "label", "logit", "probability", "decision", "threshold", "share")
# What other programs call these columns, in lower case.
ALIASES = {
    "label": ("y_true", "true", "target", "ground_truth", "gt"),
    "probability": ("y_score", "y_prob", "y_proba", "prob", "proba", "score", "y_pred_proba", "y_pred", "prediction"),
    "patient": ("patient_id", "patientid", "subject", "subject_id"),
    "id": ("image", "image_id", "filename", "file", "path"),
}
TEXTS = ("id", "patient", *ALIASES["id"], *ALIASES["patient"])  # never numbers: 007 is not 7
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
POINT = re.compile(r"\s*[+-]?[0-9]+\.[0-9]+\s*")
COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+(e[+-]?[0-9]+)?\s*", re.IGNORECASE)


def read_predictions(path: Path, expected: str) -> tuple[pd.DataFrame, list[str]]:
    """Read a CSV: separated by commas, semicolons or tabs, decimal commas too; return it and notes on its names.

    Args:
        expected: columns, for messages.

    Raises:
        UserError: no such file, no table, or two columns of one name.
    """
    text, notes = read_text(path)
    first = text.partition("\n")[0]
    if not first.strip():
        raise UserError(f"{path}: the file is empty; expected a CSV with the columns {expected}.")
    separator = separator_of(first)
    decimal = "," if separator == ";" and _has_decimal_commas(text) else "."
    options: dict[str, Any] = {"sep": separator, "keep_default_na": False}
    try:
        header = pd.read_csv(io.StringIO(first), header=None, nrows=1, dtype=str, **options).iloc[0]
        texts = dict.fromkeys((name for name in header if name.strip().lower() in TEXTS), str)
        table = pd.read_csv(io.StringIO(text), dtype=texts, decimal=decimal, low_memory=False, **options)
    except (ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: not a CSV ({reason}); expected the columns {expected}.") from None
    if CONTROL.search(text[:1000]):
        raise UserError(f"{path}: not a CSV (it holds control characters); expected the columns {expected}.")
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(f"{path}: a row has more values than the header; expected one under each column's name.")
    names = [name.strip() for name in header]
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise UserError(f"{path}: two columns are called '{twice[0]}'; rename or remove one.")
    table, renamed = _renamed(table.rename(columns=str.strip))
    return restored(table), [*notes, *renamed]


def _has_decimal_commas(text: str) -> bool:
    """Tell by the first rows, whose cells are separated by semicolons."""
    cells = [cell for line in text.splitlines()[1:100] for cell in line.split(";")]
    return any(map(COMMA.fullmatch, cells)) and not any(
        re.fullmatch(r"\s*[+-]?[0-9]+\.[0-9]+\s*", cell) for cell in cells
    )


def _renamed(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the table with kmedtl's names for its columns, and what was renamed."""
    there = {str(name).lower(): name for name in table}
    cased = {there[own]: own for own in OWN if own not in table and own in there}
    called = {}
    for own, aliases in ALIASES.items():
        found = [there[alias] for alias in aliases if alias in there]
        taken = own in there or any(str(name).startswith(f"{own}_") for name in table)
        if own == "probability":
            taken = taken or any(str(name).startswith("logit") for name in table)
        if len(found) == 1 and not taken:
            called[found[0]] = own
    renamed = ", ".join(f"{own} is '{name}'" for name, own in called.items() if own in ("label", "probability"))
    return table.rename(columns=cased | called), [f"Columns: {renamed}."] if renamed else []
