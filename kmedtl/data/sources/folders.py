"""Folders: a folder a class, or a tree of any depth with its labels in a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kmedtl.data.manifest import SPLIT_NAMES, Manifest
from kmedtl.data.read_image import SUFFIXES, is_dicom
from kmedtl.data.sources import dicom_tags, rows, tables
from kmedtl.errors import UserError
from kmedtl.recipe import Data


def from_class_folders(root: Path, data: Data) -> Manifest:
    """Read `CLASS/…` or `train|val|test/CLASS/…`; deeper folders belong to their class.

    Raises:
        UserError: no images in class folders, or split folders beside others.
    """
    found, ignored = [], 0
    folders = _subfolders(root)
    parts = [(SPLIT_NAMES[f.name.lower()], f) for f in folders if f.name.lower() in SPLIT_NAMES]
    if parts and len(parts) < len(folders):
        others = [f.name for f in folders if f.name.lower() not in SPLIT_NAMES]
        raise UserError(f"{root}: found split folders and '{others[0]}' side by side; move it away.")
    for split, part in parts or [("", root)]:
        for class_folder in _subfolders(part):
            for file in _files(class_folder):
                if not _is_image(file):
                    ignored += 1
                    continue
                name = file.relative_to(root).as_posix()
                found.append({"id": name, "path": str(file), "label": class_folder.name, "split": split})
    if not found:
        raise UserError(
            f"{root}: no images in class folders; expected {root.name}/CLASS/IMAGE or {root.name}/train|val|test/CLASS/"
            "IMAGE, or --labels with a table that names them."
        )
    return rows.finish(found, data, str(root), ignored=ignored)


def from_tree(root: Path, data: Data) -> Manifest:
    """Read every image below `root`, labelled by the table `data.labels`.

    Raises:
        UserError: a table that cannot be read, or that labels none of the images.
    """
    files = list(_files(root))
    images = [file for file in files if _is_image(file)]
    found = dicom_tags.add([{"id": file.relative_to(root).as_posix(), "path": str(file)} for file in images])
    key, findings, labels = tables.read_labels(Path(data.labels).expanduser().absolute(), data)
    found = [row | labels.get(row["id"] if key == "path" else row.get(key, ""), {}) for row in found]
    return rows.finish(found, data, str(root), findings, ignored=len(files) - len(images))


def _is_image(file: Path) -> bool:
    """Tell by the suffix, and for others by the magic bytes of DICOM."""
    return file.suffix.lower() in SUFFIXES or (file.is_file() and is_dicom(file))


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
