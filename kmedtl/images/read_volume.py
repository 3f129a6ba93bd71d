"""One way from a file, or a folder of slices, to a volume, and from a mask to labels on the same voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kmedtl.images.file_kinds import is_dicom, is_nifti
from kmedtl.images.pixels import UnreadableImageError
from kmedtl.images.volume import Plane, Stored, Volume, apart, arranged, in_mm, refusal, spacing_of

VOLUME_FORMATS = "NIfTI (.nii, .nii.gz), an enhanced multi-frame DICOM file, or a folder with one DICOM series"
OFF_GRID = 0.1  # of the smallest spacing, that a mask's corners may lie beside the image's
MOST_LABELS = 65535


def read_volume(path: str | Path, plane: Plane | None = None) -> Volume:
    """Read a volume of one of `VOLUME_FORMATS`.

    Args:
        plane: which way to slice it. None: DICOM as it was acquired; NIfTI along the axis of clearly the largest
            spacing, else axially.

    Raises:
        UnreadableImageError: with what is wrong, what was expected and what to do, in one line. It never quotes text,
            UIDs or dates of the file.
        UserError: a NIfTI file, and no nibabel.
    """
    path = Path(path)
    try:
        return arranged(_stored(path), plane)
    except MemoryError:
        raise UnreadableImageError("needs more memory than there is") from None


def read_mask_volume(path: str | Path, like: Volume) -> np.ndarray:
    """Read the labels of a volume's voxels, int32 (slices, H, W) as `like.values`.

    The mask may be of any format that `read_volume` reads, and store its axes in another order: where it lies in the
    world must be the same.

    Raises:
        UnreadableImageError: as of `read_volume`; a mask of other voxels, with how they differ; numbers that are no
            labels.
    """
    mask = read_volume(path, like.plane)
    _check_grid(mask, like)
    values = mask.values
    if values.min() < 0 or values.max() > MOST_LABELS or (values != np.round(values)).any():
        found = f"{values.min():g} to {values.max():g}" + (
            ", fractions among them" if values.max() <= MOST_LABELS else ""
        )
        remedy = "Save labels, not probabilities or an image"
        raise refusal("a mask's values", f"whole numbers from 0 to {MOST_LABELS}", found, remedy)
    return values.astype(np.int32)


def _stored(path: Path) -> Stored:
    if path.is_dir():
        return _of_folder(path)
    if is_nifti(path):
        from kmedtl.images.nifti import read_nifti

        return read_nifti(path)
    if path.is_file() and is_dicom(path):
        from kmedtl.images.dicom_series import read_frames  # pydicom is slow to import

        return read_frames(path)
    if not path.exists():
        raise refusal("not a volume", "a file or a folder", "a path with nothing at it", "Check its spelling")
    raise refusal("not a volume", VOLUME_FORMATS, f"another file, {path.suffix or 'no suffix'}", "Convert it to NIfTI")


def read_blank_volume(path: str | Path) -> Stored:
    """Return what a file's or a folder's headers say of its voxels, which are 0, uint8, and take no room.

    Raises:
        UnreadableImageError, UserError: as of `read_volume`, as far as headers tell.
    """
    path = Path(path)
    if path.is_dir():
        from kmedtl.images.dicom_series import blank_slices

        return blank_slices(series_files(path))[0]
    from kmedtl.images.nifti import read_blank

    return read_blank(path)


def _of_folder(folder: Path) -> Stored:
    from kmedtl.images.dicom_series import is_multi_frame, read_frames, read_series

    files = series_files(folder)
    return read_frames(files[0]) if len(files) == 1 and is_multi_frame(files[0]) else read_series(files)


def series_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of the one DICOM series in a folder, by their paths.

    Raises:
        UnreadableImageError: damaged files, no series, or several.
    """
    from kmedtl.images.dicom_tree import series_in

    tree = series_in(folder)
    if tree.damaged:
        raise refusal(
            "damaged slices", "DICOM files that can be read", f"{len(tree.damaged)} of {tree.found} files that cannot",
            "Copy them again: a volume without them would lack slices",
        )  # fmt: skip
    if len(tree.series) != 1:
        counts = ", ".join(str(len(files)) for files in list(tree.series.values())[:5])
        received = f"{len(tree.series)}, of {counts} files" if tree.series else f"none in {tree.found} files"
        remedy = "Read one at a time, as kmedtl.images.dicom_tree.series_in lists them"
        raise refusal(
            "several series" if tree.series else "no series", "one DICOM series in a folder", received, remedy
        )
    (files,) = tree.series.values()
    return files


def _check_grid(mask: Volume, like: Volume) -> None:
    remedy = "Resample the mask to the image's voxels (nearest neighbour)"
    if mask.values.shape != like.values.shape:
        sides = [" × ".join(str(side) for side in one.values.shape) for one in (like, mask)]
        raise refusal("a mask of another size", f"the image's {sides[0]}", sides[1], remedy)
    away = apart(mask.affine, like.affine, like.values.shape)
    limit = OFF_GRID * min(spacing_of(like.affine))
    if away > limit:
        received = f"{away:.3g} mm beside it; spacing {in_mm(mask.spacing)}, the image's {in_mm(like.spacing)}"
        raise refusal("a mask of another place", f"the image's, to within {limit:.2g} mm", received, remedy)
