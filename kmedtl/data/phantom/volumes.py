"""The synthetic CT as a source: NIfTI files with their masks in the cache folder, and a manifest of their slices."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kmedtl.data.manifest import Manifest, check_classes, from_rows
from kmedtl.data.phantom.ct import LABELS, Scan, scan_of
from kmedtl.data.sources.volume_rows import GRID, slices_of, with_slices
from kmedtl.errors import UserError
from kmedtl.files.cache import cache_folder, made_once
from kmedtl.files.csv_tables import read_csv, write_csv
from kmedtl.images.nifti import load_nibabel
from kmedtl.system.progress import progress

PATIENTS, FEWEST, MOST = 120, 6, 10_000
VERSION = 1  # of what is rendered
TABLE = "scans.csv"


def phantom_volumes(source: str, classes: Sequence[str], seed: int) -> Manifest:
    """Return the manifest of `phantom_ct` or `phantom_ct:PATIENTS`, a scan of each: a row a slice.

    Raises:
        UserError: a number of patients that is none, no nibabel, or a cache folder that cannot be written.
    """
    _, _, count = source.partition(":")
    if count and not (count.isdigit() and FEWEST <= int(count) <= MOST):
        raise UserError(
            f"data.source: expected phantom_ct:PATIENTS with {FEWEST} to {MOST} patients. Received: {source!r}."
        )
    check_classes(classes, LABELS, source)
    load_nibabel()
    patients = int(count or PATIENTS)

    def render_into(folder: Path) -> None:
        bar = progress(range(patients), "Rendering scans", unit="scan")
        write_csv(pd.DataFrame([_save(scan_of(number, seed), folder) for number in bar]), folder / TABLE)

    folder = made_once(cache_folder() / "phantom" / f"ct{patients}_seed{seed}_v{VERSION}", render_into)
    table = read_csv(folder / TABLE, keep_default_na=False)
    known = [row | {name: str(folder / row[name]) for name in ("path", "mask")} for row in table.to_dict("records")]
    rows = [one for row in with_slices(known) for one in slices_of(row)]
    rows = [{name: value for name, value in row.items() if name != GRID} for row in rows]
    return from_rows(rows, classes, source, synthetic=True)


def _save(scan: Scan, folder: Path) -> dict:
    """Write a scan and its mask as NIfTI, and return what is known of it."""
    between, rows, columns = scan.spacing
    affine = np.diag([-columns, -rows, between, 1.0])  # to the left, to the back, to the head
    names = {"path": f"{scan.patient}.nii.gz", "mask": f"{scan.patient}_mask.nii.gz"}
    for name, voxels in zip(names.values(), (scan.values, scan.mask), strict=True):
        image = load_nibabel().Nifti1Image(voxels.transpose(2, 1, 0), affine)
        image.header.set_xyzt_units("mm")
        (folder / name).write_bytes(gzip.compress(image.to_bytes(), 3, mtime=0))
    known = {"label": scan.label, "site": scan.scanner, "diameter": round(scan.diameter, 1), "age": scan.age}
    return {"id": names["path"], "patient": scan.patient, "sex": scan.sex, **known, **names}
