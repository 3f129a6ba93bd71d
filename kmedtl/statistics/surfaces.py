"""How large the surface of a 3-D mask is, in each neighbourhood of 2 × 2 × 2 voxels that it passes through."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

Corner = tuple[int, int, int]
CORNERS: tuple[Corner, ...] = tuple((one, two, three) for one, two, three in product((0, 1), repeat=3))
AROUND = ((0, 0), (0, 1), (1, 1), (1, 0))  # the corners of a face, each beside the next


def surface_areas(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return the area of the surface in each neighbourhood, (D + 1, H + 1, W + 1); around the volume is outside.

    The surface cuts each edge from a voxel inside to one outside in its middle; where the cuts of a neighbourhood close
    to a polygon, its area is that of the triangles from its sides to its centre. Inside corners that meet at a diagonal
    of a face alone are kept apart, as marching cubes do (Lorensen & Cline, SIGGRAPH 1987).

    Args:
        mask: bool (D, H, W).
        spacing: of slices, rows and columns, in one unit of length.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    code = np.zeros([side + 1 for side in mask.shape], np.uint8)
    for bit, corner in enumerate(CORNERS):
        code |= padded[tuple(slice(at, at + side) for at, side in zip(corner, code.shape, strict=True))] << bit
    slices, rows, columns = spacing
    scale = np.array([rows * columns, slices * columns, slices * rows])  # of a normal, by the lengths across it
    return (np.linalg.norm(_normals() * scale, axis=2).sum(axis=1) / 2)[code]


@cache
def _normals() -> np.ndarray:
    """Return the normals of each neighbourhood's triangles, twice as long as they are large, (256, T, 3)."""
    each = [_triangles(code) for code in range(256)]
    found = np.zeros((256, max(map(len, each)), 3))
    for code, normals in enumerate(each):
        found[code, : len(normals)] = np.array(normals).reshape(-1, 3)
    return found


def _triangles(code: int) -> list[np.ndarray]:
    normals = []
    for polygon in _polygons(code):
        spokes = polygon - polygon.mean(axis=0)
        normals += list(np.cross(spokes, np.roll(spokes, -1, axis=0)))
    return normals


def _polygons(code: int) -> list[np.ndarray]:
    """Return the closed lines that the surface cuts out of a neighbourhood's faces, the places (K, 3) of each."""
    inside = {corner for bit, corner in enumerate(CORNERS) if code >> bit & 1}
    joined: dict[frozenset[Corner], list[frozenset[Corner]]] = {}
    for axis, side in product(range(3), (0, 1)):
        for one, other in _cuts(axis, side, inside):
            joined.setdefault(one, []).append(other)
            joined.setdefault(other, []).append(one)
    polygons = []
    while joined:
        line, edge = [], next(iter(joined))
        while edge in joined:
            line.append(np.mean(list(edge), axis=0))
            ends = joined.pop(edge)
            edge = next((end for end in ends if end in joined), edge)
        polygons.append(np.array(line))
    return polygons


def _cuts(axis: int, side: int, inside: set[Corner]) -> list[tuple[frozenset[Corner], frozenset[Corner]]]:
    """Return the lines on a face as pairs of the edges that they join: one around each run of inside corners."""
    face = [(*place[:axis], side, *place[axis:]) for place in AROUND]
    corners: list[Corner] = [(one, two, three) for one, two, three in face]
    lines = []
    for first in range(4):
        if corners[first] in inside and corners[first - 1] not in inside:
            last = first
            while corners[(last + 1) % 4] in inside:
                last += 1
            leaving = frozenset((corners[last % 4], corners[(last + 1) % 4]))
            lines.append((frozenset((corners[first - 1], corners[first])), leaving))
    return lines
