"""How well predicted masks fit: figures of each image, and of the test as a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from kmedtl.statistics.clustered import mean_above_zero
from kmedtl.statistics.confidence import (
    NOTHING,
    WIDE,
    Estimate,
    at_least_by_patients,
    half_by_patient,
    leveraged,
    of_mean,
    undefined,
    wilson,
)
from kmedtl.statistics.overlap import (
    bounding_box,
    components,
    dice,
    instances,
    iou,
    lesions,
    outline_figures,
    precision,
    recall,
)
from kmedtl.tasks.task import Evaluation

OVERLAPS = ("dice", "iou", "precision", "recall", "hd95", "surface_dice")  # of images whose reference is not empty
ABSENT = "no image has any of it"
MILLILITRE = 1e-3  # of a cubic millimetre


def image_figures(
    reference: Sequence[np.ndarray] | np.ndarray,
    predicted: Sequence[np.ndarray] | np.ndarray,
    structures: Sequence[str],
    pixel: Sequence[tuple[float, ...]] | np.ndarray,
    tolerance: float,
) -> pd.DataFrame:
    """Return a row for each image, or volume, and structure, images in order.

    Columns: `image`, its row number; `structure`; `reference` and `predicted`, in pixels, and `area_reference` and
    `area_predicted`, in the unit of distances squared, of volumes `volume_reference` and `volume_predicted`, in ml;
    `dice`, `iou`, `precision`, `recall`, `hd95` and `surface_dice`, NaN where the reference is empty (a precision only
    where both are); `lesions`, `lesions_found`, `components` and `false_positives` as of `overlap.lesions`;
    `instances_tp`, `instances_fp` and `instances_fn`, components being the instances, matched at an IoU above 0.5.

    Args:
        reference, predicted: bool (H, W, M) of each image, M being structures, or (D, H, W, M) of each volume.
        pixel: height and width of each image's pixels in the unit of distances: mm, or pixels of the file; of volumes
            the distance of their slices before them.
        tolerance: of the surface Dice, in that unit.
    """
    rows = []
    for image, spacing in enumerate(pixel):
        for column, structure in enumerate(structures):
            known, called = reference[image][..., column], predicted[image][..., column]
            figures = _figures(known, called, tuple(map(float, spacing)), tolerance)
            rows.append({"image": image, "structure": structure, **figures})
    return pd.DataFrame(rows)


def _figures(
    reference: np.ndarray, predicted: np.ndarray, spacing: tuple[float, ...], tolerance: float
) -> dict[str, float]:
    hd95, surface_dice = outline_figures(reference, predicted, tolerance, spacing)
    box = bounding_box(reference | predicted)
    known, called = np.ascontiguousarray(reference[box]), np.ascontiguousarray(predicted[box])
    counts, matches = lesions(known, called), instances(components(known), components(called))
    measure, unit = ("volume", MILLILITRE) if reference.ndim == 3 else ("area", 1.0)
    pixels = {"reference": int(np.count_nonzero(known)), "predicted": int(np.count_nonzero(called))}
    return {
        **pixels,
        **{figure.__name__: figure(known, called) for figure in (dice, iou, precision, recall)},
        "hd95": hd95,
        "surface_dice": surface_dice,
        "lesions": counts.lesions,
        "lesions_found": counts.found,
        "components": counts.components,
        "false_positives": counts.false_positives,
        "instances_tp": matches.true_positives,
        "instances_fp": matches.false_positives,
        "instances_fn": matches.false_negatives,
        **{f"{measure}_{name}": count * math.prod(spacing) * unit for name, count in pixels.items()},
    }


def evaluation_of(table: pd.DataFrame, patients: np.ndarray, structures: Sequence[str]) -> Evaluation:
    """Judge a table of `image_figures`, with 95 % intervals by patient.

    - `dice`, `iou`, `precision`, `recall`, `hd95`, `surface_dice`: means over images and structures whose reference is
      not empty, each counting as one. Of `hd95`, in the unit of distances, it is the mean and not the median, so that
      a mask far off shows; an empty prediction counts with the image's diagonal.
    - `lesion_sensitivity`: found lesions over lesions, of all images together.
    - `false_positives`: predicted components with less than 10 % of their pixels on the reference, per image, those of
      all structures together.
    - `instance_f1`: 2 TP / (2 TP + FP + FN) at an IoU above 0.5, of all images together.

    `by` has the same of each structure, where there are several. The table `empty` says how many images have an empty
    reference or prediction, which the means don't.

    Args:
        patients: of each image, (N,): a row of the table has that of its `image`.
    """
    images = table["image"].to_numpy()
    by = {name: _estimates(table[table["structure"] == name], patients) for name in structures}
    return Evaluation(
        headline="dice",
        estimates=_estimates(table, patients),
        by=by if len(structures) > 1 else {},
        tables={"images": table, "empty": _empty_masks(table, structures)},
        images=len(np.unique(images)),
        patients=len(pd.unique(patients[images])),
    )


def _estimates(table: pd.DataFrame, patients: np.ndarray) -> dict[str, Estimate]:
    owners = patients[table["image"].to_numpy()]
    known = (table["reference"] > 0).to_numpy()
    means = dict.fromkeys(OVERLAPS, undefined(ABSENT))
    if known.any():
        for name in OVERLAPS:
            mean = mean_above_zero if name == "hd95" else of_mean
            means[name] = mean(table[name].to_numpy()[known], owners[known])
    found, count, right = (table[name].to_numpy() for name in ("lesions_found", "lesions", "instances_tp"))
    lesion, of_lesion = _one_by_one(found, count - found, owners)
    instance, of_instance = _one_by_one(2 * right, (table["instances_fp"] + table["instances_fn"]).to_numpy(), owners)
    return {
        **means,
        "lesion_sensitivity": wilson(lesion == 1, of_lesion) if len(lesion) else undefined(ABSENT),
        "false_positives": _per_image(table, "false_positives", patients),
        "instance_f1": of_mean(instance, of_instance) if len(instance) else undefined("no instance to count"),
    }


def _one_by_one(hits: np.ndarray, misses: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return counts of each row as ones and zeros (K,), whose mean is hits over all, and the patient of each.

    As rows of their own they count in an interval by patient as in the ratio: leaving a patient out takes his away
    from its denominator too.
    """
    values = np.repeat([1.0, 0.0], [hits.sum(), misses.sum()])
    return values, np.concatenate([np.repeat(owners, hits), np.repeat(owners, misses)])


