"""What DICOM headers tell of an image, without its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kmedtl.data.dicom import read_tags
from kmedtl.data.read_image import is_dicom
from kmedtl.data.workers import Failure, Job, in_workers

IDENTIFIERS = ("PatientID", "SOPInstanceUID", "StudyInstanceUID")  # needed to find labels, never written
COLUMNS = {"study": "StudyInstanceUID", "view": "ViewPosition", "site": "InstitutionName"}
NAMES = (*IDENTIFIERS, "ViewPosition", "InstitutionName", "ImageLaterality", "Laterality", "NumberOfFrames")
FRAMES = "\0frames"  # marks a DICOM row until `rows.finish` takes it out; no table has such a column
SECONDS = 5.0  # for one header


def add(rows: Sequence[dict]) -> list[dict]:
    """Return the rows; those of DICOM files with identifiers, `study`, `view`, `laterality`, `site` and `FRAMES`.

    What a row knows already stays. A header that cannot be read tells nothing; the reader of pixels will say why.

    Raises:
        UserError: the workers that read headers cannot start.
    """
    dicom = [number for number, row in enumerate(rows) if FRAMES not in row and is_dicom(Path(row["path"]))]
    job = Job(partial(read_tags, names=NAMES), SECONDS, ("kmedtl.data.dicom",))
    headers = in_workers(job, [rows[number]["path"] for number in dicom], "Reading DICOM headers")
    columns = {number: _columns(header) for number, header in zip(dicom, headers, strict=True)}
    known = [{name: value for name, value in row.items() if value != ""} for row in rows]
    return [row | columns.get(number, {}) | known[number] for number, row in enumerate(rows)]


def _columns(header: dict[str, str] | Failure) -> dict:
    tags = dict.fromkeys(NAMES, "") if isinstance(header, Failure) else header
    frames = tags["NumberOfFrames"]
    return {
        **{name: tags[name] for name in IDENTIFIERS},
        **{name: tags[tag] for name, tag in COLUMNS.items()},
        "laterality": tags["ImageLaterality"] or tags["Laterality"],
        FRAMES: int(frames) if frames.isdigit() and int(frames) else 1,
    }
