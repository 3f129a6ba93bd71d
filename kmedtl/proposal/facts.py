"""What can be told of a source of images without training: classes, masks, numbers, patients, colour, sizes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
import pandas as pd

from kmedtl.audit.suitability import LOOK, shows_colour
from kmedtl.data import sources
from kmedtl.data.manifest import OWN, SPLITS, Manifest
from kmedtl.data.mask_store import prepare_masks
from kmedtl.data.matching import patients_of
from kmedtl.errors import UserError
from kmedtl.images.decode import Facts, decode_all
from kmedtl.recipe import Data

SAMPLE = 64  # images that are decoded
LISTED = ("id", "path", "patient", "split", "mask", "site", "frame", "label", *OWN)  # columns that are no answers
NUMBERS = 0.9  # of a column's cells, from which on it holds numbers
DIFFERENT = 10  # numbers a column holds at least; fewer are names
# How names of files often tell the patient: as those of Kermany's films do, or at the beginning, `p07-b` or `sub-01_1`.
# A date has more digits, and where no `person` is among them, IM- may stand before the number of a series.
PATIENTS = {
    r"(person\d+)_|(IM-\d+)": "person",
    r"(?i)^((?:patient|person|subject|pat|pt)[-_ ]?\d{1,5}|sub-\d{1,5}|p\d{1,5})[-_ ]": "",
}


@dataclass(frozen=True)
class SourceFacts:
    """What is known of a source.

    Attributes:
        manifest: as far as it could be read; `Manifest.classes` is empty where images have none.
        pattern: that finds the patients of it in the names of files; empty: they are given, or not known.
        counts: class → images of it.
        masked: images with a mask.
        bare: classes none of whose images has a mask, where others' have.
        soft: whether masks are blurred, so that they are read by a threshold.
        numbers: columns that hold numbers.
        modalities: of DICOM files → images.
        coloured: whether most of the images looked at show more than shades of gray.
        side: median of the longer side of these, in pixels.
        deep: of these, those of more than 8 bits.
    """

    manifest: Manifest
    pattern: str
    counts: Mapping[str, int]
    masked: int
    bare: tuple[str, ...]
    soft: bool
    numbers: tuple[str, ...]
    modalities: Mapping[str, int]
    coloured: bool
    side: float
    deep: int

    @property
    def images(self) -> int:
        return len(self.manifest.table)

    @property
    def patients(self) -> int:
        return int(self.manifest.table["patient"].nunique())

    @property
    def splits(self) -> frozenset[str]:
        return frozenset(self.manifest.table["split"]) - {""}


def look(data: Data, seed: int) -> SourceFacts:
    """Return what can be told of `data.source`; a sample of its images is decoded.

    Raises:
        UserError: a source that cannot be read, or of which no image can be.
    """
    manifest, pattern = _with_patients(_listed(data, seed), data, seed)
    table = manifest.table
    if (table["volume"] != "").any():
        raise UserError(f"{manifest.source}: expected images. Received: volumes; start from recipes/hippocampus.yaml.")
    has_mask = (table["mask"] != "").to_numpy()
    members = manifest.members(table) if manifest.classes else {}
    bare = tuple(name for name, rows in members.items() if has_mask.any() and rows.any() and not has_mask[rows].any())
    sample = _sample(table)
    seen, coloured = _decoded(sample)
    return SourceFacts(
        manifest=manifest,
        pattern=pattern,
        counts={name: int(rows.sum()) for name, rows in members.items()},
        masked=int(has_mask.sum()),
        bare=bare,
        soft=bool(has_mask.any()) and _are_soft(table[has_mask], data),
        numbers=_numbers(table, manifest.classes),
        modalities=Counter(table["modality"].astype(str)) if "modality" in table else {},
        coloured=coloured,
        side=float(np.median([max(one.width, one.height) for one in seen])),
        deep=sum(one.bits > 8 for one in seen),
    )


def _listed(data: Data, seed: int) -> Manifest:
    """Return the manifest with classes where there are any, else without.

    Raises:
        UserError: neither can be had, or without classes nothing else could be asked.
    """
    try:
        return sources.load(data, seed, "wanted")
    except UserError as refusal:
        try:
            found = sources.load(data, seed, "unasked")
        except UserError:
            raise refusal from None
        table = found.table
        if not ((table["mask"] != "").any() or _numbers(table, ())):
            raise
        plain = table.drop(columns="label", errors="ignore").assign(stratum=0)
        return replace(found, table=plain, classes=(), multi_label=True)


def patients_by_class(manifest: Manifest) -> dict[str, int]:
    """Return how many patients each class has; of images without classes, by the name "", how many there are."""
    table = manifest.table
    members = manifest.members(table) or {"": np.ones(len(table), bool)}
    return {name: table.loc[rows, "patient"].nunique() for name, rows in members.items()}


def _with_patients(manifest: Manifest, data: Data, seed: int) -> tuple[Manifest, str]:
    """Return the manifest with the patients that names of files tell, and the pattern that finds them.

    Where no pattern does, it stays as it was, with an empty one.
    """
    pattern = "" if manifest.patients_known else _pattern(manifest.table["id"].tolist())
    if pattern:
        guessed = _listed(replace(data, patient_pattern=pattern), seed)
        if guessed.patients_known and _can_be_divided(guessed):
            return guessed, pattern
    return manifest, ""


def _pattern(names: Sequence[str]) -> str:
    """Return the first of `PATIENTS` that finds one in every name, and one of them in several of a folder; else ''.

    What is the same in several folders alone may be a number that begins anew in each.
    """
    folders = [PurePath(name).parent for name in names]
    for pattern, word in PATIENTS.items():
        found = patients_of(names, pattern)
        if None not in found and len(set(zip(folders, found, strict=True))) < len(names) and word in "".join(names):
            return pattern
    return ""


def _can_be_divided(manifest: Manifest) -> bool:
    """Tell whether each class has patients enough for a run, and none is in two splits that the source gives."""
    given = manifest.table[manifest.table["split"] != ""].groupby("patient")["split"].nunique()
    return min(patients_by_class(manifest).values()) >= len(SPLITS) and bool((given <= 1).all())


def _numbers(table: pd.DataFrame, classes: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for name in table.columns.difference([*LISTED, *classes], sort=False):
        values = pd.to_numeric(table[name], errors="coerce")
        if values.notna().mean() >= NUMBERS and values.nunique() >= DIFFERENT:
            found.append(str(name))
    return tuple(found)


def _sample(table: pd.DataFrame) -> pd.DataFrame:
    order = table["id"].map(lambda name: hashlib.sha256(str(name).encode()).hexdigest())
    return table.loc[order.sort_values().index[:SAMPLE]]


def _files(sample: pd.DataFrame) -> list[tuple[str, int | None]]:
    return [(path, int(frame) if frame else None) for path, frame in zip(sample["path"], sample["frame"], strict=True)]


def _decoded(sample: pd.DataFrame) -> tuple[list[Facts], bool]:
    """Return the facts of the readable images, and whether most of them are coloured.

    Raises:
        UserError: none can be read.
    """
    answers = list(decode_all(_files(sample), LOOK))
    seen = [(facts, pixels) for facts, pixels in answers if pixels is not None]
    if not seen:
        raise UserError(f"{sample['id'].iloc[0]}: no image of a sample can be read, first: {answers[0][0].error}.")
    return [facts for facts, _ in seen], sum(shows_colour(pixels) for _, pixels in seen) > len(seen) / 2


def _are_soft(masked: pd.DataFrame, data: Data) -> bool:
    """Tell whether masks can be read by a threshold alone."""
    sample = _sample(masked)
    sizes = [(facts.width, facts.height) for facts, _ in decode_all(_files(sample), LOOK)]
    table = sample.assign(width=[width for width, _ in sizes], height=[height for _, height in sizes])
    table = table[table["width"] > 0]

    def readable(how: Data) -> bool:
        try:
            prepare_masks(table, how)
        except UserError:
            return False
        return True

    small = replace(data, size=LOOK.size)
    return not readable(small) and readable(replace(small, soft_masks="threshold"))
