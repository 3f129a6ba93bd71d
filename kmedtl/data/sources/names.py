"""What names of folders and files say: a split, a place for images, a mask."""

from __future__ import annotations

import re
from collections.abc import Iterable

SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "validate": "val", "val": "val", "valid": "val", "validation": "val", "dev": "val", "development": "val",
    "tst": "test", "test": "test", "testing": "test", "eval": "test", "evaluation": "test", "holdout": "test",
}  # fmt: skip
IMAGE_WORDS = frozenset({"image", "images", "img", "imgs", "picture", "pictures", "jpg", "jpeg", "png", "dicom", "dcm"})
PART_WORDS = frozenset({"part", "batch", "chunk", "shard", "subset", "fold"})
FILLERS = frozenset({"tr", "ts", "set", "data", "dataset", "split", "folder", "folders", "input", "st", "nd"})
MASK_WORDS = frozenset({
    "mask", "masks", "seg", "segs", "segmentation", "segmentations", "groundtruth", "gt", "manual", "annotation",
    "annotations", "instances", "contours",
})  # fmt: skip
LABEL_WORDS = frozenset({"label", "labels"})  # of masks where images stand beside them, else of anything
CALLED = r"(?:masks?|segm?|segmentations?|gt|ground[ _-]?truth|annotation|label|manual)"
MASK_NAME = re.compile(rf"(?P<stem>.+?)[ _.\-]+{CALLED}[ _.\-]*\d*", re.IGNORECASE)
MASK_PREFIX = re.compile(rf"{CALLED}[ _.\-]+(?P<stem>.+)", re.IGNORECASE)


def split_of(name: str) -> str:
    """Return the split that a folder or a cell names (`Training`, `val_set`, `test-images`, `2 hold out`), else ""."""
    words = _words(name)
    found = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    rest = words - SPLIT_WORDS.keys() - IMAGE_WORDS - FILLERS
    return found.pop() if len(found) == 1 and not rest else ""


def containers(names: Iterable[str]) -> set[str]:
    """Return which of the names of folders say no more than that images, or a part of them, are inside.

    `images`, `imgs_part_1` and `images_001` do; so do names with such a word that differ by their number alone, as
    `HAM10000_images_part_1` and `HAM10000_images_part_2`.
    """
    meant = IMAGE_WORDS | PART_WORDS
    by_words: dict[frozenset[str], set[str]] = {}
    for name in names:
        words = _words(name)
        if words & meant:
            by_words.setdefault(frozenset(words), set()).add(name)
    plain = meant | FILLERS | SPLIT_WORDS.keys()
    return {name for words, alike in by_words.items() for name in alike if words <= plain or len(alike) > 1}


def is_mask_folder(name: str, beside_images: bool) -> bool:
    """Tell whether a folder's name may say that masks are inside; `labels` says so beside a folder of images alone."""
    words = _words(name)
    meant = MASK_WORDS | LABEL_WORDS if beside_images else MASK_WORDS
    return bool(words & meant) and not words & {"no", "without"}


def masked_stem(stem: str) -> str:
    """Return the stem of the image that a file called like a mask belongs to (`a_mask_1` → `a`), else ""."""
    match = MASK_NAME.fullmatch(stem) or MASK_PREFIX.fullmatch(stem)
    return match["stem"] if match else ""


def starts_of(stem: str) -> list[str]:
    """Return what a stem begins with at a separator, the longest first: `a_b_c` → `a_b`, `a`."""
    return [stem[: match.start()] for match in re.finditer(r"[ _.\-]+", stem) if match.start()][::-1]


def first_word(stem: str) -> str:
    return re.split(r"[ _\-]", stem.casefold(), maxsplit=1)[0]


def bare(folder: str) -> str:
    """Return a folder's name without what says that images or masks are inside: `masks_train` → `train`."""
    words = re.findall(r"[^\W\d_]+|\d+", _apart(folder))
    return " ".join(word for word in words if word not in IMAGE_WORDS | MASK_WORDS | LABEL_WORDS)


def are_numbered(names: Iterable[str]) -> bool:
    """Tell whether names differ by their numbers alone, as those of patients do."""
    return len({frozenset(_words(name)) for name in names}) == 1


def is_hidden(name: str) -> bool:
    """Tell what systems and archivers leave behind: `.DS_Store`, `._a.png`, `__MACOSX`, `@eaDir`, `$RECYCLE.BIN`."""
    return name.startswith((".", "__", "@", "$"))


def _words(name: str) -> set[str]:
    """Return the words of a name in lower case, numbers left out."""
    joined = re.sub(r"hold[\W_]?out", "holdout", _apart(name))
    words = set()
    for word in re.findall(r"[^\W\d_]+", joined):
        stem = re.sub(r"(set|data)$", "", word)
        words.add(stem if stem in SPLIT_WORDS else word)
    return words


def _apart(name: str) -> str:
    """Return a name in lower case, its words apart: `imagesTr` → `images_tr`."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name).casefold()
    return re.sub(r"ground[\W_]?truths?", "groundtruth", apart)
