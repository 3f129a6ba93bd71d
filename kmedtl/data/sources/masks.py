"""Which files are masks of which images: by the names of folders and files, and by their few values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from kmedtl.data.sources.names import containers, is_mask_folder, masked_stem
from kmedtl.images.file_kinds import SUFFIXES, is_dicom
from kmedtl.images.read_image import DECODING_ERRORS, FORMATS
from kmedtl.images.workers import Failure, Job, in_workers

FEW = 32  # values of a mask: background and structures; a JPEG's own noise lies within `NOISE` of the two ends
NOISE = 24
SECONDS = 20.0  # for one file
SAMPLE = 12  # files of a folder that is called like masks
MAX_SIDE = 512  # pixels a side that values are counted in


@dataclass(frozen=True)
class Masks:
    """Masks of a folder's images.

    Attributes:
        folders: names of folders that hold masks.
        owners: mask → its image.
        orphans: masks whose image is not there.
        photographs: files that are called like another's mask, but hold as many values as an image; they stay images.
    """

    folders: frozenset[str]
    owners: Mapping[Path, Path]
    orphans: tuple[Path, ...]
    photographs: tuple[Path, ...]

    @property
    def count(self) -> int:
        """Masks, with an image or without."""
        return len(self.owners) + len(self.orphans)

    def of_images(self) -> dict[Path, str]:
        """Return the column `mask` of each image that has one: paths, joined by `|` where there are several."""
        found: dict[Path, list[str]] = {}
        for mask, image in self.owners.items():
            found.setdefault(image, []).append(str(mask))
        return {image: "|".join(masks) for image, masks in found.items()}


def find_masks(files: Sequence[Path], root: Path, asked: Sequence[str] = ()) -> Masks:
    """Tell masks from images, by names and by how many values they hold.

    Masks are the files in a folder called like `masks`, if it holds such of few values or stands beside a folder of
    images. So is a file of few values that is called like a mask (`a_mask.png`), whose name goes on where another's
    ends (`a_lesion.png` beside `a.png`), or that differs from an image by its suffix alone. Of DICOM files the
    Segmentations count as such of few values, and no others.

    Args:
        files: below `root`.
        asked: names of folders that are classes whatever they look like.
    """
    folders = {part for file in files for part in file.relative_to(root).parts[:-1]} - set(asked)
    of_masks = _folders_of_masks(files, root, folders)
    inside = {file: _place(file, root, of_masks) for file in files}
    images = [file for file in files if inside[file] is None]
    partners = _partners(images)
    simple = _of_few_values([file for file in partners if not masked_stem(file.stem)])
    simple |= _of_few_values([file for file in partners if masked_stem(file.stem)], unreadable=True)
    pictures = _Pictures([file for file in images if file not in simple])
    owners = {file: pictures.of(file, place) for file, place in inside.items() if place is not None}
    owners |= {file: partner for file, partner in partners.items() if file in simple and partner not in simple}
    called = [file for file, partner in partners.items() if partner is not None and masked_stem(file.stem)]
    return Masks(
        frozenset(of_masks),
        {mask: image for mask, image in owners.items() if image is not None},
        tuple(mask for mask, image in owners.items() if image is None),
        tuple(file for file in called if file not in simple),
    )


def _folders_of_masks(files: Sequence[Path], root: Path, folders: set[str]) -> set[str]:
    """Return the names of folders that hold masks: they say so, and hold few values or stand beside images."""
    beside = bool(containers(folders))
    named = {name for name in folders if is_mask_folder(name, beside)}
    samples = {name: [file for file in files if name in file.relative_to(root).parts[:-1]] for name in named}
    some = {name: found[:: max(1, len(found) // SAMPLE)][:SAMPLE] for name, found in samples.items()}
    simple = _of_few_values([file for found in some.values() for file in found])
    return {name for name, found in some.items() if beside or 2 * len(simple.intersection(found)) > len(found)}


def _partners(images: Sequence[Path]) -> dict[Path, Path | None]:
    """Return the files that may be masks by their names, with the image each would belong to, or None."""
    by_stem: dict[tuple[Path, str], list[Path]] = {}
    for file in images:
        by_stem.setdefault((file.parent, file.stem.casefold()), []).append(file)
    found: dict[Path, Path | None] = {}
    for file in images:
        if file.suffix.lower() not in SUFFIXES:
            continue
        stem = file.stem.casefold()
        twins = [other for other in by_stem[file.parent, stem] if other != file]
        starts = [stem[: match.start()] for match in re.finditer(r"[ _\-]+", stem)]
        named = [masked_stem(file.stem).casefold(), *reversed(starts)]
        owners = [by_stem[file.parent, start][0] for start in named if start and (file.parent, start) in by_stem]
        if owners or twins or named[0]:
            found[file] = next(iter(owners or twins), None)
    return found


def _place(file: Path, root: Path, of_masks: set[str]) -> Path | None:
    """Return the folder that holds the innermost folder of masks which `file` is in, or None."""
    folder = file.parent
    while folder != root:
        if folder.name in of_masks:
            return folder.parent
        folder = folder.parent
    return None


class _Pictures:
    """Images that masks of other folders may belong to, by what their names have in common."""

    def __init__(self, images: Sequence[Path]) -> None:
        self.by_stem: dict[str, list[Path]] = {}
        self.below: dict[Path, list[Path]] = {}
        for image in images:
            self.by_stem.setdefault(image.stem.casefold(), []).append(image)
            for folder in image.parents:
                self.below.setdefault(folder, []).append(image)

    def of(self, mask: Path, place: Path) -> Path | None:
        """Return the image of a mask whose folder of masks lies in `place`: by its stem, else by its first word.

        The only image in `place` owns all masks there.
        """
        for stem in (mask.stem, masked_stem(mask.stem)):
            alike = self.by_stem.get(stem.casefold(), [])
            if alike:
                return max(alike, key=lambda image: len(os.path.commonpath([image, mask])))
        near = self.below.get(place, [])
        if len(near) == 1:
            return near[0]
        word = _first_word(mask.stem)
        alike = [image for image in near if _first_word(image.stem) == word]
        return alike[0] if len(alike) == 1 else None


def _first_word(stem: str) -> str:
    return stem.casefold().replace("-", "_").replace(" ", "_").partition("_")[0]


def _of_few_values(files: Sequence[Path], unreadable: bool = False) -> set[Path]:
    """Return the files that hold few values.

    Args:
        unreadable: count those that cannot be read as well, as their name says what they are.
    """
    job = Job(partial(has_few_values), SECONDS)
    answers = in_workers(job, [str(file) for file in files], "Looking for masks")
    return {
        file
        for file, few in zip(files, answers, strict=True)
        if few is True or (unreadable and (few is None or isinstance(few, Failure)))
    }


def has_few_values(path: str) -> bool | None:
    """Tell whether an image file holds no more values than a mask does, or is a DICOM Segmentation.

    None where it cannot be read.
    """
    if is_dicom(Path(path)):
        from kmedtl.images.dicom_seg import is_segmentation  # pydicom is slow to import, and most sets have none

        return is_segmentation(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            step = max(1, -(-max(image.size) // MAX_SIDE))
            values = np.asarray(image.convert("RGB") if image.mode in ("CMYK", "YCbCr") else image)[::step, ::step]
    except (*DECODING_ERRORS, MemoryError):
        return None
    colours = np.unique(values.reshape(-1, values.shape[2]) if values.ndim == 3 else values.reshape(-1, 1), axis=0)
    ends = (values.astype(np.float64) <= NOISE) | (values >= 255 - NOISE)
    return len(colours) <= FEW or bool(ends.mean() > 0.99)
