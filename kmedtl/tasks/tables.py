"""Tables of predictions and the columns that a manifest adds to them. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kmedtl.data.delimited import read_text_table
from kmedtl.errors import UserError

KEYS = ("id", "image", "image_id", "filename", "file", "path")  # columns of a manifest that name its images


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
