"""Tables: a manifest (CSV or Parquet) with a row an image, and labels kept apart from the images.

Labels come in three ways: one class a row (`label`), several findings in one cell (`Effusion|Mass`, as NIH ChestX-ray14
writes them), or a column a finding (1, 0, −1 for uncertain, blank for not mentioned, as CheXpert writes them).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from kmedtl.data.manifest import SPLIT_NAMES, UNKNOWN, Manifest
from kmedtl.data.sources import rows
from kmedtl.errors import UserError, nearest
from kmedtl.printable import cell_read
from kmedtl.recipe import Data

SUFFIXES = (".csv", ".parquet")
# What well-known data sets call the columns that kmedtl knows: NIH ChestX-ray14, CheXpert.
ALIASES = {
    "Image Index": "path", "Path": "path", "Finding Labels": "label", "Patient ID": "patient",
    "View Position": "view",
}  # fmt: skip
KEYS = ("SOPInstanceUID", "StudyInstanceUID", "PatientID", "path")
NONE_FOUND = "No Finding"
NUMBERS = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "": 0.0, "-1": UNKNOWN, "-1.0": UNKNOWN}
POLICIES = {"ignore": UNKNOWN, "ones": 1.0, "zeros": 0.0}


def from_table(path: Path, data: Data) -> Manifest:
    """Read columns path, labels and, where given, id, patient, split, mask, site, frame and others as they are.

    Raises:
        UserError: no column `path`, a file that is not there, or a label that cannot be.
    """
    table = _read(path)
    if "path" not in table[0]:
        raise UserError(f"{path}: no column 'path'. {nearest('path', table[0])}")
    findings, labelled = _labelled(table, path, data)
    found = []
    for line, cells in enumerate(labelled, 2):
        file = path.parent / cells["path"]
        if not file.is_file():
            raise UserError(f"{path}, line {line}: {cells['path']} does not exist.")
        if cells.get("split"):
            cells["split"] = SPLIT_NAMES.get(cells["split"].lower(), cells["split"])
        name = f"{cells['path']}#{cells['frame']}" if cells.get("frame") else cells["path"]
        found.append({"id": name, rows.NAME: cells["path"], **cells, "path": str(file)})
    return rows.finish(found, data, str(path), findings)


def read_labels(path: Path, data: Data) -> tuple[str, tuple[str, ...], dict[str, dict]]:
    """Read the labels of images that lie elsewhere.

    Returns:
        What they go by (one of `KEYS`), the findings of a multi-label table, and the cells of each key.

    Raises:
        UserError: no column that says which image a row is about, no labels, or two rows that disagree.
    """
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise UserError(f"data.labels: expected a .csv or .parquet file. Received: {path}.")
    findings, table = _labelled(_read(path), path, data)
    key = next((name for name in KEYS if name in table[0]), None)
    if key is None:
        raise UserError(f"{path}: no column says which image a row is about; expected one of {', '.join(KEYS)}.")
    by_key: dict[str, dict] = {}
    for line, cells in enumerate(table, 2):
        if not cells[key]:
            raise UserError(f"{path}, line {line}: the {key} is empty; fill it, or remove the row.")
        rest = {name: cell for name, cell in cells.items() if name not in KEYS}
        if by_key.setdefault(cells[key], rest) != rest:
            raise UserError(f"{path}, line {line}: two rows of one {key} disagree; make them agree or remove one.")
    return key, findings, by_key


def _labelled(table: list[dict[str, str]], path: Path, data: Data) -> tuple[tuple[str, ...], list[dict]]:
    """Return the findings of a multi-label table (else none), and its rows with labels as a manifest has them."""
    findings = _findings(table, path, data.classes)
    question = len(data.classes) == 1
    labelled = []
    for line, cells in enumerate(table, 2):
        where = f"{path}, line {line}"
        labels = _multiple(cells, findings, where, data.uncertain) if findings else _single(cells, where)
        if question:
            labels = _answer(labels[findings[0]], findings[0])
        labelled.append({name: cell for name, cell in cells.items() if name not in (*findings, "label")} | labels)
    return () if question else findings, labelled


def _findings(table: Sequence[dict[str, str]], path: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the findings of a multi-label table, in order; none where each row has one class."""
    columns = table[0]
    if "label" not in columns:
        missing = [name for name in classes if name not in columns]
        if classes and not missing:
            return tuple(classes)
        could_be = [name for name in columns if all(cells[name] in NUMBERS for cells in table)]
        hint = f"set data.classes to columns of findings, such as {', '.join(could_be[:5])}" if could_be else ""
        raise UserError(f"{path}: no column 'label'. {hint or nearest('label', columns)}")
    listed = {name for cells in table for name in _named(cells)} - {NONE_FOUND, ""}
    several = any("|" in cells["label"] for cells in table)
    if not several and len(classes) != 1:
        return ()
    for name in classes:
        if name not in listed:
            raise UserError(f"{path}: no row has the finding '{name}'. {nearest(name, listed)}")
    return tuple(classes) or tuple(sorted(listed))


def _named(cells: dict[str, str]) -> list[str]:
    return [name.strip() for name in cells["label"].split("|")]


def _multiple(cells: dict[str, str], findings: Sequence[str], where: str, uncertain: str) -> dict[str, float]:
    if "label" in cells:
        named = _named(_single(cells, where))
        return {name: float(name in named) for name in findings}
    for name in findings:
        if cells[name] not in NUMBERS:
            raise UserError(f"{where}: {name}: expected 1, 0, -1 or nothing. Received: '{cells[name]}'.")
    values = {name: NUMBERS[cells[name]] for name in findings}
    return {name: POLICIES[uncertain] if value == UNKNOWN else value for name, value in values.items()}


def _single(cells: dict[str, str], where: str) -> dict[str, str]:
    if not cells["label"]:
        raise UserError(f"{where}: the label is empty.")
    return {"label": cells["label"]}


def _answer(value: float, finding: str) -> dict[str, str]:
    """Return the class of a yes-or-no question; nothing where the answer is uncertain."""
    return {} if value == UNKNOWN else {"label": rows.answers(finding)[int(value)]}


def _read(path: Path) -> list[dict[str, str]]:
    """Return the table's rows as text, without surrounding blanks, under the names that kmedtl knows."""
    try:
        raw = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UserError(f"{path}: the table cannot be read ({error}).") from None
    if not raw:
        raise UserError(f"{path}: the table has no rows.")
    known = set(raw[0])
    names = {name: ALIASES[name] if ALIASES.get(name, name) not in known else name for name in known & set(ALIASES)}
    return [{names.get(name, name): cell.strip() for name, cell in cells.items()} for cells in raw]


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        table = list(reader)
    for name in columns:
        if columns.count(name) > 1:
            raise UserError(f"{path}: the column '{name}' is there twice; rename or remove one.")
    for line, cells in enumerate(table, 2):
        if None in cells or None in cells.values():
            raise UserError(f"{path}, line {line}: the number of cells differs from the header's.")
    return [{cell_read(name): cell_read(content) for name, content in cells.items()} for cells in table]


def _read_parquet(path: Path) -> list[dict[str, str]]:
    import pandas as pd

    table = pd.read_parquet(path).convert_dtypes()  # whole numbers beside empty cells are whole numbers again
    return table.astype(object).where(table.notna(), "").astype(str).to_dict("records")
