"""The figures of masks as columns of predictions.csv, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def wide(table: pd.DataFrame, structures: Sequence[str]) -> pd.DataFrame:
    """Return a row an image: the figures of each structure, `STRUCTURE.FIGURE`; no name holds a dot."""
    parts = []
    for structure in structures:
        part = table[table["structure"] == structure].drop(columns=["image", "structure"]).reset_index(drop=True)
        parts.append(part.add_prefix(f"{structure}."))
    return pd.concat(parts, axis=1)


def long(table: pd.DataFrame, structures: Sequence[str]) -> pd.DataFrame:
    """Return what `wide` was made of.

    Raises:
        KeyError: a structure without its columns.
    """
    parts = []
    for structure in structures:
        own = [name for name in map(str, table) if name.startswith(f"{structure}.")]
        if not own:
            raise KeyError(f"{structure}.dice")
        part = table[own].set_axis([name[len(structure) + 1 :] for name in own], axis=1).reset_index(drop=True)
        parts.append(part.assign(image=np.arange(len(part)), structure=structure))
    return pd.concat(parts, ignore_index=True)
