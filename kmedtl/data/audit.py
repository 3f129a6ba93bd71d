"""What is in the data, before anything is trained: counts, patients, and every file that was left out."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kmedtl.data.manifest import Manifest
from kmedtl.errors import UserError


@dataclass(frozen=True)
class Audit:
    """Counts and findings, as `audit.json` holds them.

    Attributes:
        listed, used: images in the manifest, and those that could be read.
        ignored: files of the source that are not images.
        unreadable: id → reason.
        duplicates: groups of ids whose files are byte for byte the same.
        conflicts: those groups whose members carry different labels.
        images, patients: class name → count, of the readable images.
        sizes: (width, height) → count, as text.
        modes: pixel mode as found in the file → count.
        warnings: sentences for a person.
    """

    source: str
    synthetic: bool
    listed: int
    used: int
    ignored: int
    unreadable: dict[str, str]
    duplicates: tuple[tuple[str, ...], ...]
    conflicts: tuple[tuple[str, ...], ...]
    images: dict[str, int]
    patients: dict[str, int]
    sizes: dict[str, int]
    modes: dict[str, int]
    warnings: tuple[str, ...]


def audit(manifest: Manifest, facts: pd.DataFrame, max_unreadable: float) -> tuple[Audit, pd.DataFrame]:
    """Return the audit and the table of readable images, with their `record` in the store and their `sha256`.

    Args:
        facts: `Store.facts` of the same manifest.
        max_unreadable: fraction of the images that may be unreadable.

    Raises:
        UserError: more unreadable files than allowed, or a class without a readable image.
    """
    unreadable = dict(facts.loc[facts["record"] < 0, ["id", "error"]].itertuples(index=False))
    allowed = int(max_unreadable * len(facts))
    if len(unreadable) > allowed:
        first = "; ".join(f"{name}: {reason}" for name, reason in list(unreadable.items())[:10])
        raise UserError(
            f"{manifest.source}: {len(unreadable)} of {len(facts)} images are unreadable, allowed are {allowed} "
            f"(data.max_unreadable={max_unreadable}); first: {first}."
        )
    table = manifest.table.merge(facts[["id", "record", "sha256"]], on="id", validate="1:1")
    table = table[table["record"] >= 0].reset_index(drop=True)
    for label, name in enumerate(manifest.classes):
        if not (table["label"] == label).any():
            raise UserError(f"{manifest.source}: no image of the class '{name}' can be read.")
    return _summary(manifest, table, facts[facts["record"] >= 0], unreadable), table


def _summary(manifest: Manifest, table: pd.DataFrame, readable: pd.DataFrame, unreadable: dict) -> Audit:
    by_class = table.groupby("label")
    warnings = []
    if unreadable:
        warnings.append(f"{len(unreadable)} unreadable images were left out; audit.json names them.")
    same = [part for _, part in table.groupby("sha256") if len(part) > 1]
    duplicates = tuple(tuple(part["id"]) for part in same)
    conflicts = tuple(tuple(part["id"]) for part in same if part["label"].nunique() > 1)
    if duplicates:
        warnings.append(f"{sum(map(len, duplicates))} images are copies of {len(duplicates)}; copies share a split.")
    if conflicts:
        warnings.append(f"{len(conflicts)} images are listed under two labels, first: {' and '.join(conflicts[0])}.")
    if not manifest.patients_known:
        warnings.append("No patient ids: each image counts as a patient of its own, so leakage can't be excluded.")
    return Audit(
        source=manifest.source,
        synthetic=manifest.synthetic,
        listed=len(manifest.table),
        used=len(table),
        ignored=manifest.ignored,
        unreadable=unreadable,
        duplicates=duplicates,
        conflicts=conflicts,
        images={name: int((table["label"] == label).sum()) for label, name in enumerate(manifest.classes)},
        patients={manifest.classes[label]: int(part["patient"].nunique()) for label, part in by_class},
        sizes=(readable["width"].astype(str) + "×" + readable["height"].astype(str)).value_counts().to_dict(),
        modes=readable["mode"].value_counts().to_dict(),
        warnings=tuple(warnings),
    )
