"""From what a source lists to a manifest: DICOM tags, patients, frames, pseudonyms; the same for every source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kmedtl.data.manifest import UNKNOWN, Manifest, from_rows
from kmedtl.data.matching import patients_of
from kmedtl.data.pseudonyms import hide_file, pseudonym
from kmedtl.data.sources import dicom_tags, examinations
from kmedtl.data.sources.labels import one_spelling
from kmedtl.data.sources.series_rows import as_volumes
from kmedtl.data.sources.volume_rows import GRID, NAME, slices_of, with_slices
from kmedtl.errors import UserError
from kmedtl.recipe import Data

MAX_FRAMES = 10_000  # a file that claims more is read at its middle frame, which it then has not got
# Columns of a DICOM row that say nothing of who it is; the findings besides.
HARMLESS = frozenset({
    "id", "path", "label", "patient", "split", "mask", "site", "frame", "study", "view", "laterality", "sex", "age",
    "patientsex", "patientage", "modality", "volume", "position", "examination",
})  # fmt: skip


def finish(
    rows: Sequence[dict],
    data: Data,
    source: str,
    findings: Sequence[str] = (),
    ignored: int = 0,
    masks: int = 0,
    notes: Iterable[str] = (),
    labelled: bool = True,
    named: bool = True,
) -> Manifest:
    """Complete a source's rows and make them a manifest; rows without a label are left out and counted.

    Args:
        rows: `id` (the name in the source), `path`, a label and what else is known.
        findings: of a multi-label source; a row has a number under each of these names instead of `label`.
        ignored, masks: files of the source that are no images; that are masks.
        notes: sentences on how the source was read.
        labelled: False where rows without labels are wanted.
        named: the names of files say something, so that `data.patient_pattern` applies.

    Raises:
        UserError: rows that contradict themselves, or of which not one has a label.
    """
    rows, told_of_views = examinations.with_views(dicom_tags.add(rows), data, source)
    rows, told_of_series = as_volumes(rows, data, source, findings)
    rows = with_slices(rows)
    examinations.check_volumes(rows, source)
    objects = Counter(kind for row in rows if (kind := row.get(dicom_tags.OBJECT) or _index(row)))
    rows = [row for row in rows if not (row.get(dicom_tags.OBJECT) or _index(row))]
    several = sum(row.get(dicom_tags.FRAMES, 1) > 1 for row in rows) if data.frames == "middle" else 0
    rows, spelling_notes = _spelled(rows, data.classes)
    kept = [row for row in rows if not labelled or _is_labelled(row, findings)]
    if rows and not kept:
        raise UserError(
            f"{source}: not one of its {len(rows)} images has a label in the table; see that the table calls them by "
            f"their names, such as '{_shown(rows[0], data)}'."
        )
    known = _find_patients(kept, data, source, named)
    kept = examinations.hidden(kept, data.keep_ids)
    images = [image for row in kept for image in _frames(row, data)]
    hidden = {name for image in images for name in _hide(image, findings, data.keep_ids)}
    question = answers(data.classes[0]) if len(data.classes) == 1 else data.classes
    return from_rows(
        images,
        tuple(findings) or (question if labelled else ()),
        source,
        multi_label=bool(findings) or not labelled,
        patients_known=known,
        ignored=ignored + objects.total(),
        masks=masks,
        unlabelled=len(rows) - len(kept),
        hidden=tuple(sorted(hidden)),
        notes=(*notes, *told_of_views, *told_of_series, *_notes(objects, several), *spelling_notes),
    )


def _index(row: dict) -> str:
    """Return what an archive's index of DICOM files is called, for a row of one, else ""."""
    return "DICOMDIR" if Path(row["path"]).name.upper() == "DICOMDIR" else ""


def _notes(objects: Counter[str], several: int) -> Iterator[str]:
    if objects:
        counts = ", ".join(f"{count} {kind}" for kind, count in objects.items())
        yield f"DICOM objects that are no images, left out: {counts}."
    if several:
        yield f"Files with several frames, of which the middle one is read (data.frames): {several}."


