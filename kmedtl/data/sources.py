"""Every kind of source, each turned into the same manifest."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kmedtl.data.manifest import Manifest, from_rows
from kmedtl.data.read_image import SUFFIXES
from kmedtl.errors import UserError, nearest
from kmedtl.recipe import Data

SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def load(data: Data, seed: int) -> Manifest:
    """Return the manifest of `data.source`: `phantom[:PATIENTS]`, a folder of class folders or a CSV file.

    Raises:
        UserError: a source that is absent, empty, of one class, or whose rows contradict themselves.
    """
    if data.source.partition(":")[0] == "phantom":
        from kmedtl.data.phantom.source import phantom_manifest

        return phantom_manifest(data.source, data.classes, seed)
    path = Path(data.source).expanduser().absolute()
    try:
        if path.is_dir():
            return _from_folder(path, data)
        if path.suffix.lower() == ".csv" and path.is_file():
            return _from_csv(path, data)
        exists = path.exists()
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read ({error.strerror}).") from None
    if exists:
        raise UserError(f"{path}: expected a folder of class folders or a .csv manifest.")
    raise UserError(f"{path}: no such folder or file; expected 'phantom', a folder or a CSV manifest.")


def _from_folder(root: Path, data: Data) -> Manifest:
    """Read `CLASS/…` or `train|val|test/CLASS/…`; deeper folders belong to their class."""
    rows, ignored = [], 0
    folders = _subfolders(root)
    parts = [(SPLIT_FOLDERS[f.name.lower()], f) for f in folders if f.name.lower() in SPLIT_FOLDERS]
    if parts and len(parts) < len(folders):
        others = [f.name for f in folders if f.name.lower() not in SPLIT_FOLDERS]
        raise UserError(f"{root}: found split folders and '{others[0]}' side by side; move it away.")
    for split, part in parts or [("", root)]:
        for class_folder in _subfolders(part):
            for file in _files(class_folder):
                if file.suffix.lower() not in SUFFIXES:
                    ignored += 1
                    continue
                name = file.relative_to(root).as_posix()
                rows.append({"id": name, "path": str(file), "label": class_folder.name, "split": split})
    if not rows:
        raise UserError(
            f"{root}: no images in class folders; expected {root.name}/CLASS/IMAGE or "
            f"{root.name}/train|val|test/CLASS/IMAGE."
        )
    return _with_patients(rows, data, str(root), ignored)


def _from_csv(path: Path, data: Data) -> Manifest:
    """Read columns path, label and, where given, id, patient, split, mask, site and others as they are."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            for needed in ("path", "label"):
                if needed not in columns:
                    raise UserError(f"{path}: no column '{needed}'. {nearest(needed, columns or ['nothing'])}")
            rows = [_csv_row(row, path, line) for line, row in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: the manifest cannot be read ({error}).") from None
    return _with_patients(rows, data, str(path), 0)


def _csv_row(row: dict, manifest: Path, line: int) -> dict:
    if None in row or None in row.values():
        raise UserError(f"{manifest}, line {line}: the number of cells differs from the header's.")
    cells = {name: cell.strip() for name, cell in row.items()}
    if not cells["label"]:
        raise UserError(f"{manifest}, line {line}: the label is empty.")
    file = manifest.parent / cells["path"]
    if not file.is_file():
        raise UserError(f"{manifest}, line {line}: {cells['path']} does not exist.")
    if cells.get("split"):
        cells["split"] = SPLIT_FOLDERS.get(cells["split"].lower(), cells["split"])
    return {"id": cells["path"], **cells, "path": str(file)}


def _with_patients(rows: list[dict], data: Data, source: str, ignored: int) -> Manifest:
    """Take patients from the manifest's column, else by the recipe's pattern, else one an image."""
    given = any(row.get("patient") for row in rows)
    pattern = re.compile(data.patient_pattern) if data.patient_pattern else None
    known = given or pattern is not None
    for row in rows:
        if given:
            if not row["patient"]:
                raise UserError(f"{source}: {row['id']} has no patient, others have; fill the column.")
        elif pattern is not None:
            row["patient"] = _patient(pattern, row, source)
        else:
            row["patient"] = row["id"]
    return from_rows(rows, data.classes, source, patients_known=known, ignored=ignored)


def _patient(pattern: re.Pattern, row: dict, source: str) -> str:
    name = Path(row["path"]).name
    match = pattern.search(name)
    if match is None:
        raise UserError(
            f"{source}: data.patient_pattern finds no patient in the file name '{name}'; correct the pattern, "
            "or set it to '' to count each image as a patient of its own."
        )
    return next((group for group in match.groups() if group), match.group(0))


def _refuse(error: OSError) -> None:
    """What `os.walk` cannot open it would leave out without a word."""
    raise error


def _subfolders(folder: Path) -> list[Path]:
    hidden = (".", "__")
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(hidden))


def _files(folder: Path) -> Iterator[Path]:
    """Every file below `folder` in a fixed order; links to folders are not followed, so no loop can trap it."""
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(parent) / name
