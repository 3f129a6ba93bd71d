"""What is known beside the images to be answered: said for all of them, in a table, or in each DICOM header."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from kmedtl.edge.fields import Fields, Values
from kmedtl.edge.image_tables import keys_of, own_name, rows_by_image
from kmedtl.errors import UserError, nearest
from kmedtl.images.file_kinds import is_dicom
from kmedtl.images.workers import Job, in_workers

DICOM_TAGS = {"age": "PatientAge", "sex": "PatientSex", "weight": "PatientWeight", "height": "PatientSize"}
SECONDS = 5.0  # for one header

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
    return partial(_looked_up, rows_by_image(Path(option), names, "--fields", "age=54,sex=F or "), option)


def check_names(given: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a field that a model does not have.

    Raises:
        UserError: it, with the nearest name.
    """
    for name in given:
        if name not in names:
            raise UserError(f"--fields: the model has no field '{name}'. {nearest(name, names)}")


def dicom_file(place: str) -> str:
    """Return the DICOM file whose header tells of an image, of a series the first in its folder; "" of other images."""
    path = Path(place)
    if path.is_dir():
        return next((str(file) for file in sorted(path.rglob("*")) if file.is_file() and is_dicom(file)), "")
    return place if path.is_file() and is_dicom(path) else ""


def from_headers(files: Sequence[str], names: Sequence[str]) -> list[dict[str, str]]:
    """Return the fields of `DICOM_TAGS` of DICOM files, as of `dicom_file`: "" where a header does not say.

    Of "", which stands for no such file, nothing is known.
    """
    from kmedtl.images.dicom import read_tags  # slow to import, and needed for DICOM files alone

    tags = {name: DICOM_TAGS[name.casefold()] for name in names if name.casefold() in DICOM_TAGS}
    job = Job(partial(read_tags, names=tuple(tags.values())), SECONDS, ("kmedtl.images.dicom",))
    each = list(dict.fromkeys(filter(None, files)))  # slices have one in common
    headers = dict(zip(each, in_workers(job, each, "Reading DICOM headers"), strict=True))
    # Of what a worker died of nothing is known; the reader of pixels will say why.
    known = {file: header for file, header in headers.items() if isinstance(header, dict)}
    return [{name: known.get(file, {}).get(tag, "") for name, tag in tags.items()} if file else {} for file in files]


def _of_headers(names: Sequence[str], places: Sequence[str]) -> list[Values]:
    files = [dicom_file(place) if names else "" for place in places]
    return [*from_headers(files, names)] if any(files) else [{} for _ in places]


def _said(option: str, names: Sequence[str]) -> dict[str, str]:
    """Return `age=54,sex=F` as values by name; a value may hold commas."""
    parts = re.split(r",(?=\s*[^,=]+=)", option)
    pairs = [part.partition("=") for part in parts]
    row = {own_name(name, names): value.strip() for name, _, value in pairs}
    check_names(list(row), names)
    return row


def _looked_up(table: Mapping[str, Sequence[Values]], option: str, places: Sequence[str]) -> list[Values]:
    """Return the row of each image."""
    rows = [next((table[key] for key in keys_of(place) if key in table), []) for place in places]
    if places and not any(rows):
        raise UserError(f"--fields: {option}: expected a row an image; none names {Path(places[0]).name}.")
    for place, meant in zip(places, rows, strict=True):
        if len(meant) > 1:
            raise UserError(f"--fields: {option}: rows with different values for {Path(place).name}; write its path.")
    return [meant[0] if meant else {} for meant in rows]