def _per_image(table: pd.DataFrame, column: str, patients: np.ndarray) -> Estimate:
    """Return the mean of a count per image; where there is none, up to what so many patients may hide.

    That is the exact limit of a Poisson count (Garwood, Biometrika 1936), the images of a patient counting as one.
    """
    images, row = np.unique(table["image"], return_inverse=True)
    counts = np.bincount(row, table[column])
    if not counts.any():
        limit = -math.log(0.025) / len(pd.unique(patients[images]))
        return Estimate(0.0, 0.0, limit, "exact Poisson limit of patients")
    return mean_above_zero(counts, patients[images])


def _empty_masks(table: pd.DataFrame, structures: Sequence[str]) -> pd.DataFrame:
    """Return for each structure how many images have it neither in the reference nor in the prediction, and so on."""
    absent, uncalled = table["reference"] == 0, table["predicted"] == 0
    kinds = {
        "both_empty": absent & uncalled,
        "only_reference_empty": absent & ~uncalled,
        "only_prediction_empty": ~absent & uncalled,
        "neither_empty": ~absent & ~uncalled,
    }
    counts = pd.DataFrame(kinds).groupby(table["structure"]).sum()
    return counts.reindex(list(structures), fill_value=0).rename_axis("structure").reset_index()


def dice_gain(ours: pd.DataFrame, theirs: Sequence[pd.DataFrame], patients: np.ndarray) -> Estimate:
    """Return our mean Dice minus the mean of several others' mean Dice, paired by image, with its interval by patient.

    Args:
        ours, theirs: tables of `image_figures` of the same images and structures, in the same order.
        patients: of each image, (N,).
    """
    known = (ours["reference"] > 0).to_numpy()
    if not known.any():
        return undefined(ABSENT)
    others = np.mean([table["dice"].to_numpy()[known] for table in theirs], axis=0)
    differences, owners = ours["dice"].to_numpy()[known] - others, patients[ours["image"].to_numpy()[known]]
    if not differences.any():
        return Estimate(0.0, 0.0, 0.0, "the same in every image")
    gain, clusters = float(differences.mean()), len(pd.unique(owners))
    half, method = (
        half_by_patient(leveraged((differences - gain) / len(owners), owners), owners),
        "jackknife by patient",
    )
    if half < NOTHING:
        half, method = 1 - 0.025 ** (1 / clusters), "exact bound"
    return at_least_by_patients(
        Estimate(gain, max(-1.0, gain - half), min(1.0, gain + half), f"{method}, paired"), clusters, WIDE
    )
