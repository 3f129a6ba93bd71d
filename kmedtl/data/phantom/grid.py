"""How the patient stands, where that puts each pixel, and the two shapes everything is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

FIELD = 36.0  # width of the film, cm at adult scale


@dataclass(frozen=True)
class Pose:
    """How one film was taken of the patient."""

    lean: float  # sideways lean, as a slope
    turn: float  # rotation about the vertical axis, radians; shifts front against back
    shift: tuple[float, float]  # cm
    zoom: float
    expiration: float  # how much higher the diaphragm stands than in full inspiration, cm
    evolution: float  # density of the lesion relative to the patient's mean

    def lift(self, y: float | np.ndarray) -> float | np.ndarray:
        """How far breathing out has pushed up what lies at height y in full inspiration, cm."""
        return self.expiration * np.minimum(np.maximum((y + 8) / 16, 0), 1)


@dataclass(frozen=True)
class Grid:
    """Where each pixel lies in the patient's frame, float32 cm.

    The patient leans by a shear of x, which leaves y one-dimensional: what depends on height alone is cheap.
    """

    x: np.ndarray  # (size, size)
    y: np.ndarray  # (size, 1)
    side: np.ndarray  # (size, size), |x|
    across: np.ndarray  # (size,), x without the lean
    pixel: float  # width of a pixel, cm
    pose: Pose

    def texture(self, tile: np.ndarray, cell: float) -> np.ndarray:
        """Sample a periodic noise tile of `cell` cm a cell at each pixel, (size, size) float32."""
        return between(between(tile, self.y[:, 0] / cell, 0), self.across / cell, 1)

    def window(self, left: float, right: float, top: float, bottom: float) -> tuple[tuple[slice, slice], Grid]:
        """Return the pixels of a box (cm) and their grid: small things need no whole film."""
        sway = abs(self.pose.lean) * max(abs(top), abs(bottom))
        rows = slice(*np.searchsorted(self.y[:, 0], (top, bottom)))
        columns = slice(*np.searchsorted(self.across, (left - sway, right + sway)))
        box = (rows, columns)
        return box, replace(self, x=self.x[box], y=self.y[rows], side=self.side[box], across=self.across[columns])


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw the positioning of one film; one in six is taken in poor inspiration."""
    return Pose(
        lean=rng.normal(0, 0.03),
        turn=rng.normal(0, 0.05),
        shift=(rng.normal(0, 0.6), rng.normal(0, 0.6)),
        zoom=rng.normal(1, 0.035),
        expiration=float(rng.uniform(2, 4) if rng.random() < 1 / 6 else abs(rng.normal(0, 0.8))),
        evolution=float(rng.uniform(0.8, 1.2)),
    )


def make_grid(pose: Pose, size: int) -> Grid:
    """Lay the film's pixels into the patient's frame."""
    pixel = FIELD / pose.zoom / size
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * pixel
    y = (axis - pose.shift[1] - 1.0)[:, None].astype(np.float32)
    across = (axis - pose.shift[0]).astype(np.float32)
    x = across + pose.lean * y
    return Grid(x=x, y=y, side=np.abs(x), across=across, pixel=pixel, pose=pose)


def between(nodes: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    """Interpolate linearly between the (periodic) nodes along one axis; node i lies at position i."""
    below = np.floor(position).astype(np.intp)
    weight = np.expand_dims(position - below, 1 - axis).astype(nodes.dtype)
    lower, upper = (np.take(nodes, i, axis=axis, mode="wrap") for i in (below, below + 1))
    return lower + weight * (upper - lower)


def smoothstep(t: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 to 1 while t goes from 0 to 1: t²(3 − 2t)."""
    t = np.clip(t, 0, 1)
    rise = -2 * t
    rise += 3
    rise *= t
    rise *= t
    return rise


def ball(*quotients: np.ndarray) -> np.ndarray:
    """Half chord of a unit ellipsoid: sqrt(1 − Σ q²), 0 outside."""
    chord = 1 - quotients[0] * quotients[0]
    for q in quotients[1:]:
        chord = chord - q * q
    np.maximum(chord, 0, out=chord)
    return np.sqrt(chord, out=chord)
