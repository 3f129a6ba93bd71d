"""A synthetic upper abdomen in three dimensions: CT in the portal venous phase, most livers with tumours.

Nobody's body is in it: what a model scores on these volumes says nothing about patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from kmedtl.data.phantom.grid import smoothstep
from kmedtl.data.phantom.scan import Scan, Scanner, Space, inside, mixed, space_of

LABELS = ("NO TUMOR", "TUMOR")
LIVER, TUMOR = 1, 2  # in the mask, as in the Medical Segmentation Decathlon's task 3
AIR, FAT, MUSCLE, BONE = -1000.0, -100.0, 60.0, 350.0  # HU
FIELD, TOP, BOTTOM = 40.0, -8.0, 9.0  # cm: the width of a slice, and the range that is scanned
SOFT = 0.4  # cm, over which one tissue becomes another
MOST = 4  # tumours
SCANNERS: Mapping[str, Scanner] = MappingProxyType({"A": Scanner(5.0, 14.0, 0.3), "B": Scanner(7.0, 7.0, 0.7)})

_within = partial(inside, soft=SOFT)


def scan_of(number: int, seed: int, size: int = 96) -> Scan:
    """Return the scan of a person; it depends on the arguments alone.

    Args:
        size: pixels along each edge of a slice.
    """
    rng = np.random.default_rng([seed, number, 4])  # 4: other people than those of the other phantoms
    name = str(rng.choice(list(SCANNERS)))
    scanner, sex, age = SCANNERS[name], str(rng.choice(["F", "M"])), int(rng.integers(30, 86))
    scale = rng.normal(1.0, 0.05) * (0.94 if sex == "F" else 1.0)
    space = space_of(TOP, BOTTOM, scanner.spacing / 10 / scale, FIELD, size)
    liver = _liver(space, rng)
    tumors = _tumors(space, liver, rng) if rng.random() < 0.75 else []
    values = _abdomen(space, rng)
    values = mixed(values, liver, rng.normal(108, 8))
    values = mixed(values, liver * _veins(liver.shape, rng), 150.0)
    marked = np.where(liver > 0.5, LIVER, 0)
    for tumor in tumors:
        values = mixed(values, tumor, rng.uniform(45, 75))
        marked[tumor > 0.5] = TUMOR
    values = ndimage.gaussian_filter(values, (0, scanner.blur, scanner.blur))
    noisy = values + scanner.noise * rng.standard_normal(values.shape)
    pixel = 10 * scale * FIELD / size
    voxel = scanner.spacing * pixel * pixel / 1000
    return Scan(
        patient=f"P{number:04d}",
        values=np.clip(np.rint(noisy), -1024, 3071).astype(np.int16),
        mask=marked.astype(np.uint8),
        spacing=(scanner.spacing, pixel, pixel),
        label=LABELS[TUMOR in marked],
        known={"sex": sex, "site": name, "tumor_ml": round(float((marked == TUMOR).sum() * voxel), 2), "age": age},
    )


def _liver(space: Space, rng: np.random.Generator) -> np.ndarray:
    """Return the share of each voxel that is liver, 0–1: a right and a left lobe under the diaphragm."""
    large = rng.normal(1.0, 0.07)
    right = space.ellipsoid((-6.5, 0.5, 0.0), (6.6 * large, 7.6 * large, 7.2 * large))
    left = space.ellipsoid((0.0, -3.5, -1.5), (rng.uniform(5.5, 8.0), 3.4 * large, 4.0 * large))
    hilum = space.ellipsoid((-2.0, 2.5, 2.5), (3.0, 3.0, 3.5))
    whole = np.maximum(_within(right, 6), _within(left, 4)) * (1 - _within(hilum, 3))
    return whole * _within(_trunk(space, 13.2, 8.4), 9)


def _trunk(space: Space, width: float, depth: float) -> np.ndarray:
    return np.sqrt((space.x / width) ** 2 + (space.depth / depth) ** 2) + 0 * space.y


def _tumors(space: Space, liver: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the share of each voxel that each tumour takes: balls with an uneven surface, 1.6 to 5 cm across."""
    places, found = np.argwhere(liver > 0.9), []
    for _ in range(rng.integers(1, MOST + 1)):
        slice_, row, column = places[rng.integers(len(places))]
        radius = rng.uniform(0.8, 2.5)
        y, depth = space.y - space.y[slice_], space.depth - space.depth[row]
        x = space.x - space.x[..., column]
        bumps = 1 + 0.15 * np.sin(3 * np.arctan2(depth, x) + rng.uniform(0, 6)) * np.cos(2 * y / radius)
        found.append(liver * smoothstep((radius * bumps - np.sqrt(x * x + y * y + depth * depth)) / SOFT + 0.5))
    return found


def _veins(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return the share of each voxel that is blood, 0–1: thin sheets where smooth noise changes its sign."""
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), (1.5, 4, 4))
    return np.clip(1 - np.abs(smooth / smooth.std()) / 0.12, 0, 1) * 0.7


def _abdomen(space: Space, rng: np.random.Generator) -> np.ndarray:
    """Return HU of everything else: skin, fat, muscle, spine, aorta, spleen, kidneys, stomach and bowel."""
    wall = rng.uniform(1.0, 3.5)
    values = AIR + (FAT - AIR) * _within(_trunk(space, 14.5 + wall, 9.6 + wall), 12)
    values = mixed(values, _within(_trunk(space, 14.6, 9.7), 11), MUSCLE)
    values = mixed(values, _within(_trunk(space, 13.4, 8.6), 10), FAT)
    bowel = ndimage.gaussian_filter(rng.standard_normal(values.shape), (1, 3, 3))
    bowel = smoothstep(bowel / bowel.std() - 0.3) * _within(_trunk(space, 12.5, 7.6), 10)
    values = mixed(values, bowel * smoothstep((space.y + 1) / 4), rng.uniform(20, 45))
    values = mixed(values, _within(space.ellipsoid((9.0, 4.0, -2.0), (3.2, 4.2, 4.5)), 3), rng.normal(118, 8))
    stomach = space.ellipsoid((6.0, -3.0, -2.0), (4.5, 3.2, 4.0))
    values = mixed(values, _within(stomach, 4), rng.uniform(5, 40))
    values = mixed(values, _within(stomach, 4) * smoothstep((-3.6 - space.depth) / SOFT), -900.0)
    for side in (-1, 1):
        kidney = space.ellipsoid((side * 6.0, 5.0, 5.5 + side * 0.5), (2.6, 2.8, 4.8))
        values = mixed(values, _within(kidney, 3), rng.normal(165, 12))
    values = mixed(values, _within(np.hypot(space.x, space.depth - 6.4) / 2.2 + 0 * space.y, 2), BONE)
    return mixed(values, _within(np.hypot(space.x - 1.0, space.depth - 3.4) / 1.1 + 0 * space.y, 1), 150.0)
