"""Masks judged, by a decoder and over folds; and the decoder that validation chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from kmedtl.data.manifest import BETWEEN, SIZES, SPACINGS
from kmedtl.edge.tasks.mask_decoder import HIGHEST, MaskDecoder
from kmedtl.edge.tasks.segmentation import MASK, called, levels_of
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.images.placement import Placement, placement
from kmedtl.recipe import Evaluation as Settings
from kmedtl.recipe import Training
from kmedtl.statistics.confidence import Estimate
from kmedtl.statistics.groups import bands, in_order
from kmedtl.statistics.risk_control import controlled_threshold, fewest_patients
from kmedtl.tasks.segmentation.choose import (
    SMALLEST,
    SMALLEST_IN_VOLUMES,
    best_dice,
    choose_rules,
    miss_shares,
    rules_of,
    with_rules,
)
from kmedtl.tasks.segmentation.columns import wide
from kmedtl.tasks.segmentation.figures import evaluation_of, image_figures
from kmedtl.tasks.segmentation.question import MaskQuestion, plain_decoder
from kmedtl.tasks.segmentation.volumes import is_seen_whole, judged_together, on_own_grid, stacks
from kmedtl.tasks.task import Evaluation, Examples, Fit, Targets

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
    """Return the predicted masks on the model's grid, bool (N, size, size, M); parts of a volume go through slices."""
    levels = levels_of(examples.outputs) * inside(examples, question)
    found = np.empty(levels.shape, bool)
    together = judged_together(examples.groups)
    for rows, one in zip(together, stacks(levels, together), strict=True):
        found[rows] = called(one, decoder)
    return found


def per_image(examples: Examples, question: MaskQuestion, decoder: MaskDecoder) -> pd.DataFrame:
    """Return the figures of each image or volume and structure, as `figures_of`, of the masks of a decoder."""
    return figures_of(examples, question, masks_of(examples, question, decoder))


def figures_of(examples: Examples, question: MaskQuestion, predicted: np.ndarray) -> pd.DataFrame:
    """Return the figures of each image and structure, see `figures.image_figures`; distances are in `question.unit`.

    Masks of images are compared on the model's grid, of which a pixel is so many of the file as the file was scaled
    down by. Slices of a volume are stacked and compared in three dimensions, on the volume's own voxels where the model
    sees all of them; their `image` is the row of the first slice.

    Args:
        predicted: bool (N, size, size, M), as of `masks_of`.

    Raises:
        UserError: distances in mm, and an image whose file does not say how far apart its pixels are.
    """
    together = judged_together(examples.groups)
    boxes, steps = placements(examples, question), _steps(examples, question)
    sizes = examples.groups[list(SIZES)].to_numpy(int).tolist()
    references, found = (stacks(masks, together) for masks in (examples.targets[MASK] > 0, predicted))
    spacings: list[tuple[float, ...]] = []
    for number, rows in enumerate(together):
        (width, height), box = sizes[rows[0]], boxes[rows[0]]
        between: tuple[float, ...] = ()
        scale = np.array([height / box.height, width / box.width])
        if references[number].ndim == 4:
            own = is_seen_whole(box, width, height)
            for masks in (references, found):
                masks[number] = on_own_grid(masks[number], box, width, height, question.aspect)
            scale = np.ones(2) if own else scale
            between = (float(examples.groups[BETWEEN].iloc[rows[0]]),)
        spacings.append((*between, *(scale * steps[rows[0]]).tolist()))
    figures = image_figures(references, found, question.structures, spacings, question.tolerance)
    return figures.assign(image=np.array([rows[0] for rows in together])[figures["image"]])


