"""What is in the data, before anything is trained: counts, copies, leaks, shortcuts, every file that was left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kmedtl.audit.looking import look_at
from kmedtl.audit.near_duplicates import fingerprint, near_duplicates
from kmedtl.audit.pixels import POOR, poor_pixels
from kmedtl.audit.shortcuts import Shortcut, file_properties, frame, readability, readability_of_each
from kmedtl.audit.volumes import stands_for_all
from kmedtl.data import splits
from kmedtl.data.manifest import SPLITS, UNKNOWN, Manifest
from kmedtl.data.spelling import one_spelling
from kmedtl.data.store import Store
from kmedtl.data.tabular import Kinds, encoded, learned_fields
from kmedtl.errors import UserError
from kmedtl.images.reading import Aspect

PLACES = {
    "frame": "the border and corners of the images alone",
    "file": "size, mode and bits of the files alone",
    "fields": "the fields beside the images alone",
}
MOST_TELLING = 4  # findings that are listed one by one
TELLING = 0.6  # a shortcut is a warning where even the lower end of its AUC is above; random labels stay below


@dataclass(frozen=True)
class Audit:
    """Counts and findings, as `audit.json` holds them.

    Attributes:
        found: files in the source (each frame for itself, where frames are images); ignored + masks + unlabelled +
            set_aside + listed.
        ignored: files that are not images.
        masks: files that are masks of images.
        unlabelled: images without a label.
        set_aside: images left out by `data.limit`.
        listed: images of the manifest; used + unreadable.
        used: images that could be read.
        unreadable: id → reason.
        duplicates: groups of ids whose files are byte for byte the same.
        near_duplicates: groups of ids that show the same picture in different files.
        conflicts: groups of either kind whose labels differ.
        leaks: pairs of ids of one patient, or one picture, in two of the splits that the source gave.
        burned_in: ids whose DICOM header says that text is burned into the pixels.
        poor: what is wrong with their pixels (`kmedtl.audit.pixels.POOR`) → ids.
        more_pages: images of files that hold further pages, which are not read.
        images, patients: class → count of the readable images.
        splits: split that the source gave → images; empty where it gave none.
        sites, sizes, modes, bits: as found → images.
        shortcuts: how well the label can be read from the border, from the files' properties, and from any fields.
        warnings: sentences for a person.
        spellings: groups of ids, an image a spelling, of patients who have several that count as one.
        suspected_leaks: those of `leaks` that are leaks only if the spellings are of one patient.
    """

    source: str
    synthetic: bool
    found: int
    ignored: int
    masks: int
    unlabelled: int
    set_aside: int
    listed: int
    used: int
    unreadable: dict[str, str]
    duplicates: tuple[tuple[str, ...], ...]
    near_duplicates: tuple[tuple[str, ...], ...]
    conflicts: tuple[tuple[str, ...], ...]
    leaks: tuple[tuple[str, str], ...]
    burned_in: tuple[str, ...]
    poor: dict[str, tuple[str, ...]]
    more_pages: int
    images: dict[str, int]
    patients: dict[str, int]
    splits: dict[str, int]
    sites: dict[str, int]
    sizes: dict[str, int]
    modes: dict[str, int]
    bits: dict[str, int]
    shortcuts: tuple[Shortcut, ...]
    warnings: tuple[str, ...]
    spellings: tuple[tuple[str, ...], ...] = ()
    suspected_leaks: tuple[tuple[str, str], ...] = ()


def audit(
    manifest: Manifest,
    store: Store,
    max_unreadable: float,
    seed: int,
    same_patients: bool = True,
    aspect: Aspect = "stretch",
    tabular: Kinds = MappingProxyType({}),
) -> tuple[Audit, pd.DataFrame]:
    """Return the audit, and the table of readable images with their `record` in the store, `twin` and `poor`.

    Images have the same `twin` (an int) where they are the same picture; `poor` is as of `poor_pixels`.

    Args:
        max_unreadable: fraction of the images that may be unreadable.
        same_patients: patients whose ids differ only in spelling get the first of them, in the table too.
        aspect: how the images lie in the store's squares.
        tabular: fields beside the images; those that are columns of the manifest are looked at.

    Raises:
        UserError: more unreadable files than allowed, or a class without a readable image.
    """
    unreadable = _unreadable(manifest, store.facts, max_unreadable)
    facts = store.facts.drop(columns=["frame", "stamp", "error"])
    table = manifest.table.merge(facts, on="id", validate="1:1", suffixes=("_of_source", ""))
    table = table[table["record"] >= 0].reset_index(drop=True)
    for name, members in manifest.members(table).items():
        if not members.any() and not manifest.multi_label:
            reason = next(iter(unreadable.values()), "none is listed")
            raise UserError(f"{manifest.source}: no image of the class '{name}' can be read; first: {reason}.")
    prints, frames, poor = (features[table["record"]] for features in _look(store, aspect))
    compared = stands_for_all(table)
    prints[~compared], poor[~compared] = 0, ""
    # Empty slices are alike in everybody: they link no patients.
    contents = table["sha256"].where(poor != "constant", table["id"])
    table["twin"] = _twins(manifest, contents, prints)
    table["poor"] = poor
    as_spelled = table["patient"]
    if same_patients and manifest.patients_known and not manifest.synthetic:
        table["patient"] = one_spelling(as_spelled)
    features = {"frame": frames, "file": file_properties(table[["width", "height", "mode", "bits"]])}
    features |= _fields(manifest, table, tabular)
    found = _sum_up(manifest, table, as_spelled, unreadable, _shortcuts(manifest, table, features, seed))
    kept = manifest.table.merge(table[["id", "record", "twin", "poor"]], on="id", validate="1:1")
    return found, kept.assign(patient=kept["id"].map(table.set_index("id")["patient"]))


def _unreadable(manifest: Manifest, facts: pd.DataFrame, max_unreadable: float) -> dict[str, str]:
    failed = facts[facts["record"] < 0]
    unreadable = dict(zip(failed["id"], failed["error"], strict=True))
    allowed = int(max_unreadable * len(facts))
    if len(unreadable) > allowed or len(unreadable) == len(facts):
        first = "; ".join(f"{name}: {reason}" for name, reason in list(unreadable.items())[:10])
        raise UserError(
            f"{manifest.source}: {len(unreadable)} of {len(facts)} images are unreadable, allowed: {allowed}; "
            f"mend or remove them, or raise data.max_unreadable ({max_unreadable}). First: {first}."
        )
    return unreadable


def _look(store: Store, aspect: Aspect) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return fingerprints, border features and `poor_pixels` of every image in the order of `record`, in one pass."""
    features = [
        (fingerprint(inner), frame(images), poor_pixels(inner))
        for images, inner in look_at(store, aspect, "Looking at images")
    ]
    prints, frames, poor = (np.concatenate(parts) for parts in zip(*features, strict=True))
    return prints, frames, poor


