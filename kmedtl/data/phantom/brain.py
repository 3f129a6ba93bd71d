"""A synthetic head in three dimensions: T1-weighted MR of old people, half of them with Alzheimer's disease.

The hippocampi shrink and the ventricles widen with age, and more with the disease, so that age helps to read an image.
Nobody's body is in it: what a model scores on these volumes says nothing about patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from kmedtl.data.phantom.scan import Scan, Scanner, Space, inside, mixed, space_of

LABELS = ("CONTROL", "ALZHEIMER")
HIPPOCAMPUS = 1  # in the mask, both of them
AIR, BONE, FLUID, GRAY, WHITE, SKIN = 4.0, 20.0, 35.0, 95.0, 135.0, 150.0  # units of the scanner
FIELD, TOP, BOTTOM = 21.0, -7.5, 5.5  # cm: the width of a slice, and the range that is scanned
SOFT = 0.2  # cm, over which one tissue becomes another
AGES = (55, 91)
SCANNERS: Mapping[str, Scanner] = MappingProxyType({"A": Scanner(3.0, 5.0, 0.4), "B": Scanner(4.0, 3.5, 0.7)})

_within = partial(inside, soft=SOFT)


def scan_of(number: int, seed: int, size: int = 96) -> Scan:
    """Return the scan of a person; it depends on the arguments alone.

    Args:
        size: pixels along each edge of a slice.
    """
    rng = np.random.default_rng([seed, number, 5])  # 5: other people than those of the other phantoms
    name = str(rng.choice(list(SCANNERS)))
    scanner, sex, age = SCANNERS[name], str(rng.choice(["F", "M"])), int(rng.integers(*AGES))
    ill = bool(rng.random() < 0.5)
    scale = rng.normal(1.0, 0.03) * (0.96 if sex == "F" else 1.0)
    old = (age - AGES[0]) / (AGES[1] - AGES[0])
    # Half axes, cm; they are drawn alike of both classes, so that the disease alone tells them apart.
    hippocampus = 0.86 * np.clip(rng.normal(1 - 0.1 * old - 0.14 * ill, 0.04), 0.6, 1.2)
    ventricle = 0.55 * np.clip(rng.normal(1 + 0.6 * old + 0.35 * ill, 0.15), 0.6, 2.6)
    sulci = 0.25 + 0.2 * old + 0.12 * ill
    space = space_of(TOP, BOTTOM, scanner.spacing / 10 / scale, FIELD, size)
    values, marked = _head(space, hippocampus, ventricle, sulci, rng)
    values = ndimage.gaussian_filter(values * _coil(space, rng), (0, scanner.blur, scanner.blur))
    noise = scanner.noise * rng.standard_normal((2, *values.shape))
    seen = np.hypot(values + noise[0], noise[1])  # Rician, as of a magnitude image
    pixel = 10 * scale * FIELD / size
    voxel = scanner.spacing * pixel * pixel / 1000
    return Scan(
        patient=f"P{number:04d}",
        values=np.rint(seen * rng.uniform(3, 8)).astype(np.int16),
        mask=marked.astype(np.uint8),
        spacing=(scanner.spacing, pixel, pixel),
        label=LABELS[ill],
        known={"sex": sex, "site": name, "hippocampus_ml": round(float(marked.sum() * voxel), 2), "age": age},
    )


def _head(
    space: Space, hippocampus: float, ventricle: float, sulci: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the signal of each voxel, and which of them are hippocampus.

    Args:
        hippocampus: half its width, cm.
        ventricle: half the width of a lateral ventricle, cm.
        sulci: how deep fluid reaches between the gyri, cm.
    """
    outer = space.ellipsoid((0, 0, 0), (7.9, 9.6, 8.4))
    values = mixed(np.full(outer.shape, AIR), _within(outer, 8), SKIN)
    values = mixed(values, _within(space.ellipsoid((0, 0, 0), (7.3, 9.0, 7.8)), 8), BONE)
    brain = space.ellipsoid((0, 0, 0), (6.7, 8.4, 7.2))
    values = mixed(values, _within(brain, 7), FLUID)
    folds = ndimage.gaussian_filter(rng.standard_normal(outer.shape), (1.5, 2, 2))
    depth = sulci * (1 + folds / folds.std())  # of the fluid between skull and gyri, cm
    values = mixed(values, _within(brain + depth / 7, 7), GRAY)
    values = mixed(values, _within(brain + (depth + 0.45) / 7, 7), WHITE)
    middle = _within(np.abs(space.x) / 0.12, 0.12) * (space.y < -2.5)  # between the hemispheres
    values = mixed(values, middle * _within(brain, 7), FLUID)
    marked = np.zeros(outer.shape, bool)
    for side in (-1, 1):
        values = mixed(values, _within(space.ellipsoid((side * 1.6, 1.2, 0.3), (1.0, 1.6, 1.3)), 1), GRAY)  # thalamus
        lateral = space.ellipsoid((side * (0.4 + ventricle), 0.2, -1.9), (ventricle, 3.6, 0.9 + 0.3 * ventricle))
        values = mixed(values, _within(lateral, ventricle), FLUID)
        place = (side * rng.normal(2.6, 0.08), rng.normal(0.9, 0.1), rng.normal(1.9, 0.1))
        horn = space.ellipsoid(place, (0.95, 2.1, 0.95))  # of the ventricle, which fills what the hippocampus leaves
        values = mixed(values, _within(horn, 1), FLUID)
        one = _within(space.ellipsoid(place, (hippocampus, 1.9, hippocampus)), hippocampus)
        values = mixed(values, one, GRAY)
        marked |= one > 0.5
    return values, marked


def _coil(space: Space, rng: np.random.Generator) -> np.ndarray:
    """Return how strongly the coil receives from each voxel, within a fifth of 1."""
    slopes = rng.uniform(-0.1, 0.1, 3)
    return 1 + (slopes[0] * space.x + slopes[1] * space.depth + slopes[2] * space.y) / 8
