"""Masks judged: by a decoder, over folds, against other masks; and the decoder that validation chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data.manifest import SIZES, SPACINGS
from kmedtl.edge.tasks.segmentation import LEVELS, MASK, MaskDecoder, called, levels_of, probabilities
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.images.placement import Placement, placement
from kmedtl.recipe import Evaluation as Settings
from kmedtl.recipe import Training
from kmedtl.statistics.confidence import Estimate
from kmedtl.statistics.groups import bands, in_order
from kmedtl.statistics.overlap import components
from kmedtl.statistics.risk_control import controlled_threshold
from kmedtl.tasks.segmentation.figures import (
    best_dice,
    choose_smallest,
    choose_threshold,
    dice_gain,
    evaluation_of,
    image_figures,
    miss_shares,
)
from kmedtl.tasks.segmentation.question import MaskQuestion, plain_decoder
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.task import Drift, Evaluation, Examples, Fit, Targets

TENTHS = 10  # of the probability, whose pixels are counted together
UNITS = {"px": "pixels of the file", "mm": "mm"}


def placements(examples: Examples, question: MaskQuestion) -> list[Placement]:
    """Return where the image of each file lies in the model's square."""
    size = examples.targets[MASK].shape[1]
    sizes = examples.groups[list(SIZES)].to_numpy(int).tolist()
    return [placement(width, height, size, question.aspect) for width, height in sizes]


def inside(examples: Examples, question: MaskQuestion) -> np.ndarray:
    """Return which pixels of the square show the image, and not the border around it: bool (N, size, size, 1)."""
    size = examples.targets[MASK].shape[1]
    shown = np.zeros((len(examples.ids), size, size, 1), bool)
    for plane, box in zip(shown, placements(examples, question), strict=True):
        plane[box.top : box.top + box.height, box.left : box.left + box.width] = True
    return shown


def masks_of(examples: Examples, question: MaskQuestion, decoder: MaskDecoder) -> np.ndarray:
    """Return the predicted masks on the model's grid, bool (N, size, size, M)."""
    levels = levels_of(examples.outputs) * inside(examples, question)
    return np.stack([called(plane, decoder) for plane in levels])


def per_image(examples: Examples, question: MaskQuestion, decoder: MaskDecoder) -> pd.DataFrame:
    """Return the figures of each image and structure, see `figures.image_figures`; distances are in `question.unit`.

    Masks are compared on the model's grid, of which a pixel is so many of the file as the file was scaled down by.

    Raises:
        UserError: distances in mm, and an image whose file does not say how far apart its pixels are.
    """
    boxes = placements(examples, question)
    sizes = examples.groups[list(SIZES)].to_numpy(float)
    pixel = np.array([(h / box.height, w / box.width) for (w, h), box in zip(sizes, boxes, strict=True)])
    if question.unit == "mm":
        spacings = examples.groups[list(SPACINGS)].to_numpy(float)
        unknown = ~(spacings > 0).all(axis=1)
        if unknown.any():
            raise UserError(f"{examples.ids[unknown][0]}: no pixel spacing, and the run's distances are in mm.")
        pixel = pixel * spacings
    reference = examples.targets[MASK] > 0
    predicted = masks_of(examples, question, decoder)
    return image_figures(reference, predicted, question.structures, pixel, question.tolerance)


def judge(question: MaskQuestion, settings: Settings, examples: Examples, decoder: MaskDecoder) -> Evaluation:
    """Judge predictions by a decoder; by the values of every group's column as well."""
    table = per_image(examples, question, decoder)
    found = evaluation_of(table, examples.patients, question.structures)
    by = found.by | by_group(table, examples.patients, examples.groups, settings.groups, question.structures)
    tables = found.tables | {"calibration": pixel_calibration(examples, question)}
    return replace(found, by=by, tables=tables, details=question.unit)