def _twins(manifest: Manifest, contents: pd.Series, prints: np.ndarray) -> np.ndarray:
    """Return a number for each picture: rows of the same bytes, or linked by near-duplicate pairs, share it."""
    same, distinct = pd.factorize(contents)
    first = np.unique(same, return_index=True)[1]
    # Rendered films are never saved twice, but too poor in detail to be told apart by it.
    pairs = [] if manifest.synthetic else near_duplicates(prints[first])
    ends = np.array(pairs, int).reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(distinct), len(distinct)))
    return connected_components(links, directed=False)[1][same]


def _fields(manifest: Manifest, table: pd.DataFrame, tabular: Kinds) -> dict[str, np.ndarray]:
    """Return the fields of the images as a model would take them; nothing where there are none."""
    known = {name: kind for name, kind in tabular.items() if name in manifest.table}
    if not known:
        return {}
    own = manifest.table.set_index("id").loc[table["id"]]
    return {"fields": encoded(learned_fields(known, own), own)}


def _shortcuts(
    manifest: Manifest, table: pd.DataFrame, features: dict[str, np.ndarray], seed: int
) -> tuple[Shortcut, ...]:
    """Ask of each finding whether something beside the image tells it."""
    if not manifest.findings:
        return ()
    targets, patients = manifest.targets(table), table["patient"].to_numpy(str)
    if len(manifest.findings) == 1:
        known = targets[:, 0] != UNKNOWN
        positive = targets[known, 0] == 1
        each = {what: [readability(of[known], positive, patients[known], seed)] for what, of in features.items()}
    else:
        each = {what: readability_of_each(of, targets, patients, seed) for what, of in features.items()}
    return tuple(
        Shortcut(what, name, auc)
        for number, name in enumerate(manifest.findings)
        for what, found in each.items()
        if (auc := found[number]) is not None
    )


