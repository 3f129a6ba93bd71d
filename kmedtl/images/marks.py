"""What marks a structure in masks: a value, a colour, or a pattern of names. Imports nothing heavy."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from kmedtl.images.file_kinds import is_dicom

Mark = int | str
FOREGROUND: Mapping[str, Mark] = {"foreground": "*"}  # where no structure is named
LONGEST = 64  # letters of a structure's name
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class SourceImage:
    """The image that a mask is for: its SOPInstanceUID, "" of other formats than DICOM, and its frame, from 1 on."""

    uid: str = ""
    frame: int = 1


def is_name(name: str) -> bool:
    """Tell whether a structure may be called so: files and columns bear its name."""
    return len(name) <= LONGEST and re.fullmatch(r"\w[\w-]*", name) is not None


def is_colour(mark: Mark) -> bool:
    """Tell whether a structure is marked by a colour."""
    return isinstance(mark, str) and COLOUR.fullmatch(mark) is not None


def is_pattern(mark: Mark) -> bool:
    """Tell whether a structure is marked by files, or segments, of its own."""
    return isinstance(mark, str) and not is_colour(mark)


def marks_of(path: str | Path, structures: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return the structures that a file can mark: those of `fitting`, else all named by values.

    Of a DICOM Segmentation the others can be marked as well: their patterns are for the labels of its segments.
    """
    patterns = [structure for structure, mark in structures.items() if is_pattern(mark) and not is_dicom(Path(path))]
    others = {structure: mark for structure, mark in structures.items() if structure not in patterns}
    return fitting(path, structures) or others


def fitting(path: str | Path, structures: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return the structures whose pattern a file's name fits: they are marked by all of the file.

    A pattern with a slash, such as `masks/*`, is for a name with its folder. Case does not count. Of a link either name
    may fit: the files of a DICOM archive are links of hidden names.
    """
    places = [Path(one).parts for one in (path, os.path.realpath(path))]
    patterns = {structure: mark for structure, mark in structures.items() if is_pattern(mark)}
    return {structure: mark for structure, mark in patterns.items() if any(_fits(parts, str(mark)) for parts in places)}


def of_segment(number: int, label: str, structures: Mapping[str, Mark]) -> list[str]:
    """Return the structures that a segment of a DICOM Segmentation marks: its number is theirs, or its label fits."""
    return [
        structure
        for structure, mark in structures.items()
        if mark == number or (is_pattern(mark) and fnmatchcase(label.strip().casefold(), str(mark).casefold()))
    ]


def _fits(parts: Sequence[str], pattern: str) -> bool:
    name = "/".join(parts[-2:] if "/" in pattern else parts[-1:])
    return fnmatchcase(name.casefold(), pattern.casefold())