def pixel_calibration(examples: Examples, question: MaskQuestion) -> pd.DataFrame:
    """Return how often pixels of a probability belong to the structure: `claimed`, `observed` and `pixels` a tenth.

    Pixels of an image are no independent answers, so there is no interval.
    """
    seen = np.broadcast_to(inside(examples, question), examples.targets[MASK].shape)
    levels, known = levels_of(examples.outputs)[seen], examples.targets[MASK][seen] > 0
    tenth = np.minimum(levels.astype(int) * TENTHS // LEVELS, TENTHS - 1)
    counts, hits = np.bincount(tenth, minlength=TENTHS), np.bincount(tenth, known, TENTHS)
    claimed = np.bincount(tenth, levels, TENTHS) / LEVELS
    there = counts > 0
    return pd.DataFrame(
        {"claimed": (claimed / np.maximum(counts, 1))[there], "observed": (hits / np.maximum(counts, 1))[there]}
    ).assign(pixels=counts[there])


def by_group(
    table: pd.DataFrame, patients: np.ndarray, groups: pd.DataFrame, columns: Sequence[str], structures: Sequence[str]
) -> dict[str, dict[str, Estimate]]:
    """Return the figures of every group: `COLUMN VALUE` → figures.

    Args:
        table: as of `per_image`.
        patients, groups: of each image, (N,) and N rows.
    """
    by = {}
    for column in columns:
        names = bands(groups[column].reset_index(drop=True))
        for name in in_order(names):
            part = table[(names == name)[table["image"]]]
            by[f"{column} {name}"] = evaluation_of(part, patients, structures).estimates
    return by


def pool(
    question: MaskQuestion, settings: Settings, folds: Sequence[tuple[Examples, MaskDecoder]]
) -> tuple[Evaluation, pd.DataFrame]:
    """Judge the tests of all folds together, each by its own fold's decoder."""
    tables = [per_image(examples, question, decoder) for examples, decoder in folds]
    starts = np.cumsum([0, *(len(examples.ids) for examples, _ in folds)])
    numbered = [table.assign(image=table["image"] + start) for table, start in zip(tables, starts, strict=False)]
    patients = np.concatenate([examples.patients for examples, _ in folds])
    whole, groups = pd.concat(numbered, ignore_index=True), pd.concat([examples.groups for examples, _ in folds])
    found = evaluation_of(whole, patients, question.structures)
    by = found.by | by_group(whole, patients, groups, settings.groups, question.structures)
    return replace(found, by=by, details=question.unit), wide(whole, question)


def wide(table: pd.DataFrame, question: MaskQuestion) -> pd.DataFrame:
    """Return a row an image: the figures of each structure, `STRUCTURE.FIGURE`; no name holds a dot."""
    parts = []
    for structure in question.structures:
        part = table[table["structure"] == structure].drop(columns=["image", "structure"]).reset_index(drop=True)
        parts.append(part.add_prefix(f"{structure}."))
    return pd.concat(parts, axis=1)


def long(table: pd.DataFrame, structures: Sequence[str]) -> pd.DataFrame:
    """Return what `wide` was made of.

    Raises:
        KeyError: a structure without its columns.
    """
    parts = []
    for structure in structures:
        own = [name for name in map(str, table) if name.startswith(f"{structure}.")]
        if not own:
            raise KeyError(f"{structure}.dice")
        part = table[own].set_axis([name[len(structure) + 1 :] for name in own], axis=1).reset_index(drop=True)
        parts.append(part.assign(image=np.arange(len(part)), structure=structure))
    return pd.concat(parts, ignore_index=True)


def columns_of(question: MaskQuestion, examples: Examples, decoder: MaskDecoder) -> pd.DataFrame:
    """Return the figures of each image, a row each; the masks themselves are in `arrays`."""
    return wide(per_image(examples, question, decoder), question)


def score(question: MaskQuestion, outputs: Outputs, known: Targets) -> dict[str, float]:
    """Return `dice`: of each structure the mean over images that have it at its best threshold, and of these the mean.

    At a fixed threshold, small structures would count as 0 for many epochs. NaN where no image has any structure.
    """
    reference, levels = known[MASK] > 0, levels_of(outputs)
    each = [best_dice(reference[..., number], levels[..., number]) for number in range(levels.shape[-1])]
    there = [value for value in each if value == value]
    return {"dice": float(np.mean(there)) if there else float("nan")}


def select(question: MaskQuestion, training: Training, outputs: Outputs, known: Targets) -> float:
    """Return the mean Dice, which alone can choose the epoch.

    Raises:
        UserError: another choice.
    """
    if training.select not in ("headline", "worst_shift"):
        raise UserError(
            f"training.select: expected headline or worst_shift beside a segmentation. Received: {training.select}."
        )
    return score(question, outputs, known)["dice"]


def fit_decoder(
    question: MaskQuestion, settings: Settings, validation: Examples, seed: int, decoder: MaskDecoder | None = None
) -> Fit:
    """Choose the threshold and the smallest part of each structure on validation.

    The threshold has the best mean Dice; with `settings.miss_rate` it is the highest that keeps the share of missed
    pixels (conformal risk control), and no part is dropped, which would miss more.

    Raises:
        UserError: too few patients with a structure to keep the asked miss rate.
    """
    levels = levels_of(validation.outputs) * inside(validation, question)
    reference, thresholds, smallest = validation.targets[MASK] > 0, [], []
    for number, name in enumerate(question.structures):
        known, seen = reference[..., number], levels[..., number]
        if settings.miss_rate is not None:
            shares = miss_shares(known, seen, validation.patients)
            found = controlled_threshold(shares, settings.miss_rate)
            if found is None:
                raise UserError(
                    f"evaluation.miss_rate: {settings.miss_rate:g} cannot be kept for {name}: validation has "
                    f"{len(shares)} patients with it, expected {int(np.ceil(1 / settings.miss_rate)) - 1} or more, and "
                    "masks that miss little; raise it, or data.validation."
                )
            thresholds.append(found)
            smallest.append(0)
        else:
            thresholds.append(choose_threshold(known, seen))
            smallest.append(choose_smallest(known, seen > thresholds[-1]))
    plain = plain_decoder(question)
    return Fit(replace(plain, thresholds=tuple(thresholds), smallest=tuple(smallest)))


def drift(question: MaskQuestion, before: Examples, decoder: MaskDecoder, after: Outputs, anew: MaskDecoder) -> Drift:
    """Compare the masks of the same images, each outputs by their own decoder.

    `mean_difference` and `max_difference` are of the probability of a pixel, `dice_apart` is 1 − Dice between both
    masks over all images that have one, `lesions_changed` counts connected parts of one mask that the other lacks.
    """
    other = replace(before, outputs=after)
    ours, theirs = masks_of(before, question, decoder), masks_of(other, question, anew)
    difference = np.abs(probabilities(after) - probabilities(before.outputs))
    tables = [per_image(before, question, decoder), per_image(other, question, anew)]
    whole = np.count_nonzero(ours) + np.count_nonzero(theirs)
    figures = {
        "mean_difference": float(difference.mean(dtype=np.float64)),
        "max_difference": float(difference.max()),
        "dice_apart": 1 - 2 * np.count_nonzero(ours & theirs) / whole if whole else 0.0,
        "pixels_changed": float((ours != theirs).mean()),
        "lesions_changed": float(_apart(ours, theirs) + _apart(theirs, ours)),
    }
    value = evaluation_of(tables[1], before.patients, question.structures).estimates["dice"].value
    return Drift(value, dice_gain(tables[0], [tables[1]], before.patients), figures)


def _apart(masks: np.ndarray, others: np.ndarray) -> int:
    """Return how many connected parts of masks (N, h, w, M) have no pixel in common with the others."""
    count = 0
    for mask, other in zip(np.moveaxis(masks, -1, 1), np.moveaxis(others, -1, 1), strict=True):
        for plane, twin in zip(mask, other, strict=True):
            labels = components(plane)
            count += int(labels.max(initial=0)) - len(set(np.unique(labels[twin])) - {0})
    return count


def gain(
    question: MaskQuestion, ours: Examples, theirs: Sequence[Examples], decoder: MaskDecoder, other: MaskDecoder
) -> Estimate:
    """Return the Dice of ours minus the mean Dice of theirs, paired by image."""
    place = [{name: row for row, name in enumerate(one.ids)} for one in theirs]
    ordered = [
        one.of(np.array([rows[name] for name in ours.ids], int)) for one, rows in zip(theirs, place, strict=True)
    ]
    tables = [per_image(one, question, other) for one in ordered]
    return dice_gain(per_image(ours, question, decoder), tables, ours.patients)


def document(fit: Fit, evaluation: Evaluation) -> dict[str, Any]:
    """Return what metrics.json holds."""
    own = {name: asdict(estimate) for name, estimate in evaluation.estimates.items()}
    by = {name: {figure: asdict(one) for figure, one in part.items()} for name, part in evaluation.by.items()}
    test = {"images": evaluation.images, "patients": evaluation.patients, **own}
    empty = evaluation.tables["empty"].to_dict("records")
    return {"decoder": asdict(fit.decoder), "unit": evaluation.details, "test": test, "by": by, "empty": empty}


def lines(settings: Settings, fit: Fit, evaluation: Evaluation) -> list[str]:
    """Return what the terminal shows."""
    decoder = fit.decoder
    chosen = [
        f"{name} from a probability of {(threshold + 0.5) / LEVELS:.3f}, smallest part {smallest} px"
        for name, threshold, smallest in zip(decoder.structures, decoder.thresholds, decoder.smallest, strict=True)
    ]
    by = [f"  {name}: Dice {part['dice']}, surface Dice {part['surface_dice']}" for name, part in evaluation.by.items()]
    distances = f"  Distances are in {UNITS[decoder.unit]}; borders agree up to {decoder.tolerance:g} apart."
    return [
        *estimate_lines(evaluation, 0.0),
        distances,
        f"  Chosen on validation: {'; '.join(chosen)}",
        *by,
        *_empty(evaluation),
    ]


def _empty(evaluation: Evaluation) -> list[str]:
    """Return what became of images without a structure, which the means leave out."""
    return [
        f"  {row['structure']}: {row['both_empty'] + row['only_reference_empty']} images without any, of which "
        f"{row['only_reference_empty']} were given a mask; {row['only_prediction_empty']} with some were given none"
        for row in evaluation.tables["empty"].to_dict("records")
    ]
