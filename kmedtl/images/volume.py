"""A volume: slices in one order and orientation, whatever file they come from, and where they lie in the patient.

World coordinates are RAS+ millimetres: x grows to the patient's right, y to the front, z to the head, as in NIfTI.
(DICOM counts x to the left and y to the back.) An affine leads from indices of voxels to their centres in the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np

from kmedtl.images.pixels import UnreadableImageError

Plane = Literal["axial", "coronal", "sagittal"]
Kind = Literal["nifti", "dicom_series", "dicom_frames"]

MAX_VOXELS = 2**28  # 512 × 512 × 1024, 1 GiB of float32
# Where slices, rows and columns lead: to the right, left, front (anterior), back (posterior), head (superior) or feet
# (inferior). Each plane as radiologists look at it, and as scanners write it to DICOM; all are right-handed in DICOM's
# sense, the normal of a slice being along its rows × down its columns (PS3.3 C.7.6.2).
DIRECTIONS: Mapping[Plane, str] = {"axial": "SPL", "coronal": "PIL", "sagittal": "RIP"}
LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))  # of the world's axes, with them and against them
ACROSS: tuple[Plane, ...] = ("sagittal", "coronal", "axial")  # which plane is sliced along each axis of the world
RIGHT_ANGLE = 1e-3  # cosine: half a voxel over 500


@dataclass(frozen=True, eq=False)
class FileGrid:
    """How a file stores the voxels of a volume: the way back.

    Attributes:
        shape: of the file's array, three axes. Of NIfTI (i, j, k); of DICOM (slices along the normal, rows, columns).
        affine: float64 (4, 4), index in that array → world.
        axes: which of the file's axes the volume's slices, rows and columns are.
        flipped: whether these run against the file's.
        header: a NIfTI file's own, 348 or 540 bytes, else empty.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    header: bytes = b""


@dataclass(frozen=True, eq=False)
class Volume:
    """Slices of one patient, evenly spaced and at right angles to their normal.

    Attributes:
        values: float32 (slices, H, W), finite: Hounsfield units of CT, else in the file's own units. Whole numbers
            above 2²⁴ are rounded.
        affine: float64 (4, 4), index (slice, row, column) → world.
        plane: which way it is sliced; slices, rows and columns lead where `DIRECTIONS` says, or nearest to it.
        modality: DICOM's, such as CT or MR; "" where the file does not say, as NIfTI never does.
        kind: of the file.
        grid: how the file stores the voxels.
    """

    values: np.ndarray
    affine: np.ndarray
    plane: Plane
    modality: str
    kind: Kind
    grid: FileGrid

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distances between slices, rows and columns in mm."""
        return spacing_of(self.affine)

    @property
    def orientation(self) -> str:
        """Where slices, rows and columns lead, such as SPL: to the head, to the back, to the left."""
        return orientation_of(self.affine)

    @property
    def position(self) -> tuple[float, float, float]:
        """The centre of the first voxel of the first slice, in the world."""
        x, y, z = self.affine[:3, 3].tolist()
        return x, y, z


@dataclass(frozen=True, eq=False)
class Stored:
    """Voxels as a file stores them, checked; `sliced` is the axis along which it is sliced. The rest as in `Volume`."""

    values: np.ndarray
    affine: np.ndarray
    sliced: int
    modality: str
    kind: Kind
    header: bytes = b""


def refusal(what: str, expected: str, received: str, remedy: str) -> UnreadableImageError:
    """Return the error that says, in one line and the same form for all volumes, why one is not read."""
    return UnreadableImageError(f"{what}: expected {expected}. Received: {received}. {remedy}.")


def check_voxels(shape: tuple[int, ...]) -> None:
    """Raise `UnreadableImageError` for a volume of more than `MAX_VOXELS`, before any of it is read."""
    count = int(np.prod([int(side) for side in shape], dtype=object))
    if count > MAX_VOXELS:
        sides = " × ".join(str(side) for side in shape)
        raise refusal("too many voxels", f"at most {MAX_VOXELS}", f"{sides}, {count}", "Crop or resample it")


def check_affine(affine: np.ndarray) -> None:
    """Raise `UnreadableImageError` unless an affine's numbers are finite, its steps above 0 and at right angles."""
    remedy = "Convert it again from its source"
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise refusal("orientation", "an affine of finite numbers", "NaN or infinity", remedy)
    spacing = spacing_of(affine)
    if min(spacing) <= 0:
        raise refusal("spacing", "more than 0 mm along each axis", in_mm(spacing), remedy)
    steps = affine[:3, :3] / spacing
    cosine = float(np.abs(steps.T @ steps - np.eye(3)).max())
    if cosine > RIGHT_ANGLE:
        angle = f"{np.degrees(np.arccos(min(cosine, 1.0))):.2f}°"
        raise refusal("shear", "axes at right angles", angle, "Resample it to a grid without shear")


