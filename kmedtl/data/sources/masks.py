"""Which files are masks of which images: by the names of folders and files, and by their few values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from kmedtl.data.sources.mask_owners import owners_of
from kmedtl.data.sources.mask_references import referenced_images
from kmedtl.data.sources.names import containers, is_mask_folder, masked_stem, starts_of
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
        owners: mask → its image; a DICOM Segmentation may be of several.
        orphans: masks whose image is not there.
        photographs: files that are called like another's mask, but hold as many values as an image; they stay images.
    """

    folders: frozenset[str]
    owners: Mapping[Path, tuple[Path, ...]]
    orphans: tuple[Path, ...]
    photographs: tuple[Path, ...]

    @property
    def count(self) -> int:
        """Masks, with an image or without."""
        return len(self.owners) + len(self.orphans)

    def of_images(self) -> dict[Path, str]:
        """Return the column `mask` of each image that has one: paths, joined by `|` where there are several."""
        found: dict[Path, list[str]] = {}
        for mask, images in self.owners.items():
            for image in images:
                found.setdefault(image, []).append(str(mask))
        return {image: "|".join(masks) for image, masks in found.items()}


def find_masks(files: Sequence[Path], root: Path, asked: Sequence[str] = ()) -> Masks:
    """Tell masks from images, by names and by how many values they hold.

    Masks are the files in a folder called like `masks`, if it holds such of few values or stands beside a folder of
    images. So is a file of few values that is called like a mask (`a_mask.png`), whose name goes on where another's
    ends (`a_lesion.png` beside `a.png`), or that differs from an image by its suffix alone. Of DICOM files the
    Segmentations count as such of few values, and no others; where names tell no image, the one that they refer to is
    taken.

    Args:
        files: below `root`.
        asked: names of folders that are classes whatever they look like.
    """
    folders = {part for file in files for part in file.relative_to(root).parts[:-1]} - set(asked)
    of_masks = _folders_of_masks(files, root, folders)
    inside = {file: _mask_folder(file, root, of_masks) for file in files}
    images = [file for file in files if inside[file] is None]
    partners = _partners(images)
    simple = _of_few_values([file for file in partners if not masked_stem(file.stem)])
    simple |= _of_few_values([file for file in partners if masked_stem(file.stem)], unreadable=True)
    pictures = [file for file in images if file not in simple]
    owners = owners_of({file: folder for file, folder in inside.items() if folder is not None}, pictures, root)
    for file, near in partners.items():
        left = [other for other in near if other not in simple]
        if file in simple and (left or not near):
            owners[file] = next(iter(left), None)
    lonely = [mask for mask, image in owners.items() if image is None]
    of_each = {mask: (image,) for mask, image in owners.items() if image} | referenced_images(lonely, pictures)
    called = [file for file, near in partners.items() if near and masked_stem(file.stem)]
    return Masks(
        frozenset(of_masks),
        {mask: of_each[mask] for mask in owners if mask in of_each},
        tuple(mask for mask in lonely if mask not in of_each),
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


def _partners(images: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return the files that may be masks by their names, with what each may belong to, the likeliest first."""
    by_stem: dict[tuple[Path, str], list[Path]] = {}
    for file in images:
        by_stem.setdefault((file.parent, file.stem.casefold()), []).append(file)
    found: dict[Path, list[Path]] = {}
    for file in images:
        if file.suffix.lower() not in SUFFIXES:
            continue
        stem = file.stem.casefold()
        twins = [other for other in by_stem[file.parent, stem] if other != file]
        named = [masked_stem(file.stem).casefold(), *starts_of(stem)]
        owners = [other for start in named for other in by_stem.get((file.parent, start), []) if other != file]
        if owners or twins or named[0]:
            found[file] = owners or twins
    return found


def _mask_folder(file: Path, root: Path, of_masks: set[str]) -> Path | None:
    """Return the innermost folder of masks which `file` is in, or None."""
    folder = file.parent
    while folder != root:
        if folder.name in of_masks:
            return folder
        folder = folder.parent
    return None


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
