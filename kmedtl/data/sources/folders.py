"""Folders: a folder a class, or a tree of any depth with its labels in a table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from kmedtl.data.manifest import SPLIT_NAMES, Manifest
from kmedtl.data.read_image import SUFFIXES, is_dicom
from kmedtl.data.sources import dicom_tags, rows, tables
from kmedtl.errors import UserError
from kmedtl.recipe import Data
from kmedtl.system.home import expanded


def from_class_folders(root: Path, data: Data) -> Manifest:
    """Read `CLASS/…` or `train|val|test/CLASS/…`; deeper folders belong to their class.

    Raises:
        UserError: no images in class folders, split folders beside others, or folders that are called after patients.
    """
    found, ignored = [], 0
    tops = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not _is_hidden(entry.name))
    divided = any(name.lower() in SPLIT_NAMES for name in tops)
    others = [name for name in tops if name.lower() not in SPLIT_NAMES]
    if divided and others:
        raise UserError(f"{root}: found split folders and '{others[0]}' side by side; move it away.")
    for file in _files(root):
        *folders, name = file.relative_to(root).parts
        split = SPLIT_NAMES.get(folders.pop(0).lower(), "") if divided and folders else ""
        if not folders or any(map(_is_hidden, (*folders, name))) or not _is_image(file):
            ignored += 1
            continue
        found.append({"id": file.relative_to(root).as_posix(), "path": str(file), "label": folders[0], "split": split})
    if not found:
        raise UserError(
            f"{root}: no images in class folders; expected {root.name}/CLASS/IMAGE or {root.name}/train|val|test/CLASS/"
            "IMAGE, or --labels with a table that names them."
        )
    found = dicom_tags.add(found)
    _refuse_people(found, root)
    return rows.finish(found, data, str(root), ignored=ignored)


def from_tree(root: Path, data: Data) -> Manifest:
    """Read every image below `root`, labelled by the table `data.labels`.

    Raises:
        UserError: a table that cannot be read, or that labels none of the images.
    """
    files = list(_files(root))
    images = [file for file in files if not _is_hidden(file.name) and _is_image(file)]
    found = dicom_tags.add([{"id": file.relative_to(root).as_posix(), "path": str(file)} for file in images])
    key, findings, labels = tables.read_labels(expanded(data.labels).absolute(), data)
    found = [row | labels.get(row["id"] if key == "path" else row.get(key, ""), {}) for row in found]
    return rows.finish(found, data, str(root), findings, ignored=len(files) - len(images))


def _refuse_people(found: Sequence[dict], root: Path) -> None:
    """Refuse an archive whose folders are people: their names would become classes, and be written everywhere."""
    patients: dict[str, set[str]] = {}
    for row in found:
        patients.setdefault(row.get("label", ""), set()).add(row.get("PatientID", ""))
    if len(patients) > 1 and all(len(people) == 1 and "" not in people for people in patients.values()):
        raise UserError(
            f"{root}: each of its {len(patients)} class folders holds the DICOM files of one patient; are they "
            "patients rather than classes? Name the classes in a table, with --labels."
        )


def _is_image(file: Path) -> bool:
    """Tell by the suffix, and for others by the magic bytes of DICOM."""
    return file.suffix.lower() in SUFFIXES or (file.is_file() and is_dicom(file))


def _refuse(error: OSError) -> None:
    """What `os.walk` cannot open it would leave out without a word."""
    raise error


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _files(folder: Path) -> Iterator[Path]:
    """Every file below `folder` in a fixed order; links to folders are followed, but no folder is entered twice."""
    entered = set()
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        place = os.path.realpath(parent)
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names))
