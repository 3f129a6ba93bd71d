"""The one currency of data: a table with a row per image. Every source becomes one; the rest reads only it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from kmedtl.errors import UserError, nearest
from kmedtl.files.csv_tables import write_csv
from kmedtl.images.read_image import FORMAT_NAMES
from kmedtl.recipe.data import last_part

SPLITS = ("train", "val", "test")
# What becomes of labels: classes that each have an image; classes, of which some may have none; classes where there are
# any; texts that nobody asks for.
Labels = Literal["needed", "some", "wanted", "unasked"]
BLANK = ("", "nan", "none", "na", "n/a", "<na>", "unknown")  # cells in which nothing is known
TEXTS = ("split", "mask", "site", "frame", "volume", "examination")  # columns that are "" where nothing is known
SIZES = ("file_width", "file_height")  # of a file's image, in pixels
SPACINGS = ("file_row_spacing", "file_column_spacing")  # of its rows and its columns, in mm; 0: unknown
BETWEEN = "file_slice_spacing"  # to the next slice of the volume, in mm; 0: it is no slice
# Columns that kmedtl adds while it works.
OWN = ("record", "sha256", "twin", "poor", "stratum", *SIZES, *SPACINGS, BETWEEN)
ORPHANS = "Masks without their image"  # what a note on them begins with
UNKNOWN = -1.0  # the target of an uncertain label: the loss leaves it out
UNKNOWN_MASK = 255  # the same in masks, whose pixels are 0 or 1 elsewhere, uint8


@dataclass(frozen=True)
class Manifest:
    """Images and what is known of them.

    Attributes:
        table: columns `id` (unique text), `path`, `patient`, `split` ("" or one of `SPLITS`), `mask` (paths of several
            are joined by `|`), `site` and `frame` ("" where unknown; of `frame`: the middle one), `volume` ("" of what
            is no slice of one; slices have their index as `frame`, and `position`, mm from the first), `examination`
            ("" of what is answered by itself; images that are answered together have it in common, and of each `view`
            is one of `data.views`), `stratum` (int, what splits are balanced by), the labels, and whatever else the
            source knows. Labels are one column `label` (class index), or with `multi_label` a column for each class (1,
            0, or `UNKNOWN`).
        classes: class names in the order of their index; of two, the second is the finding.
        source: what the user asked for, as text.
        multi_label: an image may show several of the classes, or none.
        synthetic: True where no image shows a person.
        patients_known: False where each image had to count as a patient of its own.
        ignored: files of the source that are not images.
        masks: files of the source that are masks of images.
        unlabelled: images of the source that have no label, or only an uncertain one.
        set_aside: images that `data.limit` left out.
        hidden: columns of DICOM rows that were left out, since they may name a person.
        notes: sentences on how the source was read, where that is not plain.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    source: str
    multi_label: bool = False
    synthetic: bool = False
    patients_known: bool = True
    ignored: int = 0
    masks: int = 0
    unlabelled: int = 0
    set_aside: int = 0
    hidden: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def source_name(self) -> str:
        """What outputs may call the source: of a path its last part, as folders above may name people or projects."""
        return last_part(self.source)

    @property
    def findings(self) -> tuple[str, ...]:
        """What an image may show: of two classes that exclude each other the second, else each class."""
        return self.classes[-1:] if len(self.classes) == 2 and not self.multi_label else self.classes

    def targets(self, table: pd.DataFrame) -> np.ndarray:
        """Return float32 (N, findings) of a part of the table: 1, 0 or `UNKNOWN`."""
        if self.multi_label:
            return table[list(self.classes)].to_numpy(np.float32)
        labels = table["label"].to_numpy()
        return np.stack([labels == self.classes.index(name) for name in self.findings], axis=1).astype(np.float32)

    def members(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return for each class which rows of a part of the table belong to it, bool (N,)."""
        if self.multi_label:
            return {name: table[name].to_numpy() == 1 for name in self.classes}
        return {name: table["label"].to_numpy() == label for label, name in enumerate(self.classes)}


def classes_of(manifest: Manifest, table: pd.DataFrame) -> list[str]:
    """Return the classes of each image, with commas between."""
    members = manifest.members(table)
    return [", ".join(name for name, rows in members.items() if rows[row]) for row in range(len(table))]


def from_rows(
    rows: Sequence[dict], classes: Sequence[str], source: str, multi_label: bool = False, **facts: Any
) -> Manifest:
    """Check rows and make them a manifest.

    Args:
        rows: `label` is the class's *name*; with `multi_label` there is instead a number under each class's name.
        classes: the wanted class names in order; empty: those found, in alphabetical order.

    Raises:
        UserError: no rows, an unknown class or split, a file or id twice, a name that is not UTF-8.
    """
    if not rows:
        raise UserError(f"{source}: no labelled images found; expected {FORMAT_NAMES} files.")
    _check_names([row["path"] for row in rows], source)
    table = pd.DataFrame(rows)
    for column in TEXTS:
        table[column] = table.get(column, pd.Series("", index=table.index)).fillna("").astype(str)
    _check_columns(table, source)
    _check_files(table, source)
    if multi_label:
        classes = tuple(classes)
        table["stratum"] = _rarest(table[list(classes)])
    else:
        classes = tuple(classes) or _in_order(set(table["label"]))
        _check_labels(table, classes, source)
        table["label"] = table["label"].map(classes.index).astype("int64")
        table["stratum"] = table["label"]
    table["patient"] = table["patient"].astype(str)
    return Manifest(table.reset_index(drop=True), classes, source, multi_label, **facts)


def _in_order(labels: set[str]) -> tuple[str, ...]:
    """Return class names in alphabetical order, numbers by their value, and of a yes-or-no question `no X` before X."""
    if are_numbers(labels):
        return tuple(sorted(labels, key=float))
    return tuple(sorted(labels, key=lambda label: (f"no {label}" in labels, label)))


def are_numbers(labels: Iterable[str]) -> bool:
    """Tell whether class names are whole numbers, which have an order."""
    return all(re.fullmatch(r"-?[0-9]+", label) for label in labels)


def check_order(manifest: Manifest, named: Sequence[str], setting: str, names: str = "data.classes") -> None:
    """Refuse grades whose order nobody gave: that of the alphabet is none.

    Args:
        named: the grades in order; empty: nobody named them.
        setting: what asks for an order.
        names: the setting that gives it.

    Raises:
        UserError: nobody named them, and their names are no numbers.
    """
    if not named and not are_numbers(manifest.classes):
        raise UserError(
            f"{setting}: the names of the classes are no numbers, so their order is not known; name them from the "
            f"lowest grade to the highest: --set '{names}=[…]', of {', '.join(manifest.classes)}."
        )


def labelled_by(manifest: Manifest, column: str, setting: str, classes: Sequence[str] = ()) -> Manifest:
    """Return the images of which a column names a class, with that as their label.

    Args:
        setting: what names the column, for messages.
        classes: in order; empty: those found, in alphabetical order, numbers by their value.

    Raises:
        UserError: no such column, fewer than two classes in it, or one that is not among `classes`.
    """
    table = manifest.table
    if column not in table:
        raise UserError(f"{setting}: {manifest.source} has no column '{column}'. {nearest(column, table.columns)}")
    names = table[column].fillna("").astype(str).str.strip().str.replace(r"^(-?[0-9]+)\.0$", r"\1", regex=True)
    known = ~names.str.casefold().isin(BLANK)
    found = _in_order(set(names[known]))
    if len(found) < 2:
        listed = f"only '{found[0]}'" if found else "nothing"
        raise UserError(f"{setting}: expected two classes or more in the column '{column}'. Received: {listed}.")
    classes = tuple(classes) or found
    for name in set(found) - set(classes):
        raise UserError(f"{setting}: '{name}' in the column '{column}' is none of {', '.join(classes)}.")
    codes = names[known].map(classes.index).astype("int64")
    kept = table[known].drop(columns=list(manifest.classes) if manifest.multi_label else "label")
    return replace(
        manifest,
        table=kept.assign(label=codes, stratum=codes).reset_index(drop=True),
        classes=classes,
        multi_label=False,
        unlabelled=manifest.unlabelled + int((~known).sum()),
    )


def check_classes(wanted: Sequence[str], found: Collection[str], source: str) -> None:
    """Refuse classes that a source does not have, before anything of it is rendered or decoded.

    Raises:
        UserError: the first of `wanted` that is not among `found`.
    """
    for name in wanted:
        if name not in found:
            raise UserError(f"{source}: no image of the class '{name}'. {nearest(name, found)} Correct data.classes.")


def check_every_class(manifest: Manifest) -> None:
    """Refuse images that exclude each other and are all of one class, or none of one of the classes.

    Raises:
        UserError: the class.
    """
    if manifest.multi_label:
        return
    found = [name for name, rows in manifest.members(manifest.table).items() if rows.any()]
    if len(found) < 2:
        raise UserError(f"{manifest.source}: found only the class '{found[0]}'; a classifier needs at least two.")
    check_classes(manifest.classes, found, manifest.source)


def _check_columns(table: pd.DataFrame, source: str) -> None:
    for split in set(table["split"]) - {"", *SPLITS}:
        raise UserError(f"{source}: unknown split '{split}'; expected {', '.join(SPLITS)} or nothing.")
    for column in OWN:
        if column in table:
            raise UserError(f"{source}: the column '{column}' is kmedtl's own; rename it.")
    for frame in set(table["frame"]):
        if frame and not re.fullmatch(r"[0-9]{1,6}", frame):
            raise UserError(f"{source}: expected a frame's number from 0 on, or nothing. Received: '{frame}'.")


def _check_names(names: Iterable[str], source: str) -> None:
    for name in names:
        if name != name.encode(errors="replace").decode() or re.search(r"[\x00-\x1f\x7f]", name):
            raise UserError(f"{source}: the file name {name!r} holds control characters or no UTF-8; rename the file.")


def _check_files(table: pd.DataFrame, source: str) -> None:
    # Bytes, since what a link points to may not be UTF-8.
    places = pd.Series(
        [
            os.fsencode(f"{os.path.realpath(path)}#{frame}")
            for path, frame in zip(table["path"], table["frame"], strict=True)
        ],
        dtype=object,
    )
    for twice in (places.duplicated(), table["id"].duplicated()):
        if twice.any():
            raise UserError(f"{source}: {table.loc[twice, 'id'].iloc[0]}: its file or id is in two rows; remove one.")


def _check_labels(table: pd.DataFrame, classes: tuple[str, ...], source: str) -> None:
    for label in sorted(set(table["label"])):
        if label not in classes:
            where = table.loc[table["label"] == label, "id"].iloc[0]
            raise UserError(
                f"{source}: {where} has the label '{label}', which is not one of the classes. "
                f"{nearest(label, classes)} Correct the label, or set data.classes, to [] for all that there are."
            )


def _rarest(targets: pd.DataFrame) -> np.ndarray:
    """Return for each image the index of its rarest finding, or the number of classes where it has none."""
    if not targets.shape[1]:
        return np.zeros(len(targets), int)
    present = targets.to_numpy() == 1
    rank = np.where(present, present.sum(axis=0), np.iinfo(int).max)
    return np.where(present.any(axis=1), rank.argmin(axis=1), present.shape[1])


def write(manifest: Manifest, path: Path) -> None:
    """Write the table as CSV with class names as labels, ready to be edited and used as a source."""
    table = manifest.table.drop(columns=[name for name in OWN if name in manifest.table])
    if not manifest.patients_known:
        table = table.assign(patient="")  # so that whoever reads it knows
    if manifest.multi_label:
        for name in manifest.classes:  # as CheXpert writes it
            table[name] = table[name].map({1.0: "1", 0.0: "0", UNKNOWN: "-1"})
    else:
        table["label"] = [manifest.classes[label] for label in table["label"]]
    unfinished = path.with_name(f".{path.name}.unfinished")
    write_csv(table, unfinished)
    unfinished.replace(path)
