"""What is known beside the images to be answered: said for all of them, in a table, or in each DICOM header."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from kmedtl.edge.fields import Fields, Values
from kmedtl.errors import UserError, nearest
from kmedtl.images.file_kinds import is_dicom
from kmedtl.images.workers import Job, in_workers

DICOM_TAGS = {"age": "PatientAge", "sex": "PatientSex", "weight": "PatientWeight", "height": "PatientSize"}
IMAGES = ("path", "file", "filename", "image", "image_id", "id")  # names of the column that names the image
SECONDS = 5.0  # for one header
LARGEST = 100_000_000  # bytes of a table

Given = Callable[[Sequence[str]], Sequence[Values]]  # from the places of images to what is known beside each


def given_fields(option: str | None, fields: Fields) -> Given:
    """Return what reads the fields of images as `--fields` says: `age=54,sex=F`, a CSV, or None: DICOM headers.

    Raises:
        UserError: a model without fields, fields that it does not have, or a table that cannot be read.
    """
    if option is None:
        return partial(_of_headers, [field.name for field in fields])
    names = [field.name for field in fields]
    if not names:
        raise UserError("--fields: expected nothing, as the model takes the image alone.")
    if "=" in option:
        row = _said(option, names)
        return lambda places: [row] * len(places)
    return partial(_looked_up, _table(Path(option), names), option)


def check_names(given: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a field that a model does not have.

    Raises:
        UserError: it, with the nearest name.
    """
    for name in given:
        if name not in names:
            raise UserError(f"--fields: the model has no field '{name}'. {nearest(name, names)}")


def from_headers(places: Sequence[str], names: Sequence[str]) -> list[dict[str, str]]:
    """Return the fields of `DICOM_TAGS` of each DICOM file, "" where its header does not say."""
    from kmedtl.images.dicom import read_tags  # slow to import, and needed for DICOM files alone

    tags = {name: DICOM_TAGS[name.casefold()] for name in names if name.casefold() in DICOM_TAGS}
    job = Job(partial(read_tags, names=tuple(tags.values())), SECONDS, ("kmedtl.images.dicom",))
    headers = in_workers(job, list(places), "Reading DICOM headers")
    # Of what a worker died of nothing is known; the reader of pixels will say why.
    known = [header if isinstance(header, dict) else {} for header in headers]
    return [{name: header.get(tag, "") for name, tag in tags.items()} for header in known]


def _of_headers(names: Sequence[str], places: Sequence[str]) -> list[Values]:
    dicom = [place for place in places if names and Path(place).is_file() and is_dicom(Path(place))]
    known = dict(zip(dicom, from_headers(dicom, names), strict=True)) if dicom else {}
    return [known.get(place, {}) for place in places]


def _said(option: str, names: Sequence[str]) -> dict[str, str]:
    """Return `age=54,sex=F` as values by name; a value may hold commas."""
    parts = re.split(r",(?=\s*[^,=]+=)", option)
    pairs = [part.partition("=") for part in parts]
    row = {_own(name, names): value.strip() for name, _, value in pairs}
    check_names(list(row), names)
    return row


def _own(name: str, names: Sequence[str]) -> str:
    """Return a name as the model spells it, case aside."""
    plain = name.strip()
    return next((own for own in names if own.casefold() == plain.casefold()), plain)


def _table(path: Path, names: Sequence[str]) -> dict[str, list[Values]]:
    """Return the rows of a CSV that an image may mean by its path, its file name, or that without its suffix."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"--fields: {path}: expected a table of {LARGEST} bytes at most.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        reader = csv.DictReader(lines, delimiter=max(",;\t", key=lines[0].count))
        rows = list(reader)
    except (OSError, ValueError, IndexError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(
            f"--fields: expected age=54,sex=F or a CSV with a row an image; {path} cannot be read ({reason})."
        ) from None
    columns = list(reader.fieldnames or ())
    image = next((own for own in columns for name in IMAGES if own.strip().casefold() == name), columns[0])
    mine = {column: _own(column, names) for column in columns if _own(column, names) in names}
    if not mine:
        raise UserError(f"--fields: {path}: expected columns {', '.join(names)}. Received: {', '.join(columns)}.")
    found: dict[str, list[Values]] = {}
    for row in rows:
        values = {name: (row[column] or "").strip() for column, name in mine.items()}
        for key in _keys(row[image] or ""):
            meant = found.setdefault(key, [])
            meant += [] if values in meant else [values]
    return found


def _looked_up(table: Mapping[str, Sequence[Values]], option: str, places: Sequence[str]) -> list[Values]:
    """Return the row of each image."""
    rows = [next((table[key] for key in _keys(place) if key in table), []) for place in places]
    if places and not any(rows):
        raise UserError(f"--fields: {option}: expected a row an image; none names {Path(places[0]).name}.")
    for place, meant in zip(places, rows, strict=True):
        if len(meant) > 1:
            raise UserError(f"--fields: {option}: rows with different values for {Path(place).name}; write its path.")
    return [meant[0] if meant else {} for meant in rows]


def _keys(place: str) -> tuple[str, ...]:
    path = Path(place.strip())
    return tuple(dict.fromkeys((str(path), path.name, path.stem)))
