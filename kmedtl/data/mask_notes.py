"""What the audit says of masks."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pandas as pd

from kmedtl.data.manifest import Manifest
from kmedtl.data.mask_kinds import kinds_of_masks
from kmedtl.data.mask_store import MaskStore
from kmedtl.images.marks import FOREGROUND

ALL = 0.99  # a share of the image from which on a mask covers everything
AGREE = 0.75  # of a class's images, from which on those that disagree are named
AT_ONCE = 256  # images whose planes are looked at together


def mask_notes(store: MaskStore, manifest: Manifest) -> list[str]:
    """Return sentences on masks: empty and full ones, areas, what `data.size` loses, and masks against labels."""
    facts, ids = store.facts, store.facts["id"].to_numpy()
    areas = facts[[f"area_{name}" for name in store.structures]].to_numpy()
    shares = facts[[f"share_{name}" for name in store.structures]].to_numpy()
    empty, full = ~areas.any(axis=1), (shares > ALL).any(axis=1)
    notes = [f"Masks: of {len(facts)} images, {int(empty.sum())} of them with nothing marked."]
    if full.any():
        notes.append(f"Masks that cover more than {ALL:.0%} of the image: {int(full.sum())}, first: {ids[full][0]}.")
    notes += _of_several(manifest.table)
    kinds = kinds_of_masks(manifest.table) if store.structures == tuple(FOREGROUND) else {}
    if kinds:
        patterns = ", ".join(f'{name}: "{pattern}"' for name, pattern in kinds.items())
        notes.append(
            "Masks of several kinds beside one image are taken together, as one structure; to tell them apart, "
            f"--set 'data.structures={{{patterns}}}'."
        )
    kept = _kept(store)
    for number, name in enumerate(store.structures):
        marked = areas[:, number] > 0
        median = np.median(shares[marked, number])
        notes.append(f"{name}: marked in {int(marked.sum())} images, half of them more than {median:.1%} of the image.")
        lost = marked & ~kept[:, number]
        if lost.any():
            notes.append(f"{name}: lost at data.size, being too small: {int(lost.sum())}, first: {ids[lost][0]}.")
        notes += _against_labels(name, dict(zip(ids, marked.tolist(), strict=True)), manifest)
    return notes


def _of_several(table: pd.DataFrame) -> Iterator[str]:
    """Yield which files of masks several images, or all frames of a file, have in common."""
    images = table[table["volume"] == ""]  # slices have their volume's in common
    each = images.assign(mask=images["mask"].str.split("|")).explode("mask")[["id", "path", "mask"]]
    each = (
        each[each["mask"] != ""]
        .assign(**{name: each[name].map(os.path.realpath) for name in ("path", "mask")})
        .drop_duplicates()
    )
    files = each.drop_duplicates(["mask", "path"])
    shared = files[files.duplicated("mask", keep=False)]
    if len(shared):
        first = shared.loc[shared["mask"] == shared["mask"].iloc[0], "id"]
        yield (
            f"Masks that several images have in common: {shared['mask'].nunique()}, of {shared['path'].nunique()} "
            f"images, first: that of {' and '.join(first.head(2))}."
        )
    frames = each[each.duplicated(["mask", "path"])]
    if len(frames):
        yield (
            f"Files whose frames have one mask in common: {frames['path'].nunique()}, first: that of "
            f"{frames['id'].iloc[0]}; if it is not drawn for each frame, see data.frames."
        )


def _kept(store: MaskStore) -> np.ndarray:
    """Return whether each structure has a pixel in the planes of each image, bool (N, M)."""
    parts = range(0, len(store.planes), AT_ONCE)
    return np.concatenate([store.planes[start : start + AT_ONCE].any(axis=(1, 2)) for start in parts])


def _against_labels(structure: str, marked: dict[str, bool], manifest: Manifest) -> Iterator[str]:
    """Yield, of each class whose images hold the structure almost all or almost never, which ones are otherwise."""
    table = manifest.table[manifest.table["id"].isin(marked)]
    has = table["id"].map(marked).to_numpy(bool)
    ids = table["id"].to_numpy()
    labels = table["label"].to_numpy(object) if "label" in table else np.full(len(table), None)
    for label, members in {name: labels == name for name in pd.unique(labels) if name}.items():
        for mostly, how in ((True, "without it"), (False, "with it")):
            others = members & (has != mostly)
            if others.any() and (members & (has == mostly)).sum() >= AGREE * members.sum():
                yield (
                    f"{structure}: of the class '{label}', images {how}: {int(others.sum())} of {int(members.sum())}, "
                    f"first: {ids[others][0]}."
                )
