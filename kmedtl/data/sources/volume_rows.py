"""The slices of volumes as rows of a manifest, for whatever source lists volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kmedtl.images.file_kinds import is_nifti
from kmedtl.images.nifti import load_nibabel
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.slices import SliceGrid, is_volume, slice_grid
from kmedtl.images.workers import Failure, Job, in_workers
from kmedtl.system.progress import progress

NAME = "\0name"  # of the file in its source, where a row's id is another
SECONDS = 60.0  # for the headers of a series
GRID = "\0slices"  # of a row: the slices of its volume, or why they are not known


def with_slices(rows: Sequence[dict]) -> list[dict]:
    """Return the rows; those of volumes with the column `volume`, and `GRID` with what their headers say.

    Raises:
        UserError: no nibabel.
    """
    paths = list(dict.fromkeys(row["path"] for row in rows if is_volume(row["path"])))
    if not paths:
        return list(rows)
    if any(is_nifti(Path(path)) for path in paths):
        load_nibabel()
    job = Job(_grid, SECONDS, ("kmedtl.images.dicom_series",))
    series = [path for path in paths if not is_nifti(Path(path))]
    grids = dict(zip(series, in_workers(job, series, "Reading headers of series"), strict=True))
    files = [path for path in paths if path not in grids]
    grids |= {path: _grid(path) for path in progress(files, "Reading headers of volumes", unit="file", delay=2)}
    return [
        row | {"volume": row.get("volume") or row.get(NAME, row["id"]), GRID: grids[row["path"]]}
        if row["path"] in grids
        else row
        for row in rows
    ]


def slices_of(row: dict) -> list[dict]:
    """Return a row for each slice of a volume's row, or the slice that the row names; `position` is in mm.

    Of a volume that cannot be read there is one row, whose decoding will say why.
    """
    grid = row[GRID]
    if not isinstance(grid, SliceGrid):
        return [row | {"frame": row.get("frame") or "0"}]
    if row.get("frame"):
        return [row | {"position": int(row["frame"]) * grid.spacing}]
    return [
        row | {"id": f"{row['id']}#{index}", "frame": str(index), "position": index * grid.spacing}
        for index in range(grid.count)
    ]


def _grid(path: str) -> SliceGrid | Failure:
    try:
        return slice_grid(path)
    except UnreadableImageError as error:
        return Failure(str(error))
