"""What DICOM headers tell of an image, without its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kmedtl.images.dicom import read_tags
from kmedtl.images.file_kinds import is_dicom
from kmedtl.images.workers import Failure, Job, in_workers

IDENTIFIERS = (
    "PatientID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)  # needed to find labels, never written
COLUMNS = {"study": "StudyInstanceUID", "site": "InstitutionName"}
# Coded tags and the values that the standard gives them; anything else may be free text, and is not taken over.
VIEWS = frozenset({
    "AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "ML", "MLO", "LM", "LMO", "CC", "FB", "SIO", "ISO", "XCC",
    "XCCL", "XCCM", "LATERAL", "LAT",
})  # fmt: skip
SIDES = frozenset({"R", "L", "U", "B"})
MODALITIES = frozenset({
    "CR", "CT", "DX", "ES", "GM", "IO", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OPT", "OT", "PT", "PX", "RF", "RG",
    "SC", "SM", "US", "XA", "XC",
})  # fmt: skip
NAMES = (
    *IDENTIFIERS, "ViewPosition", "InstitutionName", "ImageLaterality", "Laterality", "Modality", "NumberOfFrames",
    "ImagePositionPatient", "ImageType",
)  # fmt: skip
# Columns that mark a DICOM row until `rows.finish` takes them out; no table has such.
FRAMES = "\0frames"
INSTITUTION = "\0institution"
OBJECT = "\0object"  # what a DICOM object is that is no image
PLACED = "\0placed"  # whether a file says where in the patient it lies
SCOUT = "\0scout"  # whether it is a localizer
NO_IMAGES = frozenset({"SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "SR", "PR", "KO", "REG", "DOC", "AU", "ECG"})
SECONDS = 5.0  # for one header


def add(rows: Sequence[dict]) -> list[dict]:
    """Return the rows; those of DICOM files with identifiers, `study`, `view`, `laterality`, `modality`, `site`.

    What a row knows already stays. A header that cannot be read tells nothing; the reader of pixels will say why.

    Raises:
        UserError: the workers that read headers cannot start.
    """
    dicom = [number for number, row in enumerate(rows) if FRAMES not in row and is_dicom(Path(row["path"]))]
    job = Job(partial(read_tags, names=NAMES), SECONDS, ("kmedtl.images.dicom",))
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
        INSTITUTION: tags["InstitutionName"],
        OBJECT: tags["Modality"].upper() if tags["Modality"].upper() in NO_IMAGES else "",
        "view": _coded(tags["ViewPosition"], VIEWS),
        "laterality": _coded(tags["ImageLaterality"] or tags["Laterality"], SIDES),
        "modality": _coded(tags["Modality"], MODALITIES),
        PLACED: bool(tags["ImagePositionPatient"]),
        SCOUT: "LOCALIZER" in tags["ImageType"].upper(),
        FRAMES: int(frames) if frames.isdigit() and int(frames) else 1,
    }


def _coded(text: str, values: frozenset[str]) -> str:
    """Return a coded value, or "" for what the standard does not know."""
    return text.upper() if text.upper() in values else ""
