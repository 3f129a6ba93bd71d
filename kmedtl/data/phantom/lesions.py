"""Fluid in the lung: consolidations, which make the label, and streaks of collapsed lung, which do not."""

from __future__ import annotations

import math

import numpy as np

from kmedtl.data.phantom.anatomy import Blob, Lobe, Patient, Streak
from kmedtl.data.phantom.grid import Grid, smoothstep


def lesion_depth(patient: Patient, grid: Grid, lung: np.ndarray, vessels: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """Consolidation along each ray, (size, size) float32, cm; `rough` is noise that frays its borders.

    Air stays in the bronchi that run beside the vessels: the air bronchogram.
    """
    if patient.side == "none":
        return np.zeros_like(lung)
    depth = np.zeros_like(lung)
    for blob in patient.blobs:
        reach = 2 * max(blob.rx, blob.ry) + grid.pose.expiration
        box, near = grid.window(blob.x - reach, blob.x + reach, blob.y - reach, blob.y + reach)
        depth[box] += blob_depth(blob, near, rough[box])
    for lobe in patient.lobes:
        depth += lobe_depth(lobe, grid, rough)
    depth = depth * grid.pose.evolution * (1 - patient.bronchogram * np.minimum(vessels / 0.5, 0.7))
    inside = {"left": grid.x > 0, "right": grid.x < 0, "both": True}[patient.side]
    return np.minimum(depth, 0.85 * lung) * inside


def blob_depth(blob: Blob, grid: Grid, rough: np.ndarray) -> np.ndarray:
    """Fluid of one patch, cm."""
    u, v = grid.x - blob.x, grid.y - blob.y + grid.pose.lift(blob.y)
    cos, sin = math.cos(blob.angle), math.sin(blob.angle)
    along, across = (cos * u + sin * v) / blob.rx, (cos * v - sin * u) / blob.ry
    radius = np.sqrt(along * along + across * across)
    inwards = 1 + blob.softness / 2 - radius + 0.3 * blob.raggedness * rough
    return blob.depth * smoothstep(inwards / (2 * blob.softness))


def lobe_depth(lobe: Lobe, grid: Grid, rough: np.ndarray) -> np.ndarray:
    """Fluid of one lobar consolidation, cm."""
    y = grid.y + grid.pose.lift(lobe.top) - lobe.slope * (grid.side - 7.0)
    uneven = lobe.raggedness * rough
    above, below = (y - lobe.top), (lobe.bottom - y)
    fissure, fading = (above, below) if lobe.sharp_top else (below, above)
    shape = smoothstep(fissure / 0.5) * smoothstep((fading + uneven) / 3.5)
    return lobe.depth * shape * (grid.x * lobe.side > 0) * np.maximum(1 + 0.3 * uneven, 0)


def streak_depth(streaks: tuple[Streak, ...], grid: Grid) -> np.ndarray:
    """Collapsed lung in thin plates, cm."""
    depth = np.zeros_like(grid.x)
    for streak in streaks:
        reach = 5.0 + grid.pose.expiration
        box, near = grid.window(streak.x - reach, streak.x + reach, streak.y - reach, streak.y + reach)
        u, v = near.x - streak.x, near.y - streak.y + near.pose.lift(streak.y)
        cos, sin = math.cos(streak.angle), math.sin(streak.angle)
        along = (cos * u + sin * v) / streak.length
        across = (cos * v - sin * u + 0.03 * u * u) / streak.width
        depth[box] += streak.depth * np.exp(-across * across - along * along * along * along)
    return depth
