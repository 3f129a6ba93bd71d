"""Which images of one patient are answered together: as named, from a table, or by the names of files and folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

from kmedtl.edge.fields import BLANKS
from kmedtl.edge.image_tables import listed_rows, own_name
from kmedtl.edge.inputs import lines_of
from kmedtl.errors import UserError, nearest
from kmedtl.images.file_kinds import SUFFIXES, is_dicom, is_nifti, stem_of

TABLE = ".csv"


@dataclass(frozen=True)
class Examination:
    """Images of one patient that are answered together, and what they are answered under.

    Attributes:
        files: view → where it lies; of those that are there.
    """

    name: str
    files: Mapping[str, str]


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


def examinations(named: Sequence[str], listed_in: str | None, views: Sequence[str]) -> dict[str, Examination]:
    """Return the examinations to answer, by name.

    Args:
        named: `VIEW=FILE`, all of one examination; tables with a column a view; folders, whose files tell by their
            names what they are.
        listed_in: a file with more of these, one a line; `-` for stdin.

    Raises:
        UserError: nothing to answer, a view that the model does not have, one twice in an examination, or an
            examination twice.
    """
    words = [*named, *(lines_of(listed_in) if listed_in else ())]
    said = [word for word in words if "=" in word and not Path(word).exists()]
    found = [_said(said, views)] if said else []
    for word in words:
        if word not in said:
            found += _of_table(Path(word), views) if word.lower().endswith(TABLE) else _of_folder(Path(word), views)
    if not found:
        raise UserError(f"images: expected {_expected(views)}. Received: none.")
    by_name = {one.name: one for one in found}
    if len(by_name) < len(found):
        twice = next(one.name for one in found if by_name[one.name] is not one)
        raise UserError(f"images: the examination {twice} is there more than once; leave one.")
    return by_name


def check_view(view: str, views: Sequence[str]) -> str:
    """Return a view as the model spells it.

    Raises:
        UserError: the model has none of that name.
    """
    own = own_name(view, views)
    if own not in views:
        raise UserError(f"{view}: the model has no view of that name. {nearest(view, views)}")
    return own


def _expected(views: Sequence[str]) -> str:
    pairs = " ".join(f"{view}=FILE" for view in views)
    return f"{pairs} of one examination, a CSV with the columns {', '.join(views)}, or folders of examinations"


def _said(words: Sequence[str], views: Sequence[str]) -> Examination:
    files: dict[str, str] = {}
    for view, _, file in (word.partition("=") for word in words):
        own = check_view(view, views)
        if own in files:
            raise UserError(f"{own}={file}: expected one file of a view. Received: {files[own]} as well.")
        files[own] = file
    return Examination(" ".join(words), files)


def _of_table(path: Path, views: Sequence[str]) -> Iterator[Examination]:
    columns, name, rows = listed_rows(path, "images")
    mine = {column: own_name(column, views) for column in columns if own_name(column, views) in views}
    if not mine:
        raise UserError(f"{path}: expected columns {', '.join(views)}. Received: {', '.join(columns)}.")
    for row in rows:
        cells = {view: (row[column] or "").strip() for column, view in mine.items()}
        files = {view: str(path.parent / cell) for view, cell in cells.items() if cell.casefold() not in BLANKS}
        yield Examination((row[name] or "").strip(), files)


def _of_folder(folder: Path, views: Sequence[str]) -> Iterator[Examination]:
    if not folder.is_dir():
        raise UserError(f"{folder}: expected {_expected(views)}.")
    found: dict[str, dict[str, str]] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        place = place_of(file, views)
        if place is None or not (file.suffix.lower() in SUFFIXES or is_nifti(file) or is_dicom(file)):
            continue
        whole = file if place.by_file else file.parent  # of a series its folder
        before = found.setdefault(place.examination, {}).setdefault(place.view, str(whole))
        if before != str(whole):
            raise UserError(f"{whole}: expected one file of the view '{place.view}'. Received: {before} as well.")
    if not found:
        raise UserError(f"{folder}: expected files that are called {' or '.join(views)}, or end so.")
    yield from (Examination(name, files) for name, files in found.items())
