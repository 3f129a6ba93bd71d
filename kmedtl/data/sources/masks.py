"""Which files are masks of which images: by the names of folders and files, and by their few values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from kmedtl.data.read_image import DECODING_ERRORS, FORMATS
from kmedtl.data.sources.names import containers, is_mask_folder, masked_stem
from kmedtl.data.workers import Failure, Job, in_workers

FEW = 32  # values of a mask: background and structures; a JPEG's own noise lies within `NOISE` of the two ends
NOISE = 24
SECONDS = 20.0  # for one file
MAX_SIDE = 512  # pixels a side that values are counted in


@dataclass(frozen=True)
class Masks:
    """Masks of a folder's images.

    Attributes:
        owners: mask → its image.
        orphans: masks whose image is not there.
        photographs: files that are called like another's mask, but hold as many values as an image; they stay images.
    """

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
    """Tell masks from images.

    A file in a folder called like `masks` is one. So is a file called like another's mask (`a_mask.png` beside `a.png`)
    or, beside none, like a mask at all, if it holds few values.

    Args:
        files: below `root`.
        asked: names of folders that are classes whatever they look like.
    """
    folders = {part for file in files for part in file.relative_to(root).parts[:-1]} - set(asked)
    beside = bool(containers(folders))
    of_masks = {name for name in folders if is_mask_folder(name, beside)}
    inside = {file: _place(file, root, of_masks) for file in files}
    images = [file for file, place in inside.items() if place is None]
    named = [file for file in images if masked_stem(file.stem)]
    plain = {(file.parent, file.stem.casefold()): file for file in images}
    partner = {file: plain.get((file.parent, masked_stem(file.stem).casefold())) for file in named}
    simple = _of_few_values(named)
    pictures = _Pictures([file for file in images if file not in simple])
    owners = {file: pictures.of(file, place) for file, place in inside.items() if place is not None}
    owners |= {file: partner[file] for file in named if file in simple}
    return Masks(
        {mask: image for mask, image in owners.items() if image is not None},
        tuple(mask for mask, image in owners.items() if image is None),
        tuple(file for file in named if partner[file] is not None and file not in simple),
    )


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


def _of_few_values(files: Sequence[Path]) -> set[Path]:
    """Return the files that hold few values; those that cannot be read count by their name, thus as masks."""
    job = Job(partial(has_few_values), SECONDS)
    answers = in_workers(job, [str(file) for file in files], "Looking for masks")
    return {file for file, few in zip(files, answers, strict=True) if isinstance(few, Failure) or few}


def has_few_values(path: str) -> bool:
    """Tell whether an image file holds no more values than a mask does, or cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            step = max(1, -(-max(image.size) // MAX_SIDE))
            values = np.asarray(image.convert("RGB") if image.mode in ("CMYK", "YCbCr") else image)[::step, ::step]
    except (*DECODING_ERRORS, MemoryError):
        return True
    colours = np.unique(values.reshape(-1, values.shape[2]) if values.ndim == 3 else values.reshape(-1, 1), axis=0)
    ends = (values.astype(np.float64) <= NOISE) | (values >= 255 - NOISE)
    return len(colours) <= FEW or bool(ends.mean() > 0.99)
