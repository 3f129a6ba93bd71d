"""Images without labels that a run learns from: listed, and divided from those of whoever it is judged by.

An image of a patient of validation or test would teach the model what it is judged by, label or not. So would a picture
of theirs under another name, which only the pixels tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from kmedtl.audit.across import common_pictures
from kmedtl.data import sources, splits
from kmedtl.data.manifest import UNKNOWN, Labels, Manifest
from kmedtl.data.matching import patients_of
from kmedtl.data.pipeline import Pipeline
from kmedtl.data.pseudonyms import pseudonym
from kmedtl.data.spelling import spelling_key
from kmedtl.data.store import Store
from kmedtl.errors import UserError, expect
from kmedtl.images.reading import Aspect
from kmedtl.recipe import Data

JUDGED = ("val", "test")


@dataclass(frozen=True)
class Unlabelled:
    """Images without labels, looked at beside the labelled ones.

    Attributes:
        source: its name, without where it lies.
        store: their pixels.
        table: a row an image: `id`, `path`, `patient` (the name that the labelled images have for the same person),
            `record`, and `twin`, a number that images of the same picture share.
        twins: number of a twin in the labelled images' table → that of the same picture here.
        notes: what a person should know of them.
        patients_known: both sources say whom their images are of.
    """

    source: str
    store: Store
    table: pd.DataFrame
    twins: Mapping[int, int]
    notes: tuple[str, ...]
    patients_known: bool


def source_of(data: Data) -> Data:
    """Return how the images without labels are read: as the labelled ones, of which no label is asked."""
    columns = {name: column for name, column in data.columns.items() if name not in ("label", *data.classes)}
    return replace(
        data, source=data.unlabelled, unlabelled="", labels="", columns=columns, classes=(), structures={},
        limit=None, train_limit=None, val_as_test=False, copies="keep",
    )  # fmt: skip


def load(data: Data, seed: int, labels: Labels) -> Manifest:
    """Return the manifest of a source whose labels are not asked: without those that it tells all the same.

    Images that the source itself sets apart for validation or test are left out.

    Raises:
        UserError: a source that cannot be used, slices of volumes, or one all of whose images are set apart.
    """
    manifest = _with_patients(sources.load(replace(data, patient_pattern=""), seed, labels), data.patient_pattern)
    table = manifest.table
    if (table["volume"] != "").any() or (table["examination"] != "").any():
        raise UserError(f"data.unlabelled: expected images. Received: volumes or examinations, {manifest.source}.")
    apart = table["split"].isin(JUDGED)
    if apart.all():
        raise UserError(f"data.unlabelled: {manifest.source} keeps all of its images for validation and test.")
    told = (f"Unlabelled images that their source keeps for validation or test, left out: {apart.sum()}.",)
    without = [name for name in (*manifest.classes, "label") if name in table]
    free = table[~apart].drop(columns=without).assign(split="", stratum=0).reset_index(drop=True)
    notes = (*manifest.notes, *(told if apart.any() else ()))
    return replace(manifest, table=free, classes=(), multi_label=True, unlabelled=0, notes=notes)


def _with_patients(manifest: Manifest, pattern: str) -> Manifest:
    """Return the manifest with the patients that the labelled images' pattern finds in names of files, if it finds any.

    Raises:
        UserError: it finds them in some names alone.
    """
    if manifest.patients_known or not pattern:
        return manifest
    patients = patients_of(manifest.table["id"].tolist(), pattern)
    count = sum(patient is not None for patient in patients)
    if not count:
        return manifest
    wanted = f"one that finds a patient in every name of {manifest.source} (data.unlabelled), or in none"
    expect(count == len(patients), "data.patient_pattern", wanted, f"{count} of {len(patients)}")
    named = manifest.table.assign(patient=pd.Series(patients, manifest.table.index, object))
    return replace(manifest, table=named, patients_known=True)


def beside(
    labelled: tuple[Manifest, pd.DataFrame, Store],
    found: tuple[Manifest, pd.DataFrame, Store],
    data: Data,
    warnings: tuple[str, ...],
) -> Unlabelled:
    """Return images without labels as a run may take them: by the names and numbers of the labelled ones.

    Args:
        labelled, found: of each source the manifest, every readable image with `record`, `twin` and `poor`, and the
            store.
        warnings: of the audit of the unlabelled ones.

    Raises:
        UserError: all show next to nothing, or they are synthetic and the labelled ones are not.
    """
    (known, listed, store), (manifest, table, others) = labelled, found
    is_like = known.synthetic or not manifest.synthetic
    expect(is_like, "data.unlabelled", "real images beside real ones", manifest.source)
    poor = table["poor"] != ""
    if poor.all():
        raise UserError(f"data.unlabelled: {manifest.source}: all of its images show next to nothing; see data.window.")
    usable = table[~poor].reset_index(drop=True)
    aspect: Aspect = data.aspect
    drawn = known.synthetic or manifest.synthetic
    mine, theirs = common_pictures((listed, store), (usable, others), aspect, drawn)
    both_known = known.patients_known and manifest.patients_known
    notes = [f"Unlabelled images ({manifest.source_name}): {warning}" for warning in warnings]
    if poor.any():
        notes.append(f"Unlabelled images that show next to nothing, left out: {poor.sum()}.")
    if both_known:
        shared = usable["patient"].map(spelling_key).isin(set(listed["patient"].map(spelling_key)))
        notes.append(
            f"Patients of labelled and of unlabelled images: {usable['patient'][shared].nunique()} are in both."
        )
    else:
        notes.append(
            "Labelled or unlabelled images name no patient: whoever is in both may be in validation or test, and be "
            "learned from; only pictures were compared."
        )
    patients = _as_known(usable["patient"], listed["patient"], data.same_patients) if both_known else usable["id"]
    rows = usable[["id", "path", "record"]].assign(patient=patients, twin=theirs)
    twins = dict(zip(listed["twin"].tolist(), mine.tolist(), strict=True))
    return Unlabelled(manifest.source_name, others, rows, twins, tuple(notes), both_known)


def _as_known(patients: pd.Series, known: pd.Series, same: bool) -> pd.Series:
    """Return each patient by the name that the labelled images have for it, if they differ in spelling alone."""
    if not same:
        return patients
    name_of = {spelling_key(name): name for name in known.unique()}
    return patients.map(lambda name: name_of.get(spelling_key(name), name))


def left_out(found: Unlabelled, table: pd.DataFrame) -> pd.Series:
    """Return why each image may not be learned from, text (N,); "" of those that may.

    Args:
        table: a division of the labelled images: `patient`, `twin` and `split`.
    """
    twins = table["twin"].map(found.twins)
    is_judged = table["split"].isin(JUDGED)
    images, judged = found.table, table[is_judged]
    if found.patients_known:
        people, barred = images["patient"].map(pseudonym), judged["patient"].map(pseudonym)
    else:  # a name that both have says nothing
        people, barred = "unlabelled " + images["id"], "labelled " + judged["id"]
    both = pd.DataFrame(
        {
            "patient": [*people, *barred],
            "twin": [*images["twin"], *twins[is_judged]],
            "is_judged": np.arange(len(images) + len(judged)) >= len(images),
        }
    )
    linked = both.groupby(splits.groups(both))["is_judged"].transform("any").to_numpy()[: len(images)]
    reasons = pd.Series("", index=images.index)
    reasons[images["twin"].isin(twins[~is_judged])] = "pictures of training"
    reasons[linked] = "pictures of validation or test, or of patients who have one"
    reasons[people.isin(barred)] = "patients of validation or test"
    return reasons


def check_left(found: Unlabelled, table: pd.DataFrame) -> None:
    """Refuse a source of which nothing is left to learn from.

    Raises:
        UserError: why its images are left out.
    """
    reasons = left_out(found, table)
    if (reasons != "").all():
        told = "; ".join(f"{count} of {reason}" for reason, count in reasons.value_counts().items())
        raise UserError(f"data.unlabelled: {found.source}: none of its images may be learned from: {told}.")


def notes_of(found: Unlabelled, table: pd.DataFrame) -> tuple[str, ...]:
    """Return what is to be told of the images beside a division of the labelled ones."""
    reasons = left_out(found, table)
    counts = reasons[reasons != ""].value_counts().sort_index()
    told = [f"Unlabelled images that were left out, of {reason}: {count}." for reason, count in counts.items()]
    used = found.table[reasons == ""]
    return (
        *found.notes,
        *told,
        f"Unlabelled images that are learned from: {len(used)}, of {used['patient'].nunique()} patients.",
    )


def pipeline_of(found: Unlabelled, table: pd.DataFrame, training: Pipeline) -> Pipeline:
    """Return the images that may be learned from beside a division, each target unknown.

    Args:
        training: the labelled images of training, whose targets these have the form of.
    """
    free = found.table[(left_out(found, table) == "").to_numpy()]
    rows = free.assign(patient=free["patient"].map(pseudonym), split="", stratum=0, volume="", examination="")
    rows = rows.sort_values("record").reset_index(drop=True)
    targets = {
        name: np.full((len(rows), *array.shape[1:]), UNKNOWN, np.float32) for name, array in training.targets.items()
    }
    return Pipeline(found.store, rows, targets, training.batch_size)
