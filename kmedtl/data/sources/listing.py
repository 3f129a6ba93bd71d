"""What lies in a folder: images, the masks that belong to them, and everything else, nothing uncounted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmedtl.data.sources.masks import Masks, find_masks
from kmedtl.data.sources.names import is_hidden
from kmedtl.errors import UserError
from kmedtl.images.file_kinds import SUFFIXES, is_dicom
from kmedtl.system.progress import progress

MAX_FILES = 5_000_000
# Formats of images, volumes, videos and archives of them that are named rather than passed over as "other files".
UNREAD = frozenset({
    ".nii", ".gz", ".mha", ".mhd", ".nrrd", ".mgz", ".hdr", ".raw", ".npy", ".npz", ".mat", ".h5", ".hdf5", ".tfrecord",
    ".heic", ".heif", ".avif", ".jxl", ".psd", ".svg", ".pdf", ".webm", ".mp4", ".avi", ".mov", ".mkv", ".wmv", ".svs",
    ".ndpi", ".mrxs", ".scn", ".czi", ".zip", ".tar", ".rar", ".7z", ".exr", ".dng", ".cr2", ".nef",
})  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """The files below a folder, each in one place.

    Attributes:
        root: the folder.
        images: files that are read, in the order of their names.
        masks: which mask belongs to which image, and the masks that belong to none.
        unread: files of `UNREAD` formats.
        others: further files: hidden ones, notes, tables.
        irregular: pipes, sockets, devices and broken links, which are never opened.
    """

    root: Path
    images: tuple[Path, ...]
    masks: Masks
    unread: tuple[Path, ...]
    others: tuple[Path, ...]
    irregular: tuple[Path, ...]

    @property
    def ignored(self) -> int:
        return len(self.unread) + len(self.others) + len(self.irregular)


def list_folder(root: Path, asked: Sequence[str] = ()) -> Listing:
    """List every file below `root`; links to folders are followed, but no folder is entered twice.

    Args:
        asked: names of folders that are classes whatever they look like.

    Raises:
        UserError: more than `MAX_FILES` files.
        OSError: a folder that cannot be opened.
    """
    kinds: dict[str, list[Path]] = {"images": [], "unread": [], "others": [], "irregular": []}
    for count, file in enumerate(progress(_files(root), "Listing files", unit="file", delay=2)):
        if count >= MAX_FILES:
            raise UserError(f"{root}: more than {MAX_FILES} files; point to the folder that holds the images.")
        kinds[_kind(file, root)].append(file)
    masks = find_masks(kinds["images"], root, asked)
    set_apart = {*masks.owners, *masks.orphans}
    images = tuple(file for file in kinds.pop("images") if file not in set_apart)
    return Listing(root, images, masks, **{name: tuple(files) for name, files in kinds.items()})


def suffixes(files: Sequence[Path]) -> str:
    """Return how many files there are of each suffix, most frequent first: `9 .webp, 1 .nii.gz`."""
    counts = Counter(_suffix(file) or "without suffix" for file in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(8))


def _kind(file: Path, root: Path) -> str:
    if any(map(is_hidden, file.relative_to(root).parts)):
        return "others"
    if not file.is_file():
        return "irregular"
    if file.suffix.lower() in SUFFIXES or is_dicom(file):
        return "images"
    return "unread" if file.suffix.lower() in UNREAD else "others"


def _suffix(file: Path) -> str:
    return "".join(file.suffixes[-2:]).lower() if file.suffix.lower() == ".gz" else file.suffix.lower()


def _refuse(error: OSError) -> None:
    """What `os.walk` cannot open it would leave out without a word."""
    raise error


def _files(folder: Path) -> Iterator[Path]:
    """Every file below `folder` in a fixed order."""
    entered = set()
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        place = os.path.realpath(parent)
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names))
