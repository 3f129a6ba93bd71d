"""The lungs' vessels: two random trees of tubes that fork away from the hila."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kmedtl.data.phantom.grid import Grid

GENERATIONS = 5
STEPS = 24  # points along each tube
SMALL, LARGE = 0.08, 0.18  # cm that every point, and then a wide vessel's once more, is spread over


@dataclass(frozen=True)
class Tree:
    """Points in the vessels of both lungs."""

    x: np.ndarray  # (points,) float32, cm
    y: np.ndarray
    volume: np.ndarray  # (points,) float32, cm³ of blood that each point stands for
    large: int  # the first `large` points belong to wide vessels


def draw_tree(rng: np.random.Generator, thickness: float) -> Tree:
    """Draw the vessels of both lungs; `thickness` scales their radii (1 is a healthy adult)."""
    generations = []
    x, y, angle, length, radius = draw_roots(rng, thickness)
    for _ in range(GENERATIONS):
        generations.append(tubes(rng, x, y, angle, length, radius))
        x, y, angle = generations[-1][0][:, -1], generations[-1][1][:, -1], generations[-1][3]
        x, y, length, radius = (np.repeat(v, 2) for v in (x, y, length, radius))
        fork = np.tile([-1.0, 1.0], angle.size) * rng.uniform(0.15, 0.6, x.size)
        angle = np.repeat(angle, 2) + fork
        length = length * rng.uniform(0.6, 1.0, x.size)
        radius = radius * rng.uniform(0.62, 0.82, x.size)
    x, y, volume = (np.concatenate([g[i].ravel() for g in generations]).astype(np.float32) for i in range(3))
    return Tree(x, y, volume, large=sum(g[0].size for g in generations[:2]))


def draw_roots(rng: np.random.Generator, thickness: float) -> tuple[np.ndarray, ...]:
    """Draw where the main branches leave the hila: x, y, angle, length and radius, each (roots,)."""
    fan = np.array([-1.35, -0.9, -0.35, 0.2, 0.7, 1.1, 1.45])
    side = np.repeat([-1.0, 1.0], fan.size)
    angle = np.tile(fan, 2) + rng.normal(0, 0.12, side.size)
    angle = np.where(side > 0, angle, np.pi - angle)
    x = side * 2.8 + rng.normal(0, 0.3, side.size)
    y = np.where(side > 0, -1.6, -0.8) + np.tile(fan, 2) * 0.8
    return x, y, angle, rng.uniform(2.2, 4.0, side.size), rng.uniform(0.32, 0.55, side.size) * thickness


def tubes(
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    length: np.ndarray,
    radius: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y, volume of (tubes, STEPS) points along gently bent tubes, and the (tubes,) final angles."""
    bend = rng.normal(0, 0.35, x.size)
    along = np.linspace(0, 1, STEPS)
    heading = angle[:, None] + bend[:, None] * along
    step = length[:, None] / STEPS
    px = x[:, None] + np.cumsum(np.cos(heading), axis=1) * step
    py = y[:, None] + np.cumsum(np.sin(heading), axis=1) * step
    taper = radius[:, None] * (1 - 0.25 * along)
    return px, py, np.pi * taper**2 * step, heading[:, -1]


def vessel_depth(tree: Tree, grid: Grid) -> np.ndarray:
    """Blood along each ray, (size, size) float32, cm: the tree's points poured onto the grid."""
    size, pose = len(grid.y), grid.pose
    y = tree.y - pose.lift(tree.y)
    column = np.rint((tree.x - pose.lean * y - grid.across[0]) / grid.pixel).astype(np.int32)
    row = np.rint((y - grid.y[0, 0]) / grid.pixel).astype(np.int32)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    large = np.arange(tree.x.size) < tree.large
    poured = pour(row, column, tree.volume * (inside & large), size) / grid.pixel**2
    hila, _ = grid.window(-11, 11, -12, 9)
    poured[hila] = ndimage.gaussian_filter(poured[hila], LARGE / grid.pixel, truncate=2.5)
    poured += pour(row, column, tree.volume * (inside & ~large), size) / grid.pixel**2
    return ndimage.gaussian_filter(poured, SMALL / grid.pixel, truncate=2.0)


def pour(row: np.ndarray, column: np.ndarray, volume: np.ndarray, size: int) -> np.ndarray:
    """Add up volumes by pixel, (size, size) float32."""
    flat = np.clip(row, 0, size - 1) * size + np.clip(column, 0, size - 1)
    return np.bincount(flat, volume, size * size).reshape(size, size).astype(np.float32)
