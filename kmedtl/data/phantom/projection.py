"""From anatomy to path lengths: how much lung, soft tissue and bone each ray crosses.

Rays are parallel (a chest film is taken from 180 cm). Maps are (size, size) float32, in cm at adult scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kmedtl.data.phantom.anatomy import LUNG_APEX, LUNG_BASE, Patient
from kmedtl.data.phantom.bones import bone_depth, cage_half_width
from kmedtl.data.phantom.grid import Grid, Pose, ball, make_grid, smoothstep
from kmedtl.data.phantom.lesions import lesion_depth, streak_depth
from kmedtl.data.phantom.vessels import vessel_depth

LESION_FLOOR = 0.35  # cm of fluid from which on a pixel counts as lesion
LUNG_FLOOR = 1.5  # cm of lung from which on a pixel counts as lung field


@dataclass(frozen=True)
class Paths:
    """What each ray crosses, cm in the patient's own size."""

    tissue: np.ndarray  # soft tissue, fluid and blood
    lung: np.ndarray  # aerated lung
    bone: np.ndarray  # compact bone
    lesion: np.ndarray  # the share of tissue that is consolidation


def project(patient: Patient, pose: Pose, size: int) -> Paths:
    """Return the path lengths of one film."""
    grid = make_grid(pose, size)
    body = body_depth(patient, grid)
    lung = np.minimum(lung_depth(patient, grid), np.maximum(body - 1.0, 0))
    vessels = np.minimum(vessel_depth(patient.tree, grid), 0.5 * lung)
    rough = grid.texture(patient.texture, 0.25)
    lesion = lesion_depth(patient, grid, lung, vessels, rough) * smoothstep(lung / LUNG_FLOOR - 1)
    # The haze of small vessels and septa fills a few percent of the lung, unevenly.
    haze = lung * patient.interstitium * np.maximum(1 + 0.35 * rough, 0)
    filled = np.minimum(lesion + vessels + haze + streak_depth(patient.streaks, grid), lung)
    bone = bone_depth(patient, grid) * np.minimum(1, 0.2 * body)
    tissue = np.maximum(body - lung - gas_depth(patient, grid) - bone, 0)
    tissue += filled + breast_depth(patient, grid)
    return Paths(*(patient.scale * depth for depth in (tissue, lung - filled, bone, lesion)))


def body_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Depth of the trunk with shoulders, neck and arms."""
    x, y = grid.side, grid.y
    width = patient.half_width + patient.wall + 1.0 * smoothstep((-1 - y) / 8) - 0.8 * smoothstep((y - 8) / 8)
    depth = 2 * patient.half_depth + 1.2 * patient.wall
    q = x / width
    trunk = depth * np.sqrt(np.maximum(1 - q * q * q, 0))
    shoulder = 12.0 * ball((x - 15.0) / 8.0) * smoothstep((-1 - y) / 8)
    top = LUNG_APEX - 2.5 + 0.02 * (x - 4.5) * x  # the slope of the shoulders
    torso = np.maximum(trunk, shoulder) * np.sqrt(np.minimum(np.maximum((y - top) / 6.0, 0), 1))
    neck = 10.0 * ball(x / (5.0 + 0.6 * smoothstep((y + 16) / 4))) * (y < 0)
    arm = 8.0 * ball((x - width - 3.6 - patient.arms * (y + 8)) / 3.6)
    return np.maximum(np.maximum(torso, neck), arm)


def heart_shadow(patient: Patient, grid: Grid) -> np.ndarray:
    """Share of the lung's depth that the heart takes, 0–1; it sits in front, so turning shifts it."""
    expiration = grid.pose.expiration
    u = grid.x - 2.2 - 6.0 * math.sin(grid.pose.turn)
    v = grid.y - 3.9 + 0.6 * expiration
    cos, sin = math.cos(0.62), math.sin(0.62)
    width = patient.heart_width * (1 + 0.04 * expiration)
    ventricles = ball((cos * u + sin * v) / width, (cos * v - sin * u) / patient.heart_height)
    atrium = ball((u + 2.0) / 3.9, (v + 0.3) / 6.2)
    return np.minimum(1.9 * np.maximum(ventricles, atrium), 0.88)


