"""Masks of several kinds beside one image, such as vessels and the field of view: by folders and names alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from kmedtl.images.marks import LONGEST, fitting

COMMON = 0.1  # of the images with a mask, that have one of a kind; rarer names are of files, not of kinds
Kind = tuple[str, tuple[str, ...]]  # a folder's name, and the words by which a mask is called otherwise than its image


def kinds_of_masks(table: pd.DataFrame) -> dict[str, str]:
    """Return the kinds of masks that images have side by side: structure → pattern of its files' names.

    Masks are of one kind where they lie in folders of one name and are called alike beside their image's name, numbers
    aside: `1_mask.png` and `1_mask_2.png` are. Empty: there is one kind, or no pattern tells them apart.

    Args:
        table: of a manifest, with the columns `path` and `mask`.
    """
    masked = table[table["mask"] != ""]
    found = [_kinds(path, masks.split("|")) for path, masks in zip(masked["path"], masked["mask"], strict=True)]
    images = Counter(kind for kinds in found for kind in kinds)
    common = {kind for kind, count in images.items() if count >= COMMON * len(masked) and count > 1}
    if not any(len(common & kinds.keys()) > 1 for kinds in found):
        return {}
    named = _named(sorted(common))
    patterns = dict(named.values())
    files = [(file, kind) for kinds in found for kind in common & kinds.keys() for file in kinds[kind]]
    apart = all(list(fitting(file, patterns)) == [named[kind][0]] for file, kind in files)
    return patterns if apart and len(patterns) == len(named) else {}


def _kinds(image: str, masks: Iterable[str]) -> dict[Kind, list[str]]:
    """Return the masks of an image by their kinds."""
    own = Path(image)
    its_words = _words(own)
    found: dict[Kind, list[str]] = {}
    for mask in map(Path, masks):
        folder = "" if mask.parent == own.parent else mask.parent.name.casefold()
        words = tuple(word for word in _words(mask) if word not in its_words)
        found.setdefault((folder, words), []).append(str(mask))
    return found


def _words(path: Path) -> list[str]:
    return re.findall(r"[^\W\d_]+", path.stem.casefold())


def _named(kinds: list[Kind]) -> dict[Kind, tuple[str, str]]:
    """Return kind → structure and pattern: by folders where each kind has its own, else by names."""
    folders = {folder for folder, _ in kinds}
    if "" not in folders and len(folders) == len(kinds):
        return {(folder, words): (_name(folder), f"{folder}/*") for folder, words in kinds}
    return {(folder, words): (_name("_".join(words) or folder), f"*{'*'.join(words)}*") for folder, words in kinds}


def _name(text: str) -> str:
    return re.sub(r"[^\w-]+", "_", text).strip("_-")[:LONGEST]
