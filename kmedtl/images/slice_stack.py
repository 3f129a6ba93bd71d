"""From the places of single slices to one evenly spaced stack, or the reason why they are none.

PS3.3 C.7.6.2 (Image Plane): Image Position and Image Orientation say where a slice lies. File names, InstanceNumber and
SliceThickness do not, and are never asked. The tolerance of spacings is that of `highdicom.spatial`, which answers
whether slices are a volume, not why they are none.
"""

from __future__ import annotations

import numpy as np

from kmedtl.images.volume import RIGHT_ANGLE, in_mm, refusal

SAME_PLACE = 0.01  # mm along the normal
EVEN = 0.01  # share of the mean distance that a distance may differ from it, or as many mm: positions are rounded
MULTIPLE = 0.1  # of the smallest distance, that a gap may differ from a multiple of it
DRIFT = 0.5  # pixels across the normal
TO_RAS = np.array([-1.0, -1.0, 1.0])  # from DICOM's world, which counts to the left and to the back


def stack(
    positions: np.ndarray, orientation: np.ndarray, pixel_spacing: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of slices along their normal, int (N,), and the affine (slice, row, column) → RAS+ world.

    Args:
        positions: float64 (N, 3), N ≥ 2, Image Position of each slice: the centre of its first pixel, in mm.
        orientation: float64 (6,), Image Orientation of all: directions along a row and down a column.
        pixel_spacing: distances between rows and between columns in mm.

    Raises:
        UnreadableImageError: directions that are none or not at right angles; slices that are doubled, missing or
            unevenly spaced; a gantry tilt; several volumes in one.
    """
    along_row, down_column = _directions(orientation)
    normal = np.cross(along_row, down_column)
    places = positions @ normal
    order = np.argsort(places, kind="stable")
    _check_doubled(places[order])
    _check_tilt(positions[order], normal, min(pixel_spacing))
    _check_even(np.diff(places[order]))
    spacing = (places[order[-1]] - places[order[0]]) / (len(order) - 1)
    affine = np.eye(4)
    steps = (normal * spacing, down_column * pixel_spacing[0], along_row * pixel_spacing[1], positions[order[0]])
    affine[:3] = np.stack(steps, axis=1) * TO_RAS[:, None] + 0.0  # no −0
    return order, affine


def _directions(orientation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.linalg.norm(orientation.reshape(2, 3), axis=1)
    remedy = "Export the series again"
    if np.abs(lengths - 1).max() > RIGHT_ANGLE:
        raise refusal("ImageOrientationPatient", "directions of length 1", in_mm(tuple(lengths.tolist())), remedy)
    along_row, down_column = orientation.reshape(2, 3) / lengths[:, None]
    if abs(cosine := float(along_row @ down_column)) > RIGHT_ANGLE:
        angle = f"{np.degrees(np.arccos(cosine)):.2f}°"
        raise refusal("ImageOrientationPatient", "rows and columns at right angles", angle, remedy)
    return along_row, down_column


def _check_doubled(places: np.ndarray) -> None:
    starts = np.flatnonzero(np.diff(places, prepend=-np.inf) > SAME_PLACE)
    counts = np.diff(starts, append=len(places))
    most = int(counts.max())
    if most == 1:
        return
    if len(starts) > 1 and counts.min() == most:
        raise refusal(
            "4-D", "one slice at each place", f"{len(starts)} places with {most} slices each",
            "Time points, echoes and phases are volumes of their own: put each in a folder of its own",
        )  # fmt: skip
    doubled = int((counts > 1).sum())
    raise refusal(
        "doubled slices", "one slice at each place", f"{doubled} of {len(starts)} places with up to {most} slices",
        "Take the surplus files out; time points and echoes are volumes of their own",
    )  # fmt: skip


def _check_tilt(positions: np.ndarray, normal: np.ndarray, pixel: float) -> None:
    """Refuse slices that are shifted against each other within their plane, as a tilted gantry does."""
    away = positions - positions[0]
    along = away @ normal
    across = np.linalg.norm(away - along[:, None] * normal, axis=1)
    if across.max() <= DRIFT * pixel:
        return
    worst = int(across.argmax())
    angle = np.degrees(np.arctan2(across[worst], along[worst]))
    raise refusal(
        "gantry tilt", f"slices stacked along their normal, within {DRIFT * pixel:.3g} mm",
        f"shifted by {across.max():.3g} mm across it, {angle:.1f}°", "Resample the series to a grid without tilt",
    )  # fmt: skip


def _check_even(gaps: np.ndarray) -> None:
    mean, smallest = float(gaps.mean()), float(gaps.min())
    if (np.abs(gaps - mean) <= EVEN * max(mean, 1.0)).all():
        return
    multiples = np.rint(gaps / smallest)
    if (np.abs(gaps / smallest - multiples) <= MULTIPLE).all() and multiples.max() > 1:
        missing = int((multiples - 1).sum())
        after = ", ".join(str(1 + index) for index in np.flatnonzero(multiples > 1)[:5])
        raise refusal(
            "missing slices", f"{len(gaps) + 1 + missing} slices, {smallest:.6g} mm apart",
            f"{len(gaps) + 1}, with a gap after number {after} along the normal", "Add the files that lack",
        )  # fmt: skip
    raise refusal(
        "unevenly spaced slices", f"one distance, to within {100 * EVEN:g} %",
        f"{smallest:.6g} to {gaps.max():.6g} mm", "Resample the series, or take out slices that do not belong to it",
    )  # fmt: skip
