"""Synthetic volumes as sources: NIfTI files with their masks in the cache folder, and a manifest of their slices."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from kmedtl.data.manifest import Manifest, check_classes, from_rows
from kmedtl.data.phantom import brain, ct, liver
from kmedtl.data.phantom.scan import Scan, patients_asked
from kmedtl.data.sources.volume_rows import GRID, slices_of, with_slices
from kmedtl.files.cache import cache_folder, made_once
from kmedtl.files.csv_tables import read_csv, write_csv
from kmedtl.images.nifti import load_nibabel
from kmedtl.system.progress import progress

VERSION = 1  # of what is rendered
TABLE = "scans.csv"


@dataclass(frozen=True)
class Phantom:
    """A kind of synthetic volume: `scan_of` takes the number of a person and a seed."""

    labels: tuple[str, ...]
    scan_of: Callable[[int, int], Scan]


PHANTOMS: Mapping[str, Phantom] = MappingProxyType(
    {
        "phantom_ct": Phantom(ct.LABELS, ct.scan_of),
        "phantom_liver": Phantom(liver.LABELS, liver.scan_of),
        "phantom_brain": Phantom(brain.LABELS, brain.scan_of),
    }
)


def phantom_volumes(source: str, classes: Sequence[str], seed: int) -> Manifest:
    """Return the manifest of one of `PHANTOMS`, or of `NAME:PATIENTS`, a scan of each: a row a slice.

    Raises:
        UserError: a number of patients that is none, no nibabel, or a cache folder that cannot be written.
    """
    name = source.partition(":")[0]
    phantom, patients = PHANTOMS[name], patients_asked(source)
    check_classes(classes, phantom.labels, source)
    load_nibabel()

    def render_into(folder: Path) -> None:
        bar = progress(range(patients), "Rendering scans", unit="scan")
        write_csv(pd.DataFrame([_save(phantom.scan_of(number, seed), folder) for number in bar]), folder / TABLE)

    folder = made_once(cache_folder() / "phantom" / f"{name}{patients}_seed{seed}_v{VERSION}", render_into)
    table = read_csv(folder / TABLE, keep_default_na=False)
    known = [row | {one: str(folder / row[one]) for one in ("path", "mask")} for row in table.to_dict("records")]
    rows = [one for row in with_slices(known) for one in slices_of(row)]
    rows = [{one: value for one, value in row.items() if one != GRID} for row in rows]
    return from_rows(rows, classes or phantom.labels, source, synthetic=True)


def _save(scan: Scan, folder: Path) -> dict:
    """Write a scan and its mask as NIfTI, and return what is known of it."""
    between, rows, columns = scan.spacing
    affine = np.diag([-columns, -rows, between, 1.0])  # to the left, to the back, to the head
    names = {"path": f"{scan.patient}.nii.gz", "mask": f"{scan.patient}_mask.nii.gz"}
    for name, voxels in zip(names.values(), (scan.values, scan.mask), strict=True):
        image = load_nibabel().Nifti1Image(voxels.transpose(2, 1, 0), affine)
        image.header.set_xyzt_units("mm")
        (folder / name).write_bytes(gzip.compress(image.to_bytes(), 3, mtime=0))
    return {"id": names["path"], "patient": scan.patient, "label": scan.label, **scan.known, **names}