def lung_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Depth of lung, aerated or not: the rib cage less mediastinum, heart and what the diaphragm covers."""
    half = np.maximum(cage_half_width(patient, grid.y), 1e-3)
    cage = 2 * patient.half_depth * (half / patient.half_width) ** 0.5 * ball(grid.side / half)
    below = grid.y - diaphragm(patient, grid)
    # Behind the domes the lung reaches further down than the film's sharp edge: the posterior recess.
    recess = 0.14 * np.exp(np.minimum(-below, 0) / 1.2)
    above = smoothstep((0.2 - below) / 0.5)
    keep = above + (1 - above) * recess
    return cage * keep * (1 - np.maximum(heart_shadow(patient, grid), mediastinum(patient, grid)))


def mediastinum(patient: Patient, grid: Grid) -> np.ndarray:
    """Share of the lung's depth that the great vessels and the spine take, 0–1."""
    y, widen = grid.y, 1 + 0.05 * grid.pose.expiration
    x = grid.x - 4.0 * math.sin(grid.pose.turn)
    knob = patient.aorta * np.maximum(1 - ((y + 6.4) / 2.3) ** 2, 0)
    trunk = 1.1 * np.exp(-(((y + 2.6) / 2.0) ** 2))
    left = widen * (2.3 + knob + trunk)
    right = widen * (2.5 + 0.5 * np.exp(-(((y + 5.0) / 4.0) ** 2)) - 0.05 * (y + 10))
    over = right + (left - right) * (x > 0).astype(np.float32) - np.abs(x)
    return 0.9 * smoothstep((over + 0.25) / 0.7)


def diaphragm(patient: Patient, grid: Grid) -> np.ndarray:
    """Height y of the diaphragm over each pixel: two domes."""
    q = (grid.side - 0.44 * patient.half_width) / (0.6 * patient.half_width)
    right, left = patient.dome
    dome = right + (left - right) * (grid.x > 0).astype(np.float32)
    return LUNG_BASE + 0.5 - grid.pose.expiration - dome * ball(q)


def gas_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Air outside the lungs: in the airways and in the stomach, cm."""
    depth = np.zeros_like(grid.x)
    box, neck = grid.window(-5, 5, -30, 1)
    depth[box] = airway_depth(neck)
    if patient.stomach:
        box, belly = grid.window(0, 14, 0, 16)
        depth[box] = stomach_depth(patient, belly)
    return depth


def airway_depth(grid: Grid) -> np.ndarray:
    """Air in the trachea and the main bronchi, cm."""
    x, y = grid.x - 1.5 * math.sin(grid.pose.turn), grid.y
    side = np.abs(x)
    trachea = 2.2 * ball(x / 0.95) * smoothstep((-3.2 - y) / 0.8)
    slope = np.where(x < 0, np.float32(1.2), np.float32(0.75))
    bronchi = 1.2 * ball((y + 3.8 - slope * side) / 0.95) * smoothstep((3.6 - side) / 1.2)
    return np.maximum(trachea, bronchi)


def stomach_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Gas under the left diaphragm, cm."""
    r = patient.stomach
    y = grid.y - (LUNG_BASE - patient.dome[1] - grid.pose.expiration + 1.5 + 0.7 * r)
    return 2.2 * r * ball((grid.x - 0.45 * patient.half_width) / (1.5 * r), y / (0.75 * r))


def breast_depth(patient: Patient, grid: Grid) -> np.ndarray:
    """Breasts and nipples in front of the chest wall, cm."""
    depth: np.ndarray = np.zeros((1, 1), np.float32)
    if patient.breast:
        below = grid.y > 4.0
        depth = patient.breast * ball(
            (grid.side - 8.3) / 6.3, (grid.y - 4.0) / np.where(below, np.float32(3.8), np.float32(10.0))
        )
    if patient.nipples:
        depth = depth + 1.2 * ball((grid.side - 8.8) / 0.5, (grid.y - 4.6) / 0.5)
    return depth
