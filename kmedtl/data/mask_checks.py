"""What masks are refused for: the first example is named, with how many there are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kmedtl.errors import UserError
from kmedtl.images.decode_masks import MaskAnswer
from kmedtl.images.marks import FOREGROUND, Mark, is_colour, is_pattern, marks_of
from kmedtl.images.masks import MaskFile
from kmedtl.images.workers import Failure

SHOWN = 12  # values that a message lists
THRESHOLD = "--set data.soft_masks=threshold"

Found = Sequence[tuple[str, str, MaskFile]]  # an image's id, the path of one of its masks, and what is in it


@dataclass(frozen=True)
class MaskRow:
    """One image of a manifest with its masks; `width` and `height` are the image's, upright, in pixels."""

    id: str
    path: str
    frame: int | None
    masks: tuple[str, ...]
    width: int
    height: int


def check_rows(rows: Sequence[MaskRow], structures: Mapping[str, Mark], may_miss: bool) -> None:
    """Refuse what is wrong before any mask is decoded.

    Raises:
        UserError: a mask that is its image's own file; the same mask for all images; images without a mask, unless
            they `may_miss` it; no mask at all.
    """
    own = [row for row in rows if os.path.realpath(row.path) in map(os.path.realpath, row.masks)]
    _refuse_itself([row.id for row in own])
    _refuse_one_for_all(rows)
    without = [row for row in rows if not any(marks_of(path, structures) for path in row.masks)]
    if len(without) == len(rows):
        files = sum(len(row.masks) for row in rows)
        fitting = f"no mask of {files} fits a pattern of data.structures" if files else "no image has a mask"
        raise UserError(
            f"masks: {fitting}; expected files in the manifest's column `mask`, or in a folder called `masks`, as "
            "docs/data.md says."
        )
    if without and not may_miss:
        raise UserError(
            f"{without[0].id}: has no mask; images without one: {len(without)} of {len(rows)}. If nothing is to be "
            "marked in them, --set data.missing_masks=empty trains them as empty; leave_out does without images that "
            "have no mask file."
        )


def check_answers(rows: Sequence[MaskRow], answers: Sequence[MaskAnswer | Failure]) -> list[MaskAnswer]:
    """Return the answers, all of which can be used.

    Raises:
        UserError: masks that cannot be read, do not fit their image or are no masks; values that no structure is named
            for; values in between.
    """
    both = list(zip(rows, answers, strict=True))
    broken = [(row.id, answer.reason) for row, answer in both if isinstance(answer, Failure)]
    if broken:
        raise UserError(
            f"{broken[0][0]}: its mask cannot be read ({broken[0][1]}); masks that cannot: {len(broken)}. Mend or "
            "replace them, or empty their cells in the column `mask`."
        )
    read = [(row, answer) for row, answer in both if isinstance(answer, MaskAnswer)]
    _refuse_itself([row.id for row, answer in read if answer.itself])
    _refuse_sizes([(row, file) for row, answer in read for file in answer.masks.files.values()])
    files = [(row.id, path, file) for row, answer in read for path, file in answer.masks.files.items()]
    _refuse_soft([one for one in files if one[2].soft])
    _refuse_unnamed([one for one in files if one[2].unnamed])
    return [answer for _, answer in read]


def check_occurrence(facts: pd.DataFrame, structures: Mapping[str, Mark]) -> None:
    """Refuse a structure that no mask marks.

    Raises:
        UserError: the first such, or that nothing is marked where no structure is named.
    """
    if structures == FOREGROUND and not facts[[f"area_{name}" for name in structures]].any(axis=None):
        raise UserError(
            f"masks: nothing is marked in any of {len(facts)} images; values found: {_values(facts)}. Expected masks "
            "of more than 0 where something is."
        )
    for name, mark in structures.items():
        if not facts[f"area_{name}"].any():
            what = f"no file that fits {mark!r} marks anything" if is_pattern(mark) else f"{mark!r} is in no mask"
            raise UserError(
                f"data.structures.{name}: {what}, of {len(facts)} images; values found: {_values(facts)}. Correct it, "
                "or leave it out."
            )


def _refuse_itself(ids: Sequence[str]) -> None:
    if ids:
        raise UserError(f"{ids[0]}: its mask is the image itself; such images: {len(ids)}. Correct the column `mask`.")


def _refuse_one_for_all(rows: Sequence[MaskRow]) -> None:
    files = {os.path.realpath(row.path) for row in rows}
    masks = {tuple(map(os.path.realpath, row.masks)) for row in rows}
    if len(files) > 1 and len(masks) == 1 and masks != {()}:
        raise UserError(
            f"{rows[0].id}: its mask {Path(rows[0].masks[0]).name} is that of all {len(files)} images; expected a mask "
            "for each. Correct the column `mask`."
        )


def _refuse_sizes(files: Sequence[tuple[MaskRow, MaskFile]]) -> None:
    others = [(row, file) for row, file in files if (file.width, file.height) != (row.width, row.height)]
    if others:
        row, file = others[0]
        lies = (file.height, file.width) == (row.width, row.height)
        remedy = "Save image and mask upright, one has an EXIF orientation" if lies else "Save them at the image's size"
        raise UserError(
            f"{row.id}: its mask has {file.width} × {file.height} pixels, the image {row.width} × {row.height}; masks "
            f"of another size than their image: {len(others)}. {remedy}, or empty their cells in the column `mask`."
        )


def _refuse_soft(files: Found) -> None:
    if files:
        name, path, file = files[0]
        raise UserError(
            f"{name}: its mask {Path(path).name} has {file.count} values, most in between, as scaling and JPEG blur "
            f"borders; such masks: {len(files)}. {THRESHOLD} counts a pixel from half of a structure's value on; "
            "better are masks as they were drawn. If each value is a structure, name it in data.structures."
        )


def _refuse_unnamed(files: Found) -> None:
    if files:
        name, path, file = files[0]
        values = dict.fromkeys(value for _, _, one in files for value in one.unnamed)
        setting = 'data.structures.NAME="{}"' if is_colour(file.unnamed[0]) else "data.structures.NAME={}"
        raise UserError(
            f"{name}: its mask {Path(path).name} holds {_listed(file.unnamed)}, for which no structure is named; such "
            f"masks: {len(files)}, with the values {_listed(values)}. Name each: --set "
            f"'{setting.format(file.unnamed[0])}'."
        )


def _values(facts: pd.DataFrame) -> str:
    return _listed(value for values in facts["values"] for value in values.split(", ") if value)


def _listed(values: Iterable[str]) -> str:
    """Return distinct values in their order, the first `SHOWN`."""
    distinct = sorted(set(values), key=lambda value: (len(value), value))  # numbers by size
    return ", ".join(distinct[:SHOWN]) + (", …" if len(distinct) > SHOWN else "")
