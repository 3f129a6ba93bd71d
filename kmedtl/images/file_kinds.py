"""Which files are images, by their names; and DICOM files, whatever they are called. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path, PurePath

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
SUFFIXES = DICOM_SUFFIXES | {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".j2k", ".jpx", ".j2c",
    ".pgm", ".ppm", ".pbm", ".pnm",
}  # fmt: skip
NIFTI_SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: Path) -> bool:
    """Tell by the suffix, in any case."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def stem_of(file: PurePath) -> str:
    """Return the name of a file without its suffix, `.nii.gz` being one."""
    return PurePath(file.stem).stem if file.name.lower().endswith(".nii.gz") else file.stem


def is_dicom(path: Path) -> bool:
    """Tell by the suffix, or by the magic bytes for the nameless files of archives; what cannot be opened is none."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
