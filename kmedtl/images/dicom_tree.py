"""Which files of a folder are which DICOM series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import config
from pydicom.uid import UID

from kmedtl.images.dicom import read_tags
from kmedtl.images.file_kinds import is_dicom
from kmedtl.system.progress import progress

_TAGS = ("SOPClassUID", "SeriesInstanceUID", "Rows")


@dataclass(frozen=True)
class DicomTree:
    """Every file below a folder, hidden ones aside; `found` says where each of them went.

    Attributes:
        series: number, from 1 on → the image files of one SeriesInstanceUID, by path. The UID itself is a patient's.
        damaged: DICOM files that do not say what they are.
        without_pixels: DICOM files that are no images, such as reports, plans and the DICOMDIR.
        others: files that are no DICOM.
    """

    series: Mapping[int, tuple[Path, ...]]
    damaged: tuple[Path, ...]
    without_pixels: tuple[Path, ...]
    others: tuple[Path, ...]

    @property
    def found(self) -> int:
        """How many files there are."""
        images = sum(len(files) for files in self.series.values())
        return images + len(self.damaged) + len(self.without_pixels) + len(self.others)


def series_in(folder: Path) -> DicomTree:
    """Return the DICOM series at any depth below a folder, numbered in the order of their first file's path.

    Shows a progress bar: the tags of each file are read.
    """
    series: dict[str, list[Path]] = {}
    damaged, without_pixels, others = [], [], []
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder)))
    for path in progress(files, "Looking for series", unit="file"):
        if not is_dicom(path):
            others.append(path)
            continue
        tags = read_tags(str(path), _TAGS)
        if tags["SOPClassUID"] and "Image Storage" not in _kind(tags["SOPClassUID"]) and not tags["Rows"]:
            without_pixels.append(path)
        elif tags["SeriesInstanceUID"] and tags["Rows"]:
            series.setdefault(tags["SeriesInstanceUID"], []).append(path)
        else:
            damaged.append(path)
    numbered = {number: tuple(paths) for number, paths in enumerate(series.values(), 1)}
    return DicomTree(numbered, tuple(damaged), tuple(without_pixels), tuple(others))


def _kind(uid: str) -> str:
    """Return the name of a SOP class, or what stands for it: nothing is told of what no UID can be."""
    return UID(uid, config.IGNORE).name


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