def _is_labelled(row: dict, findings: Sequence[str]) -> bool:
    return "label" in row or any(row.get(name, UNKNOWN) != UNKNOWN for name in findings)


def _spelled(rows: Sequence[dict], classes: Sequence[str]) -> tuple[list[dict], list[str]]:
    """Return rows whose labels have one spelling a class, and what was merged."""
    question = answers(classes[0]) if len(classes) == 1 else tuple(classes)
    merged, notes = one_spelling([row["label"] for row in rows if "label" in row], question)
    return [row | {"label": merged[row["label"]]} if "label" in row else row for row in rows], notes


def answers(finding: str) -> tuple[str, str]:
    """Return the two classes of a yes-or-no question."""
    return f"no {finding}", finding


def _find_patients(rows: Sequence[dict], data: Data, source: str, named: bool) -> bool:
    """Fill `patient`: the source's column, else DICOM's PatientID, else the recipe's pattern, else one an image."""
    given = any(row.get("patient") for row in rows)
    unnamed = [row for row in rows if not row.get("PatientID")] if data.patient_pattern and named and not given else []
    matches = iter(patients_of([row.get(NAME, row["id"]) for row in unnamed], data.patient_pattern))
    known = True
    for row in rows:
        if given:
            if not row.get("patient"):
                raise UserError(f"{source}: {_shown(row, data)} has no patient, others have; fill the column.")
        elif row.get("PatientID"):
            row["patient"] = row["PatientID"]
        elif data.patient_pattern and named:
            row["patient"] = _match(next(matches), row, data, source)
        else:
            row["patient"] = (data.views and row["examination"]) or row.get("volume") or row["id"]
            known = False
    return known


def _match(patient: str | None, row: dict, data: Data, source: str) -> str:
    if patient is None:
        raise UserError(
            f"{source}: data.patient_pattern finds no patient in the file name '{_shown(row, data)}'; correct the "
            "pattern, or set it to '' to count each image as a patient of its own."
        )
    return patient


def _shown(row: dict, data: Data) -> str:
    """Return what a message may call a row."""
    return row["id"] if data.keep_ids or dicom_tags.FRAMES not in row else f"{pseudonym(row['id'])}.dcm"


def _frames(row: dict, data: Data) -> list[dict]:
    """Return the row, or one for each slice of a volume, or each frame of a DICOM image where all are wanted."""
    if GRID in row:
        return slices_of(row)
    count = row.get(dicom_tags.FRAMES, 1)
    if row.get("frame") or count == 1 or count > MAX_FRAMES or data.frames == "middle":
        return [dict(row)]
    numbers = range(count) if data.frames == "all" else [data.frames]
    return [row | {"id": f"{row['id']}#{number}", "frame": str(number)} for number in numbers]


def _hide(image: dict, findings: Sequence[str], keep_ids: bool) -> set[str]:
    """Take what identifies a person out of a DICOM row, in place; return the columns that were left out for it.

    The column `patient` is hidden after the split.
    """
    is_dicom_row = image.pop(dicom_tags.FRAMES, None) is not None
    image.pop(NAME, None)
    image.pop(GRID, None)
    for name in (dicom_tags.OBJECT, dicom_tags.PLACED, dicom_tags.SCOUT):
        image.pop(name, None)
    institution = image.pop(dicom_tags.INSTITUTION, None)
    for name in dicom_tags.IDENTIFIERS:
        image.pop(name, None)
    if keep_ids or not is_dicom_row:
        return set()
    risky = {name for name in image if name.lower() not in HARMLESS and name not in findings}
    for name in risky:
        del image[name]
    image["id"], image["path"] = hide_file(image["path"], image["id"])
    if image.get("mask"):
        image["mask"] = "|".join(hide_file(mask, mask)[1] for mask in image["mask"].split("|"))
    if image.get("site") and image["site"] == institution:
        image["site"] = pseudonym(institution)
    image["study"] = pseudonym(image["study"]) if image.get("study") else ""
    return risky