def _steps(examples: Examples, question: MaskQuestion) -> np.ndarray:
    """Return the distances between rows and columns of each file in `question.unit`, (N, 2)."""
    if question.unit != "mm":
        return np.ones((len(examples.ids), 2))
    spacings = examples.groups[list(SPACINGS)].to_numpy(float)
    unknown = ~(spacings > 0).all(axis=1)
    if unknown.any():
        raise UserError(f"{examples.ids[unknown][0]}: no pixel spacing, and the run's distances are in mm.")
    return spacings


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
    tenth = np.minimum(levels.astype(int) * TENTHS // HIGHEST, TENTHS - 1)
    counts, hits = np.bincount(tenth, minlength=TENTHS), np.bincount(tenth, known, TENTHS)
    claimed = np.bincount(tenth, levels, TENTHS) / HIGHEST
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
    parts = [_wide(table, examples, question) for table, (examples, _) in zip(tables, folds, strict=True)]
    starts = np.cumsum([0, *(len(examples.ids) for examples, _ in folds)])
    numbered = [table.assign(image=table["image"] + start) for table, start in zip(tables, starts, strict=False)]
    patients = np.concatenate([examples.patients for examples, _ in folds])
    whole, groups = pd.concat(numbered, ignore_index=True), pd.concat([examples.groups for examples, _ in folds])
    found = evaluation_of(whole, patients, question.structures)
    by = found.by | by_group(whole, patients, groups, settings.groups, question.structures)
    return replace(found, by=by, details=question.unit), pd.concat(parts, ignore_index=True)


def columns_of(question: MaskQuestion, examples: Examples, decoder: MaskDecoder) -> pd.DataFrame:
    """Return the figures of each image, a row each, those of a volume at each slice; the masks are in `arrays`."""
    return _wide(per_image(examples, question, decoder), examples, question)


def _wide(table: pd.DataFrame, examples: Examples, question: MaskQuestion) -> pd.DataFrame:
    each, number = wide(table, question.structures), np.empty(len(examples.ids), int)
    for place, rows in enumerate(judged_together(examples.groups)):
        number[rows] = place
    return each.iloc[number].reset_index(drop=True)


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


def check_validation(question: MaskQuestion, settings: Settings, validation: Targets, patients: np.ndarray) -> None:
    """Refuse too few patients with a structure for `settings.miss_rate`, however good their masks will be.

    Args:
        patients: of each image of validation, (N,).

    Raises:
        UserError: the first such structure.
    """
    if settings.miss_rate is not None:
        for number, name in enumerate(question.structures):
            count = len(set(patients[validation[MASK][..., number].any(axis=(1, 2))]))
            if count < fewest_patients(settings.miss_rate):
                raise _too_few(settings.miss_rate, name, count)


def _too_few(miss_rate: float, name: str, patients: int) -> UserError:
    return UserError(
        f"evaluation.miss_rate: {miss_rate:g} cannot be kept for {name}: validation has {patients} patients with it, "
        f"expected {fewest_patients(miss_rate)} or more, and masks that miss little; raise it, or data.validation."
    )


def fit_decoder(
    question: MaskQuestion, settings: Settings, validation: Examples, seed: int, decoder: MaskDecoder | None = None
) -> Fit:
    """Choose what is called each structure on validation, of volumes in three dimensions.

    The threshold has the best mean Dice, and by it parts are dropped and holes filled; with `settings.miss_rate` it is
    the highest that keeps the share of missed pixels (conformal risk control), and all parts are kept, as dropping them
    would miss more. What `decoder` says stays where it is as good, to 0.002 of Dice.

    Raises:
        UserError: too few patients with a structure to keep the asked miss rate.
    """
    levels = levels_of(validation.outputs) * inside(validation, question)
    reference = validation.targets[MASK] > 0
    plain = plain_decoder(question)
    if settings.miss_rate is not None:
        by_name = zip(question.structures, np.moveaxis(reference, -1, 0), np.moveaxis(levels, -1, 0), strict=True)
        thresholds = [_controlled(settings.miss_rate, *one, validation.patients) for one in by_name]
        return Fit(replace(plain, thresholds=tuple(thresholds)))
    together = judged_together(validation.groups)
    sizes = SMALLEST_IN_VOLUMES if len(together) < len(reference) else SMALLEST
    chosen = [
        choose_rules(
            stacks(reference[..., number], together),
            stacks(levels[..., number], together),
            sizes,
            rules_of(decoder, number) if decoder else None,
        )
        for number in range(len(question.structures))
    ]
    return Fit(with_rules(plain, chosen))


def _controlled(miss_rate: float, name: str, reference: np.ndarray, levels: np.ndarray, patients: np.ndarray) -> int:
    """Return the threshold of a structure by `evaluation.miss_rate`."""
    shares = miss_shares(reference, levels, patients)
    found = controlled_threshold(shares, miss_rate)
    if found is None:
        raise _too_few(miss_rate, name, len(shares))
    return found
