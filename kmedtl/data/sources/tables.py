"""Tables: a manifest (CSV or Parquet) with a row an image, and labels kept apart from the images.

Labels come in four ways: one class a row (`label`), several findings in one cell (`Effusion|Mass`, as NIH ChestX-ray14
writes them), a column a finding (1, 0, −1 for uncertain, blank for not mentioned, as CheXpert writes them), or a column
a class of which each row has exactly one (as ISIC writes them).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

from kmedtl.data.manifest import UNKNOWN, Labels, Manifest
from kmedtl.data.sources import to_manifest
from kmedtl.data.sources.columns import SUFFIXES, Table, open_table
from kmedtl.data.sources.examinations import of_table
from kmedtl.data.sources.find_files import FileFinder
from kmedtl.data.sources.labels import ANSWERS, answer, is_blank
from kmedtl.data.sources.listing import Listing
from kmedtl.data.sources.names import split_of
from kmedtl.errors import UserError, nearest
from kmedtl.recipe import Data

KEYS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "path")
MAY_BE_BLANK = ("patient", "split", "mask", "site", "frame", "volume", "examination")
NONE_FOUND = "No Finding"
POLICIES = {"ignore": UNKNOWN, "ones": 1.0, "zeros": 0.0}


def from_table(
    path: Path,
    data: Data,
    listing: Listing | None = None,
    notes: Sequence[str] = (),
    labels: Labels = "needed",
    without: str = "",
) -> Manifest:
    """Read columns path, labels and, where given, id, patient, split, mask, site, frame and others as they are.

    Args:
        listing: of the folder that the table lies in, where it is known already.
        labels: as of `kmedtl.data.sources.load`.
        without: a split whose rows are passed over, their files being gone perhaps; empty: none.

    Raises:
        UserError: no column `path`, more missing files than `data.max_unreadable`, or a label that cannot be.
    """
    wide = tuple(data.views.values()) if isinstance(data.views, Mapping) else ()
    table = of_table(open_table(path, data, wide), data)
    _check_path(table)
    if without:
        kept = [cells.get("split") != without for cells in table.rows]
        table = replace(table, rows=tuple(compress(table.rows, kept)), places=tuple(compress(table.places, kept)))
    given = "label" in table.columns or bool(table.findings or data.classes)
    has_labels = labels in ("needed", "some") or (labels == "wanted" and given)
    findings, rows, label_notes = _labelled(table, data) if has_labels else ((), table.rows, [])
    finder = FileFinder(path, listing)
    files = _files(table, finder, data)
    masks = finder.listing.masks.of_images() if finder.listing else {}
    each = zip(rows, files, table.places, strict=True)
    found = [_row(cells, file, masks, finder, where) for cells, file, where in each]
    ignored, beside = _beside(listing, files) if listing else (0, 0)
    all_notes = (*notes, *table.notes, *label_notes)
    return to_manifest.finish(found, data, str(path), findings, ignored, beside, all_notes, labelled=has_labels)


def _beside(listing: Listing, files: Sequence[Path]) -> tuple[int, int]:
    """Return how many files of the table's folder are neither masks nor named by a row, and how many are masks."""
    unnamed = len({*listing.images} - {*files})
    return listing.ignored + unnamed - 1, listing.masks.count  # the table itself is the source


def read_labels(
    path: Path, data: Data, known: Mapping[str, Collection[str]], labels: Labels = "needed"
) -> tuple[str, tuple[str, ...], dict[str, dict], tuple[str, ...]]:
    """Read the labels of images that lie elsewhere.

    Args:
        known: by which of `KEYS` the images go: what each has there.
        labels: as of `kmedtl.data.sources.load`.

    Returns:
        What they go by (one of `KEYS`), the findings of a multi-label table, the cells of each key, and notes.

    Raises:
        UserError: no column that says which image a row is about, no labels, or two rows that disagree.
    """
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise UserError(f"data.labels: expected a table ({', '.join(SUFFIXES)}). Received: {path}.")
    table = open_table(path, data, KEYS)
    keys = [name for name in KEYS if name in table.columns]
    if not keys:
        raise UserError(
            f"{path}: no column says which image a row is about; expected one of {', '.join(KEYS)}. "
            f"It has {', '.join(table.columns)}; name one: --set 'data.columns={{path: COLUMN}}'."
        )
    fitting = (name for name in keys if name == "path" or any(cells[name] in known[name] for cells in table.rows))
    key = next(fitting, keys[0])
    findings, labelled, label_notes = _labelled(table, data) if labels != "unasked" else ((), table.rows, [])
    by_key: dict[str, dict] = {}
    for cells, where in zip(labelled, table.places, strict=True):
        if not cells[key]:
            raise UserError(f"{where}: the {key} is empty; fill it, or remove the row.")
        rest = {name: cell for name, cell in cells.items() if name not in KEYS}
        if by_key.setdefault(cells[key], rest) != rest:
            raise UserError(f"{where}: two rows of one {key} disagree; make them agree or remove one.")
    return key, findings, by_key, (*table.notes, *label_notes)


def _check_path(table: Table) -> None:
    if "path" in table.columns:
        return
    could_be = table.candidates["path"]
    hint = f"{' or '.join(could_be)} could be it" if could_be else f"it has {', '.join(table.columns)}"
    raise UserError(f"{table.path}: no column 'path'; {hint}. Name it: --set 'data.columns={{path: COLUMN}}'.")


