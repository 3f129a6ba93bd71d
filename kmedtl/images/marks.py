"""What marks a structure in masks: a value, a colour, or a pattern of file names. Imports nothing heavy."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

Mark = int | str
FOREGROUND: Mapping[str, Mark] = {"foreground": "*"}  # where no structure is named
LONGEST = 64  # letters of a structure's name
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def is_name(name: str) -> bool:
    """Tell whether a structure may be called so: files and columns bear its name."""
    return len(name) <= LONGEST and re.fullmatch(r"\w[\w-]*", name) is not None


def is_colour(mark: Mark) -> bool:
    """Tell whether a structure is marked by a colour."""
    return isinstance(mark, str) and COLOUR.fullmatch(mark) is not None


def is_pattern(mark: Mark) -> bool:
    """Tell whether a structure is marked by files of its own."""
    return isinstance(mark, str) and not is_colour(mark)


def marks_of(path: str | Path, structures: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return the structures that a file can mark: those whose pattern its name fits, else all named by values.

    A pattern with a slash, such as `masks/*`, is for a name with its folder. Case does not count. Of a link either name
    may fit: the files of a DICOM archive are links of hidden names.
    """
    places = [Path(one).parts for one in (path, os.path.realpath(path))]
    patterns = {structure: mark for structure, mark in structures.items() if is_pattern(mark)}
    fitting = {
        structure: mark for structure, mark in patterns.items() if any(_fits(parts, str(mark)) for parts in places)
    }
    return fitting or {structure: mark for structure, mark in structures.items() if structure not in patterns}


def _fits(parts: Sequence[str], pattern: str) -> bool:
    name = "/".join(parts[-2:] if "/" in pattern else parts[-1:])
    return fnmatchcase(name.casefold(), pattern.casefold())
