"""What the audit says of volumes and examinations, and which slice stands for all of a volume."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kmedtl.data.manifest import BETWEEN, SPACINGS
from kmedtl.recipe import Data


def stands_for_all(table: pd.DataFrame) -> np.ndarray:
    """Return which rows are compared with others and looked at for what is poor, bool (N,).

    Images are; of a volume the middle slice alone: neighbouring slices resemble each other, and the first and last of
    many volumes show nothing.
    """
    frames = pd.to_numeric(table["frame"].where(table["volume"] != "", "0")).to_numpy()
    order = pd.Series(frames, table.index).groupby(table["volume"]).rank(method="first")
    count = table.groupby("volume")["frame"].transform("size")
    return ((table["volume"] == "") | (order == (count + 1) // 2)).to_numpy()


def volume_notes(manifest: pd.DataFrame, table: pd.DataFrame, data: Data) -> list[str]:
    """Return sentences on the volumes of a source: how many, their slices and spacings, what is seen of their values.

    Args:
        manifest: every row that the source lists.
        table: those that could be read, with `SPACINGS` and `BETWEEN`.
    """
    listed, slices = (part[part["volume"] != ""] for part in (manifest, table))
    if not len(listed):
        return []
    found = []
    if len(slices):
        counts = slices.groupby("volume").size()
        spacing = " × ".join(_range(slices[name]) for name in (BETWEEN, *SPACINGS))
        found.append(
            f"Volumes: {len(counts)}, of {len(slices)} slices ({_range(counts)} each), spacing {spacing} mm (slices, "
            f"rows, columns). {_seen(data)}"
        )
    lost = sorted(set(listed["volume"]) - set(slices["volume"]))
    if lost:
        found.append(f"Volumes that cannot be read: {len(lost)} of {listed['volume'].nunique()}, first: {lost[0]}.")
    return found


def examination_notes(table: pd.DataFrame, data: Data) -> list[str]:
    """Return a sentence on the examinations of a source, and how many lack each view; none where there are none.

    Args:
        table: rows that could be read.
    """
    if not data.views:
        return []
    total = table["examination"].nunique()
    there = table.groupby("view")["examination"].nunique()
    lacking = ", ".join(f"{view} of {total - int(there.get(view, 0))}" for view in data.views)
    return [f"Examinations: {total}, of {', '.join(data.views)}. Missing: {lacking}."]


def _seen(data: Data) -> str:
    """Say which part of the values becomes black to white, and what is seen beside a slice."""
    window = data.window
    if window.center is None or window.width is None:
        values = "Black to white are the percentiles 0.5 to 99.5 of each volume's values; of CT, set data.window."
    else:
        low, high = window.center - window.width / 2, window.center + window.width / 2
        values = f"Black to white are the values {low:g} to {high:g} (data.window)."
    return values + (" Channels are the slice before, the slice and the one after." if data.neighbours else "")


def _range(values: pd.Series | Sequence[float]) -> str:
    low, high = f"{np.min(values):.4g}", f"{np.max(values):.4g}"
    return low if low == high else f"{low} to {high}"