def _files(table: Table, finder: FileFinder, data: Data) -> list[Path]:
    """Return where each row's file lies; the few that are missing keep the place where they should be."""
    files, missing = [], []
    for cells, where in zip(table.rows, table.places, strict=True):
        if not cells["path"]:
            raise UserError(f"{where}: the path is empty; fill it, or remove the row.")
        file = finder.find(cells["path"], where)
        if file is None:
            missing.append(f"{where}: {cells['path']} does not exist")
        files.append(file or table.path.parent / cells["path"])
    if len(missing) > int(data.max_unreadable * len(files)):
        raise UserError(
            f"{missing[0]} ({finder.places()}); {len(missing)} of {len(files)} files are missing. Correct the paths or "
            f"remove the rows; raise data.max_unreadable ({data.max_unreadable}) to go on without."
        )
    return files


def _row(cells: dict, file: Path, masks: Mapping[Path, str], finder: FileFinder, where: str) -> dict:
    row = {name: "" if name in MAY_BE_BLANK and is_blank(cell) else cell for name, cell in cells.items()}
    if row.get("split"):
        row["split"] = split_of(row["split"]) or row["split"]
    if row.get("mask"):
        names = [name for part in row["mask"].split("|") if (name := part.strip())]
        row["mask"] = "|".join(_mask(name, file, finder, where) for name in names)
    elif file in masks:
        row["mask"] = masks[file]
    name = f"{cells['path']}#{cells['frame']}" if cells.get("frame") else cells["path"]
    return {"id": name, to_manifest.NAME: cells["path"], **row, "path": str(file)}


def _mask(name: str, image: Path, finder: FileFinder, where: str) -> str:
    file = finder.find(name, where, masks=True)
    if file is None or file == image:
        wrong = "does not exist" if file is None else "is the image itself"
        raise UserError(f"{where}: the mask {name} {wrong}; correct the path, or empty the cell.")
    return str(file)


def _labelled(table: Table, data: Data) -> tuple[tuple[str, ...], list[dict], list[str]]:
    """Return the findings of a multi-label table (else none), its rows as a manifest has them, and notes."""
    findings = _findings(table, data.classes)
    question = len(data.classes) == 1
    answers = [_answers(cells, findings, where) for cells, where in zip(table.rows, table.places, strict=True)]
    one_hot = len(findings) > 1 and "label" not in table.columns and all(_is_one_hot(row) for row in answers)
    labelled = []
    labels: dict[str, Any]
    for cells, found in zip(table.rows, answers, strict=True):
        if one_hot:
            labels = {"label": max(found, key=found.__getitem__)}
        elif question:
            labels = _one_answer(_decided(found, data.uncertain), findings[0])
        elif findings:
            labels = _decided(found, data.uncertain)
        else:
            labels = {} if is_blank(cells.get("label", "")) else {"label": cells["label"]}
        labelled.append({name: cell for name, cell in cells.items() if name not in (*findings, "label")} | labels)
    notes = [f"Each row has exactly one of {', '.join(findings)}: they are classes of one question."] if one_hot else []
    return () if question or one_hot else findings, labelled, notes


def _findings(table: Table, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the findings of a multi-label table, in order; none where each row has one class."""
    if "label" in table.columns:
        return _findings_in_cells(table, classes)
    if classes and all(name in table.columns for name in classes):
        return tuple(classes)
    if table.findings and not classes:
        return table.findings
    could_be = [
        name
        for name in table.columns
        if name != "path" and all(cells[name].casefold() in ANSWERS for cells in table.rows)
    ]
    hint = f"set data.classes to columns of findings, such as {', '.join(could_be[:5])}" if could_be else ""
    named = f"name it: --set 'data.columns={{label: COLUMN}}', of {', '.join(table.columns)}"
    absent = [name for name in classes if name not in table.columns] if len(classes) == 1 or could_be else []
    missing = f"no column '{absent[0]}' either. {nearest(absent[0], table.columns)} " if absent else ""
    raise UserError(f"{table.path}: no column 'label'; {missing}{' or '.join(part for part in (hint, named) if part)}.")


def _findings_in_cells(table: Table, classes: Sequence[str]) -> tuple[str, ...]:
    listed = {name for cells in table.rows for name in _named(cells)} - {NONE_FOUND, ""}
    several = any("|" in cells["label"] for cells in table.rows)
    if not several and len(classes) != 1:
        return ()
    for name in classes:
        if name not in listed:
            raise UserError(f"{table.path}: no row has the finding '{name}'. {nearest(name, listed)}")
    return tuple(classes) or tuple(sorted(listed))


def _named(cells: dict[str, str]) -> list[str]:
    return [name.strip() for name in cells["label"].split("|")]


def _answers(cells: dict[str, str], findings: Sequence[str], where: str) -> dict[str, float]:
    """Return what a row says of each finding, 1, 0 or `UNKNOWN`; nothing where its cell `label` is blank."""
    if "label" not in cells:
        return {name: answer(cells[name], f"{where}: {name}") for name in findings}
    if is_blank(cells["label"]):
        return {}
    named = _named(cells)
    return {name: float(name in named) for name in findings}


def _is_one_hot(answers: Mapping[str, float]) -> bool:
    return sorted(answers.values())[-2:] == [0.0, 1.0] and sum(answers.values()) == 1


def _decided(answers: Mapping[str, float], uncertain: str) -> dict[str, float]:
    return {name: POLICIES[uncertain] if value == UNKNOWN else value for name, value in answers.items()}


def _one_answer(answers: Mapping[str, float], finding: str) -> dict[str, str]:
    """Return the class of a yes-or-no question; nothing where the answer is uncertain."""
    value = answers.get(finding, UNKNOWN)
    return {} if value == UNKNOWN else {"label": to_manifest.answers(finding)[int(value)]}
