"""The audit as a page: what was counted as bars, what was found with its pictures."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import kmedtl
from kmedtl.audit.audit import PLACES, Audit
from kmedtl.data import contact_sheet
from kmedtl.data.manifest import Manifest
from kmedtl.data.store import Store
from kmedtl.files import html
from kmedtl.files.json_files import write_json

GROUPS = 12  # of each kind with thumbnails; the rest is in audit.json
MEMBERS = 4  # thumbnails a group
SIDE = 112  # pixels of a thumbnail


def write(audit: Audit, store: Store, manifest: Manifest, table: pd.DataFrame, folder: Path) -> None:
    """Write `audit.json` and the self-contained `audit.html` into `folder`.

    Args:
        table: the readable images of the manifest, with `record`.
    """
    write_json(folder / "audit.json", asdict(audit))
    groups = {
        "Leakage: in two of the given splits": audit.leaks,
        "One picture, two labels": audit.conflicts,
        "Copies, byte for byte": audit.duplicates,
        "The same picture in different files": audit.near_duplicates,
    }
    shown = {title: [group[:MEMBERS] for group in found[:GROUPS]] for title, found in groups.items()}
    html.write(
        folder / "audit.html",
        Path(__file__).with_name("audit.html"),
        audit=audit,
        groups={title: (len(found), shown[title]) for title, found in groups.items()},
        thumbnails=_thumbnails(
            {name for found in shown.values() for group in found for name in group} - set(audit.burned_in), store, table
        ),
        samples=contact_sheet.of_store(store, manifest, table, audit.burned_in),
        address=html.address,
        places=PLACES,
        version=kmedtl.__version__,
    )


def _thumbnails(names: Collection[str], store: Store, table: pd.DataFrame) -> dict[str, str]:
    """Return id → a PNG as a data address, for ids that could be read."""
    record_of = table.set_index("id")["record"]
    wanted = {int(record_of[name]): name for name in names}
    if not wanted:
        return {}
    pixels = store.images().take(max(wanted) + 1).as_numpy_iterator()
    return {wanted[record]: _png(image) for record, image in enumerate(pixels) if record in wanted}


def _png(pixels: np.ndarray) -> str:
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return html.address(file.getvalue())
