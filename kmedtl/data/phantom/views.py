"""Two views of a synthetic thorax as a source: the phantom's CT projected to the front and to the side, some missing.

A nodule may hide behind the heart, the spine or the diaphragm in one of them. Nobody's body is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from kmedtl.data.manifest import Manifest, check_classes, from_rows
from kmedtl.data.phantom.ct import AIR, LABELS, scan_of
from kmedtl.data.phantom.scan import Scan, patients_asked
from kmedtl.files.cache import cache_folder, made_once
from kmedtl.files.csv_tables import read_csv, write_csv
from kmedtl.system.progress import progress

VIEWS = {"frontal": 1, "lateral": 2}  # view → axis of a scan that the rays run along
MISSING = 0.1  # of the examinations that lack the one view, and of those that lack the other; none lacks both
VERSION = 1  # of what is rendered
TABLE = "views.csv"


def phantom_views(source: str, classes: Sequence[str], seed: int) -> Manifest:
    """Return the manifest of `phantom_views` or `phantom_views:PATIENTS`, an examination of each: a row an image.

    Raises:
        UserError: a number of patients that is none, or a cache folder that cannot be written.
    """
    check_classes(classes, LABELS, source)
    patients = patients_asked(source)

    def render_into(folder: Path) -> None:
        bar = progress(range(patients), "Rendering views", unit="patient")
        rows = [row for number in bar for row in _save(scan_of(number, seed), views_of(number, seed), folder)]
        write_csv(pd.DataFrame(rows), folder / TABLE)

    folder = made_once(cache_folder() / "phantom" / f"views{patients}_seed{seed}_v{VERSION}", render_into)
    table = read_csv(folder / TABLE, keep_default_na=False)
    known = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    rows = [row | {"path": str(folder / row["path"])} for row in known]
    return from_rows(rows, classes, source, synthetic=True)


def views_of(number: int, seed: int) -> tuple[str, ...]:
    """Return the views that were taken of a person."""
    drawn = np.random.default_rng([seed, number, 4]).random() // MISSING  # 4: no other draw of the person
    return tuple(view for place, view in enumerate(VIEWS) if drawn != place)


def projected(scan: Scan, view: str) -> np.ndarray:
    """Return a view of a scan, uint8 (H, W) of square pixels: rays add up what they cross, and air is black.

    The head is at the top; the patient's left, or back, is at the right.
    """
    crossed = np.maximum(scan.values.astype(np.float32) - AIR, 0).sum(axis=VIEWS[view])[::-1]
    low, high = np.percentile(crossed, (1, 99))
    levels = np.clip((crossed - low) / (high - low), 0, 1) * 255
    between, pixel, _ = scan.spacing
    size = levels.shape[1], round(len(levels) * between / pixel)
    return np.asarray(Image.fromarray(np.rint(levels).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR))


def _save(scan: Scan, views: Sequence[str], folder: Path) -> list[dict]:
    """Write the views of a scan as PNG, and return what is known of each."""
    names = {"patient": scan.patient, "examination": scan.patient, "label": scan.label}
    rows = []
    for view in views:
        name = f"{scan.patient}_{view}.png"
        Image.fromarray(projected(scan, view)).save(folder / name)
        rows.append({"id": name, "path": name, "view": view, **names, **scan.known})
    return rows
