"""The one currency of data: a table with a row per image. Every source becomes one; the rest reads only it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kmedtl.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Manifest:
    """Images and what is known of them.

    Attributes:
        table: columns `id` (unique text), `path`, `label` (class index), `patient`, `split` ("" or one of
            `SPLITS`), `mask` and `site` ("" where unknown), then whatever else the source knows.
        classes: class names in the order of their index; of two, the second is the finding.
        source: what the user asked for, as text.
        synthetic: True where no image shows a person.
        patients_known: False where each image had to count as a patient of its own.
        ignored: files of the source that are not images.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    source: str
    synthetic: bool = False
    patients_known: bool = True
    ignored: int = 0


def from_rows(rows: Sequence[dict], classes: Sequence[str], source: str, **facts: bool | int) -> Manifest:
    """Check rows (with the class's *name* as `label`) and make them a manifest.

    Args:
        classes: the wanted class names in order; empty: those found, in alphabetical order.

    Raises:
        UserError: no rows, one class only, an unknown class or split, a file or id twice, a name that is not UTF-8.
    """
    if not rows:
        raise UserError(f"{source}: no images found; expected PNG, JPEG, TIFF, BMP, GIF or DICOM files.")
    table = pd.DataFrame(rows)
    for column in ("split", "mask", "site"):
        table[column] = table.get(column, pd.Series("", index=table.index)).fillna("").astype(str)
    found = sorted(set(table["label"]))
    classes = tuple(classes) or tuple(found)
    for label in found:
        if label not in classes:
            where = table.loc[table["label"] == label, "id"].iloc[0]
            raise UserError(
                f"{source}: {where} has the label '{label}', which is not one of the classes "
                f"({', '.join(classes)}); correct the label or set data.classes."
            )
    if len(found) < 2:
        raise UserError(f"{source}: found only the class '{found[0]}'; a classifier needs at least two.")
    if len(classes) != 2:
        raise UserError(f"{source}: expected two classes. Received: {', '.join(classes)}; set data.classes.")
    for split in set(table["split"]) - {"", *SPLITS}:
        raise UserError(f"{source}: unknown split '{split}'; expected {', '.join(SPLITS)} or nothing.")
    for column in ("record", "sha256", "group"):
        if column in table:
            raise UserError(f"{source}: the column '{column}' is kmedtl's own; rename it.")
    for name in table["path"]:
        if name != name.encode(errors="replace").decode():
            raise UserError(f"{source}: the file name {name!r} is not valid UTF-8; rename the file.")
    places = table["path"].map(os.path.realpath)
    if places.duplicated().any():
        raise UserError(f"{source}: {table.loc[places.duplicated(), 'path'].iloc[0]} is listed twice.")
    if table["id"].duplicated().any():
        raise UserError(f"{source}: {table.loc[table['id'].duplicated(), 'id'].iloc[0]} is listed twice.")
    table["label"] = table["label"].map(classes.index).astype("int64")
    table["patient"] = table["patient"].astype(str)
    return Manifest(table.reset_index(drop=True), classes, source, **facts)


def write(manifest: Manifest, path: Path) -> None:
    """Write the table as CSV with class names as labels, ready to be edited and used as a source."""
    table = manifest.table.assign(label=[manifest.classes[label] for label in manifest.table["label"]])
    table.to_csv(path, index=False)
