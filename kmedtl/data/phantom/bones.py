"""Spine, ribs and collar bones as path lengths of compact bone."""

from __future__ import annotations

import math

import numpy as np

from kmedtl.data.phantom.anatomy import LUNG_APEX, LUNG_BASE, Patient
from kmedtl.data.phantom.grid import Grid, ball, smoothstep


def bone_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Compact bone along each ray, (size, size) float32, cm."""
    axial = rib_depth(patient, grid)
    box, middle = grid.window(-4, 4, -30, 30)
    axial[box] = np.maximum(axial[box], spine_depth(patient, middle))
    box, shoulders = grid.window(-20, 20, -15.0, -6.5)
    axial[box] += clavicle_depth(shoulders)
    for left, right in ((-20, -8), (8, 20)):
        box, flank = grid.window(left, right, -14.0, 1.0)
        axial[box] += scapula_depth(patient, flank)
    return patient.bone * axial


def cage_half_width(patient: Patient, y: np.ndarray) -> np.ndarray:
    """Inner half width of the rib cage at height y: a bell, 0 above the apex."""
    t = np.minimum(np.maximum((y - LUNG_APEX) / 21.0, 0), 1)
    return patient.half_width * (1 - (1 - t) ** 2.2) ** 0.58


def spine_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Vertebral bodies with discs between them, pedicles and spinous processes."""
    x = grid.x - patient.scoliosis * np.sin(grid.y / 6.0) + 2.5 * math.sin(grid.pose.turn)
    side = np.abs(x)
    phase = grid.y / 2.3 + patient.rib_phase
    level = phase - np.floor(phase) - 0.5
    body = smoothstep((1.65 + 0.8 * level * level - side) / 0.4)
    plates = 0.7 + 0.3 * smoothstep((0.44 - np.abs(level)) / 0.1)
    pedicles = ball((side - 1.1) / 0.38, (level + 0.1) / 0.27)
    process = ball(x / 0.28, (level - 0.15) / 0.35)
    return 0.6 * body * plates + 0.3 * pedicles + 0.35 * process


def rib_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Back and front arcs of all ribs: each hangs on the cage as a tilted half ellipse."""
    half = np.maximum(cage_half_width(patient, grid.y + 1.5) + 0.7, 1e-3)
    q = np.minimum(grid.side / half, 1)
    around = np.sqrt(1 - q * q)  # 0 at the side of the cage, 1 in the middle
    # Dense at the side, where the ray runs along the rib for a while.
    along = np.minimum(1 / np.sqrt(around * around + 0.15), 1.9)
    slope = patient.rib_slope
    drop = 0.3 * slope * q * q
    back = rib_profile(patient, grid.y + 1.8 * around - drop, 0.62)
    front = rib_profile(patient, grid.y - 0.62 * slope * around - drop, 0.74)
    ossified = smoothstep((q - 0.45) / 0.12)  # in front the ribs end in cartilage
    span = smoothstep((grid.y - LUNG_APEX + 1.5) / 2) * smoothstep((LUNG_BASE + 3 - grid.y) / 6)
    inside = smoothstep((half - grid.side) / 0.4)
    return inside * span * along * (back + 0.7 * front * ossified)


def rib_profile(patient: Patient, y: np.ndarray, radius: float) -> np.ndarray:
    """Bone across a row of flattened tubes, one every rib spacing along y: dense rims, spongy core, cm."""
    phase = y / patient.rib_spacing + patient.rib_phase
    offset = (phase - np.floor(phase) - 0.5) * (patient.rib_spacing / radius)
    return 1.1 * (ball(offset) - 0.55 * ball(offset / 0.75))


def clavicle_depth(grid: Grid) -> np.ndarray:
    """Both collar bones: flat S curves from the sternum to the shoulders."""
    side = np.abs(grid.x - 5.0 * math.sin(grid.pose.turn))
    centre = -8.0 - 0.24 * side - 0.5 * np.sin((side - 2) / 3.2)
    medial = (side - 2) / 1.5
    radius = 0.62 + 0.3 * np.exp(-medial * medial)
    offset = (grid.y - centre) / radius
    span = smoothstep((side - 1.5) / 0.6) * smoothstep((17.5 - side) / 1.0)
    return 1.5 * span * (ball(offset) - 0.55 * ball(offset / 0.7))


def scapula_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Shoulder blades, turned outwards beside the lungs as on a good film: thin plates with a dense rim."""
    q = (grid.y + 6.5) / 7.5
    medial = patient.half_width + 0.3 - 2.4 * q * np.abs(q)
    inward = grid.side - medial
    plate = smoothstep(inward / 0.3) * (1 - 0.6 * smoothstep((inward - 0.2) / 0.6))
    return 0.45 * plate * ball(q) * smoothstep((20 - grid.side) / 2)
