"""What a segmentation asks, and what is known of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from kmedtl.data.manifest import ORPHANS, SIZES, SPACINGS, SPLITS, Manifest, classes_of
from kmedtl.data.mask_notes import mask_notes
from kmedtl.data.mask_store import prepare_masks
from kmedtl.edge.tasks.mask_decoder import MaskDecoder, Unit, plain
from kmedtl.edge.tasks.segmentation import MASK
from kmedtl.errors import UserError, nearest
from kmedtl.images.marks import FOREGROUND
from kmedtl.recipe import Data, Segmentation
from kmedtl.tasks.task import KnownTargets, Targets


@dataclass(frozen=True)
class MaskQuestion:
    """Which structures are asked for.

    Attributes:
        structures: their names, in the order of the output's channels.
        tolerance, loss, missed: as of `kmedtl.recipe.Segmentation`.
        aspect: how a file's image lies in the model's square.
        unit: of distances and of `tolerance`: `mm`, where every image states its spacing, else pixels of the file.
        weights: of each structure in the loss; (): all the same.
        volumes: images are slices of volumes.
    """

    structures: tuple[str, ...]
    tolerance: float
    aspect: Literal["stretch", "keep"]
    loss: str = "dice_crossentropy"
    missed: float = 0.7
    unit: Unit = "px"
    weights: tuple[float, ...] = ()
    volumes: bool = False


def ask(settings: Segmentation, data: Data, manifest: Manifest) -> tuple[MaskQuestion, Manifest]:
    """Return the question, and the images: `data.missing_masks` says what becomes of those without a mask.

    Raises:
        UserError: no image has a mask, or a weight of a structure that is not asked for.
    """
    structures = tuple(data.structures or FOREGROUND)
    for name in settings.structure_weights:
        if name not in structures:
            raise UserError(f"task.structure_weights.{name}: no such structure. {nearest(name, structures)}")
    if not (manifest.table["mask"] != "").any():
        orphans = [f"{note.rstrip('.')}; " for note in manifest.notes if note.startswith(ORPHANS)]
        raise UserError(
            f"{manifest.source}: no image has a mask; {''.join(orphans)}expected NAME_mask.png beside NAME.png, a "
            "folder masks/ beside images/, or a column 'mask' in the table."
        )
    if data.missing_masks == "leave_out":
        masked = manifest.table[manifest.table["mask"] != ""].reset_index(drop=True)
        without = len(manifest.table) - len(masked)
        manifest = replace(manifest, table=masked, unlabelled=manifest.unlabelled + without)
    asked = MaskQuestion(structures, settings.tolerance, data.aspect, settings.loss, settings.missed)
    weights = tuple(settings.structure_weights.get(name, 1.0) for name in structures)
    return replace(asked, weights=weights), _without_classes(manifest)


def _without_classes(manifest: Manifest) -> Manifest:
    """Return the images without classes, which nobody asks for; the name of each stays in the column `label`.

    Splits are balanced by it where it has patients enough for each.
    """
    table = manifest.table
    if manifest.classes:
        table = table.assign(label=classes_of(manifest, table))
    elif "label" in table:
        texts = table["label"].fillna("")
        table = table.assign(label=texts, stratum=pd.factorize(texts, sort=True)[0])
    enough = table.groupby("stratum")["patient"].nunique().min() >= len(SPLITS)
    table = table if enough else table.assign(stratum=0)
    return replace(manifest, table=table, classes=(), multi_label=True)


def targets(question: MaskQuestion, data: Data, manifest: Manifest, table: pd.DataFrame) -> KnownTargets:
    """Return what gives the masks of images, uint8 (N, size, size, M), 1 where a structure is.

    Splits are balanced by which structures an image shows, beside what the manifest balances them by.

    Raises:
        UserError: masks that cannot be used, see `kmedtl.data.mask_store.prepare_masks`.
    """
    masks = prepare_masks(table.rename(columns=dict(zip(SIZES, ("width", "height"), strict=True))), data)
    areas = masks.facts.set_index("id").loc[table["id"], [f"area_{name}" for name in masks.structures]]
    strata = _by_what_is_shown(table["stratum"].to_numpy(), areas.to_numpy() > 0)
    known = set(SPACINGS) <= set(table.columns) and (table[list(SPACINGS)] > 0).all(axis=None)
    asked = replace(question, unit="mm" if known else "px", volumes=bool((table["volume"] != "").any()))
    return KnownTargets(lambda part: {MASK: masks.of(part["id"])}, tuple(mask_notes(masks, manifest)), strata, asked)


def _by_what_is_shown(strata: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return strata, int (N,), each divided by which structures its images show, bool (N, M).

    The commonest combination of a stratum keeps its number, so that nothing changes where there is no other.
    """
    combination = shown @ (1 << np.arange(shown.shape[1], dtype=np.int64))
    divided = strata.astype(np.int64)
    for stratum in np.unique(strata):
        members = strata == stratum
        found, counts = np.unique(combination[members], return_counts=True)
        others = members & (combination != found[counts.argmax()])
        divided[others] += (strata.max() + 1) * (combination[others] + 1)
    return divided


def check(question: MaskQuestion, targets: Mapping[str, Targets]) -> None:
    """Refuse a split without a structure: nothing could be learned, chosen or judged of it there.

    Raises:
        UserError: the first such split and structure.
    """
    for split, known in targets.items():
        for number, name in enumerate(question.structures):
            if not known[MASK][..., number].any():
                remedy = "take more images or another seed, or change data.validation or data.test"
                if question.structures == tuple(FOREGROUND):
                    raise UserError(f"masks: nothing is marked in any image of the split '{split}'; {remedy}.")
                raise UserError(
                    f"data.structures.{name}: marked in no image of the split '{split}'; {remedy}, or leave the "
                    "structure out."
                )


def labels(question: MaskQuestion, manifest: Manifest, table: pd.DataFrame) -> Sequence[str]:
    """Return the class of each image, where it has any."""
    return list(table["label"]) if "label" in table else [""] * len(table)


def question_of(decoder: MaskDecoder) -> MaskQuestion:
    """Return the question that a decoder answers, as far as a finished run needs it."""
    return MaskQuestion(
        decoder.structures, decoder.tolerance, decoder.aspect, unit=decoder.unit, volumes=decoder.volumes
    )


def units(question: MaskQuestion) -> dict[str, str]:
    """Return the unit of distances, and up to which distance borders agree."""
    return {"hd95": question.unit, "surface_dice": f"within {question.tolerance:g} {question.unit}"}


def plain_decoder(question: MaskQuestion) -> MaskDecoder:
    """Return the decoder that calls a pixel from a probability of a half on."""
    return plain(question.structures, question.tolerance, question.aspect, question.unit, question.volumes)
