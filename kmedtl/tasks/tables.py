"""Tables of predictions and the columns that a manifest adds to them. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kmedtl.data.delimited import read_text_table
from kmedtl.errors import UserError
from kmedtl.tasks.task import TableSettings

KEYS = ("id", "image", "image_id", "filename", "file", "path")  # columns of a manifest that name its images


def judged_rows(path: Path, settings: TableSettings, holds: str) -> pd.DataFrame:
    """Return the rows of the split that is judged, of a table that holds no classes; every cell is text.

    Args:
        holds: what the table holds, for the message.

    Raises:
        UserError: no such file, no row of the split, or a setting that asks for classes.
    """
    for option in ("threshold", "finding", "ordered"):
        if getattr(settings, option) not in (None, "", False):
            raise UserError(f"--{option}: {path} holds {holds}; it is for classes and findings.")
    listed = read_text_table(path)
    table = pd.DataFrame(listed.rows, columns=list(listed.columns))
    column = next((name for name in map(str, table) if name.lower() == "split"), None)
    if settings.split and column:
        table = table[table[column] == settings.split].reset_index(drop=True)
    if table.empty:
        raise UserError(f"{path}: no rows of the split '{settings.split}'; name another by --split, or '' for all.")
    return table


def with_manifest(ids: Sequence[str], groups: pd.DataFrame, manifest: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return groups with the columns of a manifest, by the images' ids, and notes; a column that is there stays.

    Raises:
        UserError: a manifest that cannot be read, names no images, one twice, or none of the predictions'.
    """
    listed = read_text_table(manifest)
    lower = {name.lower(): name for name in listed.columns}
    key = next((lower[name] for name in KEYS if name in lower), None)
    if key is None:
        raise UserError(
            f"{manifest}: expected a column 'id' with the ids of the predictions. Found: {', '.join(listed.columns)}."
        )
    table = pd.DataFrame(listed.rows, columns=list(listed.columns))
    twice = table.loc[table[key].duplicated(), key]
    if len(twice):
        raise UserError(f"{manifest}: {key} '{twice.iloc[0]}' is in two rows; remove one.")
    known = table.set_index(key)
    there = pd.Index(ids).isin(known.index)
    if not there.any():
        raise UserError(
            f"{manifest}: {key}: has none of the predictions' ids, such as '{ids[0]}'. Received: "
            f"'{table[key].iloc[0] if len(table) else ''}'; name the images alike in both."
        )
    new = known.reindex(list(ids), fill_value="").reset_index(drop=True)
    absent = int((~there).sum())
    notes = [f"{absent} of {len(there)} images are not in {manifest.name}; its columns are empty for them."]
    return groups.join(new[[name for name in new if name not in groups]]), notes if absent else []
