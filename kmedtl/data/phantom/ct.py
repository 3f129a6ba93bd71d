"""The synthetic thorax in three dimensions: chest CT of the people of the films, half of them with a nodule in a lung.

Nobody's body is in it: what a model scores on these volumes says nothing about patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from kmedtl.data.phantom.anatomy import LUNG_APEX, LUNG_BASE, Patient, draw_patient
from kmedtl.data.phantom.bones import cage_half_width, rib_profile
from kmedtl.data.phantom.grid import FIELD, ball, smoothstep
from kmedtl.data.phantom.scan import Scan, Scanner, Space, space_of
from kmedtl.data.phantom.vessels import STEPS

LABELS = ("NO NODULE", "NODULE")
AIR, LUNG, FAT_AND_MUSCLE, BLOOD, BONE = -1000.0, -860.0, 10.0, 45.0, 420.0  # HU
TOP, BOTTOM = LUNG_APEX - 1.0, LUNG_BASE - 1.0  # cm, of the range that is scanned
NODULE = (1.0, 1.5)  # cm, radius: at most 3 cm across
SOFT = 0.25  # cm, over which one tissue becomes another


SCANNERS: Mapping[str, Scanner] = MappingProxyType({"A": Scanner(5.0, 28.0, 0.3), "B": Scanner(7.0, 12.0, 0.7)})


def scan_of(number: int, seed: int, size: int = 96) -> Scan:
    """Return the scan of a person; it depends on the arguments alone.

    Args:
        size: pixels along each edge of a slice.
    """
    rng = np.random.default_rng([seed, number, 3])  # 3: other people than those of the films
    patient = draw_patient(rng)
    scanner = SCANNERS[patient.scanner]
    step = scanner.spacing / 10 / patient.scale
    space = space_of(TOP, BOTTOM, step, FIELD, size)
    lung = _lung(patient, space)
    nodule, diameter = _nodule(patient, space, lung, rng) if rng.random() < 0.5 else (np.zeros_like(lung), 0.0)
    tissue = _tissue(patient, space, lung, nodule, rng)
    blurred = ndimage.gaussian_filter(tissue, (0, scanner.blur, scanner.blur))
    noisy = blurred + scanner.noise * rng.standard_normal(tissue.shape)
    pixel = 10 * patient.scale * FIELD / size
    return Scan(
        patient=f"P{number:04d}",
        values=np.clip(np.rint(noisy), -1024, 3071).astype(np.int16),
        mask=(nodule > 0.5).astype(np.uint8),
        spacing=(scanner.spacing, pixel, pixel),
        label=LABELS[diameter > 0],
        known={
            "sex": patient.sex,
            "site": patient.scanner,
            "diameter": round(diameter * patient.scale * 10, 1),
            "age": patient.age,
        },
    )


def _radius(space: Space, width: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return how far voxels lie out of an ellipse around the middle, 1 on its border."""
    return np.sqrt((space.x / width) ** 2 + (space.depth / depth) ** 2)


def _cage(patient: Patient, space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Return half width and half depth of the rib cage at each height, cm."""
    half = np.maximum(cage_half_width(patient, space.y), 0.1)
    return half, patient.half_depth * (half / patient.half_width) ** 0.5


def _lung(patient: Patient, space: Space) -> np.ndarray:
    """Return the share of each voxel that is lung, 0–1: the cage less mediastinum, heart and diaphragm."""
    half, depth = _cage(patient, space)
    inside = smoothstep((1 - _radius(space, half, depth)) * half / SOFT)
    side = np.abs(space.x)
    middle = smoothstep((side - 2.6 - 0.4 * patient.aorta * (space.x > 0)) / SOFT)
    heart = np.sqrt(
        ((space.x - 2.2) / patient.heart_width) ** 2
        + ((space.y - 3.9) / patient.heart_height) ** 2
        + ((space.depth + 0.35 * patient.half_depth) / (0.55 * patient.half_depth)) ** 2
    )
    q = (side - 0.44 * patient.half_width) / (0.6 * patient.half_width)
    dome = np.where(space.x > 0, patient.dome[1], patient.dome[0])
    floor = LUNG_BASE + 0.5 - dome * ball(q, space.depth / patient.half_depth)
    outside_heart = smoothstep((heart - 1) * patient.heart_height / SOFT)
    return inside * middle * outside_heart * smoothstep((floor - space.y) / SOFT)


def _nodule(patient: Patient, space: Space, lung: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return the share of each voxel that a nodule takes, and its diameter in cm: a ball with an uneven surface."""
    deep = ndimage.uniform_filter(lung, (3, 5, 5)) > 0.98
    places = np.argwhere(deep)
    slice_, row, column = places[rng.integers(len(places))]
    radius = rng.uniform(*NODULE)
    y, depth, x = (
        space.y - space.y[slice_], space.depth - space.depth[row], space.x - space.x[..., column],
    )  # fmt: skip
    bumps = 1 + 0.12 * np.sin(3 * np.arctan2(depth, x) + rng.uniform(0, 6)) * np.sin(2 * y / radius)
    distance = np.sqrt(x * x + y * y + depth * depth)
    return lung * smoothstep((radius * bumps - distance) / SOFT + 0.5), 2 * radius


def _vessels(patient: Patient, space: Space, rng: np.random.Generator) -> np.ndarray:
    """Return the share of each voxel that is blood in a vessel, 0–1: the film's tree, each branch at a depth."""
    tree = patient.tree
    depth = np.repeat(rng.normal(0, 0.4 * patient.half_depth, len(tree.x) // STEPS), STEPS)
    edges = [np.sort(axis.ravel()) for axis in (space.y, space.depth, space.x)]
    steps = [edge[1] - edge[0] for edge in edges]
    index = [
        np.rint((at - edge[0]) / step) for at, edge, step in zip((tree.y, depth, tree.x), edges, steps, strict=True)
    ]
    shape = tuple(len(edge) for edge in edges)
    there = np.all([(one >= 0) & (one < length) for one, length in zip(index, shape, strict=True)], axis=0)
    flat = np.ravel_multi_index([one[there].astype(int) for one in index], shape)
    poured = np.bincount(flat, tree.volume[there], int(np.prod(shape))).reshape(shape) / np.prod(steps)
    return np.minimum(ndimage.gaussian_filter(poured, 0.6)[::-1], 1)  # slices run to the head, y to the feet


def _tissue(
    patient: Patient, space: Space, lung: np.ndarray, nodule: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return HU of each voxel, before the scanner."""
    half, depth = _cage(patient, space)
    skin = _radius(space, np.maximum(half, 0.55 * patient.half_width) + 1.2 + patient.wall, depth + 1.2 + patient.wall)
    values = AIR + (FAT_AND_MUSCLE - AIR) * smoothstep((1 - skin) * patient.half_width / SOFT)
    out = _radius(space, half + 0.5, depth + 0.5)
    tilted = space.y + 0.35 * space.depth
    ribs = np.clip(rib_profile(patient, tilted, 0.62), 0, 1) * smoothstep(1 - np.abs(out - 1) * half / 0.45)
    spine = smoothstep((1.7 - np.hypot(space.x, space.depth - 0.75 * depth)) / SOFT)
    values += (BONE * patient.bone - values) * np.maximum(ribs * (half > 1), spine)
    values += (LUNG - values) * lung
    blood = np.maximum(_vessels(patient, space, rng), 0.05 + patient.interstitium)
    values += (BLOOD - values) * lung * blood
    return values + (rng.uniform(10, 60) - values) * nodule
