"""What every synthetic volume is: values on voxels, what its mask marks, and what is known of the person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kmedtl.data.phantom.grid import smoothstep
from kmedtl.errors import UserError

PATIENTS, FEWEST, MOST = 120, 6, 10_000


@dataclass(frozen=True)
class Scanner:
    """A scanner: the distance of its slices in mm, the deviation of its noise in the scan's unit, and its blur in
    pixels.
    """

    spacing: float
    noise: float
    blur: float


@dataclass(frozen=True)
class Scan:
    """One synthetic volume.

    Attributes:
        values: int16 (slices, size, size), HU of CT: slices to the head, rows to the back, columns to the patient's
            left.
        mask: uint8, likewise, the number of the structure that a voxel belongs to, 0 of none.
        spacing: between slices, rows and columns in mm.
        label: the class.
        known: further columns: `site` (the scanner), `age`, `sex` and the phantom's own.
    """

    patient: str
    values: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float]
    label: str
    known: Mapping[str, str | float]


@dataclass(frozen=True)
class Space:
    """Where voxels lie in the patient's frame, in cm at adult scale: `y` (slices, 1, 1) to the feet, `depth`
    (1, size, 1) from the middle to the back, `x` (1, 1, size) to the left.
    """

    y: np.ndarray
    depth: np.ndarray
    x: np.ndarray

    def ellipsoid(
        self, center: tuple[float, float, float], half: tuple[float | np.ndarray, float | np.ndarray, float]
    ) -> np.ndarray:
        """Return how far voxels lie out of an ellipsoid, 1 on its surface, (slices, size, size).

        Args:
            center, half: x, depth and y of its centre, and its half axes along them.
        """
        x, depth, y = (
            ((axis - middle) / length)
            for axis, middle, length in zip((self.x, self.depth, self.y), center, half, strict=True)
        )
        return np.sqrt(x * x + depth * depth + y * y)


def mixed(values: np.ndarray, share: np.ndarray, tissue: float) -> np.ndarray:
    """Return the values where a tissue takes a share of each voxel, 0–1."""
    return values + (tissue - values) * share


def inside(distance: np.ndarray, length: float, soft: float) -> np.ndarray:
    """Return the share of each voxel within a surface, 0–1.

    Args:
        distance: as of `Space.ellipsoid`, 1 on the surface.
        length: a typical radius, cm.
        soft: over which one tissue becomes another, cm.
    """
    return smoothstep((1 - distance) * length / soft + 0.5)


def space_of(top: float, bottom: float, step: float, field: float, size: int) -> Space:
    """Return the voxels between two heights, the lowest slice first.

    Args:
        top, bottom: y, cm.
        step: between slices, cm.
        field: width of a slice, cm.
        size: pixels along each edge of a slice.
    """
    axis = (np.arange(size) - (size - 1) / 2) * (field / size)
    return Space(np.arange(top, bottom, step)[::-1, None, None], axis[:, None], axis[None, None, :])


def patients_asked(source: str) -> int:
    """Return how many patients `NAME:PATIENTS` asks for; `NAME` alone for `PATIENTS`.

    Raises:
        UserError: a number that is none, or out of range.
    """
    name, _, count = source.partition(":")
    if count and not (count.isdigit() and FEWEST <= int(count) <= MOST):
        raise UserError(
            f"data.source: expected {name}:PATIENTS with {FEWEST} to {MOST} patients. Received: {source!r}."
        )
    return int(count or PATIENTS)
