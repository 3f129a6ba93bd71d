"""Which images of one patient are answered together: their view and examination, by the names of files and folders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import NamedTuple


class Place(NamedTuple):
    """What a name tells: examination and view, and whether the file's own name does, or else that of its folder."""

    examination: str
    view: str
    by_file: bool


def place_of(file: PurePath, views: Iterable[str]) -> Place | None:
    """Return the examination and the view that a name tells: of the folder, or else of the file; None: neither does.

    `EXAM/t1.png`, `EXAM_t1.png` and `EXAM/t1/0001.dcm` are all of the view `t1` of `EXAM`, in whatever case the view is
    written; a hyphen may stand for the underscore.
    """
    names = "|".join(map(re.escape, sorted(views, key=len, reverse=True)))
    own = {view.casefold(): view for view in views}
    for by_file, name, folder in ((False, file.parent.name, file.parent.parent), (True, stem_of(file), file.parent)):
        found = re.fullmatch(rf"(?:(.+)[_-])?({names})", name, re.IGNORECASE)
        if found:
            return Place((folder / (found[1] or "")).as_posix(), own[found[2].casefold()], by_file)
    return None


def stem_of(file: PurePath) -> str:
    """Return the name of a file without its suffix, `.nii.gz` being one."""
    return PurePath(file.name.removesuffix(".gz")).stem if file.name.lower().endswith(".nii.gz") else file.stem