def _sum_up(
    manifest: Manifest,
    table: pd.DataFrame,
    as_spelled: pd.Series,
    unreadable: dict[str, str],
    shortcuts: tuple[Shortcut, ...],
) -> Audit:
    pictures = [part for _, part in table.groupby("twin") if len(part) > 1]
    given = table["split"].value_counts()
    members = manifest.members(table)
    leaks, certain = splits.leaks(table), splits.leaks(table.assign(patient=as_spelled))
    spelled = table.assign(spelling=as_spelled).drop_duplicates(["patient", "spelling"])
    found = Audit(
        source=manifest.source_name,
        synthetic=manifest.synthetic,
        found=len(manifest.table) + manifest.ignored + manifest.masks + manifest.unlabelled + manifest.set_aside,
        ignored=manifest.ignored,
        masks=manifest.masks,
        unlabelled=manifest.unlabelled,
        set_aside=manifest.set_aside,
        listed=len(manifest.table),
        used=len(table),
        unreadable=unreadable,
        duplicates=_ids([part for _, part in table.groupby("sha256") if len(part) > 1]),
        near_duplicates=_ids([part for part in pictures if part["sha256"].nunique() > 1]),
        conflicts=_ids([part for part in pictures if len(np.unique(manifest.targets(part), axis=0)) > 1]),
        leaks=tuple(leaks),
        burned_in=tuple(table.loc[table["burned_in"], "id"]),
        poor={kind: tuple(table.loc[table["poor"] == kind, "id"]) for kind in POOR if (table["poor"] == kind).any()},
        more_pages=int(table["more_pages"].sum()),
        images={name: int(rows.sum()) for name, rows in members.items()},
        patients={name: int(table.loc[rows, "patient"].nunique()) for name, rows in members.items()},
        splits={name: int(given[name]) for name in SPLITS if name in given},
        sites=_counts(table.loc[table["site"] != "", "site"]),
        sizes=_counts(table["width"].astype(str) + "×" + table["height"].astype(str)),
        modes=_counts(table["mode"]),
        bits=_counts(table["bits"]),
        shortcuts=shortcuts,
        warnings=(),
        spellings=_ids([part for _, part in spelled.groupby("patient") if len(part) > 1]),
        suspected_leaks=tuple(pair for pair in leaks if pair not in certain),
    )
    return replace(found, warnings=tuple(_warnings(found, manifest, table)))


def _warnings(found: Audit, manifest: Manifest, table: pd.DataFrame) -> Iterator[str]:
    """Yield what a person should know, the gravest first."""
    if found.leaks:
        first = " and ".join(found.leaks[0])
        yield f"LEAKAGE: patients or pictures in two of the given splits: {len(found.leaks)}, first: {first}."
    if found.spellings:
        first = " and ".join(found.spellings[0][:2])
        yield (
            f"Patients whose ids differ only in spelling count as one: {len(found.spellings)}, first: those of "
            f"{first}; if they are different people, say --set data.same_patients=false."
        )
    if found.conflicts:
        first = " and ".join(found.conflicts[0])
        yield f"Pictures listed under two labels: {len(found.conflicts)}, first: {first}."
    for what, place in PLACES.items():
        telling = [shortcut for shortcut in found.shortcuts if shortcut.what == what and shortcut.auc.low > TELLING]
        telling.sort(key=lambda shortcut: -shortcut.auc.low)
        for shortcut in telling[:MOST_TELLING]:
            yield f"{shortcut.finding} can be read from {place}: AUC {shortcut.auc}, chance is 0.5."
        if len(telling) > MOST_TELLING:
            yield f"{len(telling) - MOST_TELLING} more can be read from {place}: audit.json has their AUCs."
    if found.duplicates:
        files = sum(map(len, found.duplicates))
        yield f"Files that are copies, byte for byte: {files}, of {len(found.duplicates)} pictures; they share a split."
    patient_of = table.set_index("id")["patient"]
    strangers = [group for group in found.near_duplicates if patient_of[list(group)].nunique() > 1]
    if strangers:
        files = sum(map(len, strangers))
        yield f"{files} files of different patients show only {len(strangers)} pictures; each picture is in one split."
    for kind, ids in found.poor.items():
        yield f"{kind.capitalize()} images, which show next to nothing: {len(ids)}, first: {ids[0]}; see data.window."
    if found.more_pages:
        yield f"Files with further pages, of which the first alone is read: {found.more_pages}."
    if found.burned_in:
        yield f"Images with text burned into their pixels, as their header says: {len(found.burned_in)}."
    absent = [name for name, count in found.images.items() if not count]
    if absent:
        more = f" or {len(absent) - MOST_TELLING} more" if len(absent) > MOST_TELLING else ""
        yield f"No image shows {', '.join(absent[:MOST_TELLING])}{more}."
    yield from manifest.notes
    if manifest.hidden:
        yield f"Columns left out, since they may name a person (--keep-ids keeps them): {', '.join(manifest.hidden)}."
    if found.unreadable:
        yield f"Unreadable images that were left out: {len(found.unreadable)}; audit.json names them."
    if found.unlabelled:
        yield f"Images without a label that were left out: {found.unlabelled}."
    if not manifest.patients_known:
        table = manifest.table
        each = "volume" if (table["volume"] != "").all() else "image"
        each = "examination" if (table["patient"] == table["examination"]).all() else each
        yield f"No patient ids: each {each} counts as a patient of its own, so leakage can't be excluded."


def _ids(groups: list[pd.DataFrame]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(part["id"]) for part in groups)


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(value): int(count) for value, count in values.value_counts().items()}
