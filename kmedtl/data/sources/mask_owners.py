"""Which image a mask in a folder of masks belongs to: by its name, and by the folders that both lie in."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from kmedtl.data.sources.names import bare, first_word, masked_stem, starts_of


def owners_of(masks: Mapping[Path, Path], images: Sequence[Path], root: Path) -> dict[Path, Path | None]:
    """Return the image of each mask, or None where there is none, or several that nothing tells apart.

    Args:
        masks: file → the folder of masks that it lies in.
        images: what they may belong to.
        root: the folder that holds them all.
    """
    pictures = _Pictures(images, root)
    found = {mask: pictures.of(mask, folder.parent) for mask, folder in masks.items()}
    rivals: dict[tuple, list[Path]] = defaultdict(list)
    for mask, image in found.items():
        if image is not None:
            rivals[image, masks[mask].name, mask.stem.casefold()].append(mask)
    for (image, *_), alike in rivals.items():
        # Names that start anew in each folder: the image is that of the nearest, the others' are not there.
        nearness = {mask: pictures.nearness(mask, image) for mask in alike}
        found |= {mask: None for mask in alike if nearness[mask] < max(nearness.values())}
    return found


class _Pictures:
    """Images that masks of other folders may belong to."""

    def __init__(self, images: Sequence[Path], root: Path) -> None:
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        self.by_folders: dict[tuple[str, tuple[str, ...]], list[Path]] = defaultdict(list)
        self.below: dict[Path, list[Path]] = defaultdict(list)
        self._folders = cache(partial(_bare_folders, root=root))
        self._likeness = cache(self._compared)
        for image in images:
            stem = image.stem.casefold()
            self.by_stem[stem].append(image)
            self.by_folders[stem, self._folders(image.parent)].append(image)
            for folder in image.parents:
                self.below[folder].append(image)

    def of(self, mask: Path, place: Path) -> Path | None:
        """Return the image of a mask whose folder of masks lies in `place`.

        It has the mask's stem; or is the only one in `place`; or has the longest stem that the mask's goes on from; or
        alone in `place` begins with the same word.
        """
        stem = mask.stem.casefold()
        for name in (stem, masked_stem(stem)):
            if name in self.by_stem:
                return self._nearest(mask, name)
        near = self.below.get(place, [])
        if len(near) == 1:
            return near[0]
        for name in starts_of(stem):
            if name in self.by_stem:
                return self._nearest(mask, name)
        alike = [image for image in near if first_word(image.stem) == first_word(stem)]
        return alike[0] if len(alike) == 1 else None

    def nearness(self, mask: Path, image: Path) -> tuple[int, int]:
        """Return how many folders are called alike, words as `images` left out, and how many are shared."""
        return self._likeness(mask.parent, image.parent)

    def _nearest(self, mask: Path, stem: str) -> Path | None:
        """Return the nearest image of that stem; None where two are as near, since either would be a guess."""
        same = self.by_folders.get((stem, self._folders(mask.parent)), [])
        if len(same) == 1:
            return same[0]
        images = self.by_stem[stem]
        most = max(self.nearness(mask, image) for image in images)
        nearest = [image for image in images if self.nearness(mask, image) == most]
        return nearest[0] if len(nearest) == 1 else None

    def _compared(self, one: Path, other: Path) -> tuple[int, int]:
        shared = len(Path(os.path.commonpath([one, other])).parts)
        return _common(self._folders(one), self._folders(other)), shared


def _bare_folders(folder: Path, root: Path) -> tuple[str, ...]:
    return tuple(name for part in folder.relative_to(root).parts if (name := bare(part)))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    lengths = [0] * (len(other) + 1)
    for name in one:
        before = lengths
        lengths = [0]
        for number, also in enumerate(other):
            lengths.append(before[number] + 1 if name == also else max(before[number + 1], lengths[-1]))
    return lengths[-1]