def arranged(stored: Stored, plane: Plane | None = None) -> Volume:
    """Return a file's voxels as a volume: its axes in the order of slices, rows, columns, each led where `plane` wants.

    No voxel is resampled: axes change places and turn round, and an oblique volume stays oblique.

    Args:
        plane: None: the one that the file is sliced in.
    """
    leads = _nearest_axes(stored.affine)
    plane = plane or ACROSS[leads[stored.sliced][0]]
    axes, flipped = [], []
    for letter in DIRECTIONS[plane]:
        world, name = next((axis, pair.index(letter)) for axis, pair in enumerate(LETTERS) if letter in pair)
        axis = next(index for index, (other, _) in enumerate(leads) if other == world)
        axes.append(axis)
        flipped.append(leads[axis][1] != name)
    affine = stored.affine[:, [*axes, 3]].copy()
    for axis, turned in enumerate(flipped):
        if turned:
            affine[:, 3] += affine[:, axis] * (stored.values.shape[axes[axis]] - 1)
            affine[:, axis] *= -1
    first, second, third = stored.values.shape
    grid = FileGrid(
        (first, second, third), stored.affine, (axes[0], axes[1], axes[2]), (flipped[0], flipped[1], flipped[2]),
        stored.header,
    )  # fmt: skip
    values = np.ascontiguousarray(as_arranged(stored.values, grid))
    return Volume(values, affine, plane, stored.modality, stored.kind, grid)


def as_arranged(values: np.ndarray, grid: FileGrid) -> np.ndarray:
    """Return what a file stores, of `grid.shape`, in the order of the volume's voxels, (slices, H, W)."""
    return values.transpose(grid.axes)[_turning(grid.flipped)]


def as_stored(values: np.ndarray, grid: FileGrid) -> np.ndarray:
    """Return what belongs to a volume's voxels (slices, H, W) in the order of its file, of `grid.shape`."""
    return values[_turning(grid.flipped)].transpose(np.argsort(grid.axes))


def spacing_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Return the lengths of an affine's steps in mm."""
    one, two, three = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return one, two, three


def orientation_of(affine: np.ndarray) -> str:
    """Return where an affine's axes lead, nearest, by the letters of `LETTERS`."""
    return "".join(LETTERS[axis][name] for axis, name in _nearest_axes(affine))


def apart(affine: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return how far a corner voxel of a volume of `shape` lies from where another affine puts it at most, in mm."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    places = np.c_[corners, np.ones(len(corners))]
    return float(np.linalg.norm((places @ (affine - other).T)[:, :3], axis=1).max())


def in_mm(numbers: tuple[float, ...]) -> str:
    """Return lengths as text, such as `6.5 × 0.6875 × 0.6875 mm`."""
    return " × ".join(f"{number:.6g}" for number in numbers) + " mm"


def _nearest_axes(affine: np.ndarray) -> list[tuple[int, int]]:
    """Return for each index the axis of the world that it leads along, each once, and 0 with or 1 against it."""
    steps = affine[:3, :3] / np.array(spacing_of(affine))
    best = max(permutations(range(3)), key=lambda order: sum(abs(steps[order[i], i]) for i in range(3)))
    return [(axis, int(steps[axis, index] < 0)) for index, axis in enumerate(best)]


def _turning(flipped: tuple[bool, ...] | list[bool]) -> tuple[slice, ...]:
    return tuple(slice(None, None, -1 if turned else 1) for turned in flipped)
