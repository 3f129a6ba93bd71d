"""Who stands before the detector: random patients, their findings and how they are positioned.

Lengths are centimetres of an adult chest, in a frame whose origin is the middle of the chest: x grows to the
patient's left (the right of the film), y downwards. A child is a scaled adult with a child's proportions; the
projection multiplies path lengths by `Patient.scale`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kmedtl.data.phantom.vessels import Tree, draw_tree

RIGHT, LEFT = -1, 1  # the sign of x on either side of the patient
LUNG_APEX, LUNG_BASE = -13.5, 10.0  # y of the top of the lungs and of the diaphragm's rim in full inspiration


@dataclass(frozen=True)
class Blob:
    """An opacity: `depth` cm of lung filled with fluid, in an ellipse with an irregular border."""

    x: float
    y: float
    rx: float
    ry: float
    angle: float  # radians
    depth: float
    softness: float  # width of the border as a fraction of the radius, 0–1
    raggedness: float  # how much the texture eats into the border, 0–1


@dataclass(frozen=True)
class Lobe:
    """A lobar consolidation: what lies between two lines in one lung; one of the lines is a sharp fissure."""

    side: int
    top: float  # y at the middle of the lung
    bottom: float
    slope: float  # dy/dx of both lines, downwards to the side
    depth: float  # cm
    sharp_top: bool
    raggedness: float


@dataclass(frozen=True)
class Streak:
    """A band of plate-like atelectasis: a confounder, not a lesion."""

    x: float
    y: float
    length: float
    width: float
    angle: float
    depth: float


@dataclass(frozen=True)
class Patient:
    """One person and one disease episode; every film of the patient shares it."""

    age: int  # years, 1–90
    sex: str  # "F" or "M"
    scale: float  # size relative to an adult man
    half_width: float  # of the rib cage, cm at adult scale
    half_depth: float  # of the rib cage
    wall: float  # fat and muscle over the ribs, cm
    heart_width: float  # half axis, cm
    heart_height: float
    aorta: float  # prominence of the aortic knob, cm
    scoliosis: float  # sideways amplitude of the spine, cm
    dome: tuple[float, float]  # height of the right and left diaphragm, cm
    rib_spacing: float
    rib_slope: float  # how far the ribs' front ends hang below their back ends, cm
    rib_phase: float
    bone: float  # mineral density relative to a young adult
    breast: float  # thickness of the breasts, cm; 0 where there are none to see
    nipples: bool
    arms: float  # how far the arms are spread, as a slope
    stomach: float  # radius of the gas bubble under the left diaphragm, cm
    interstitium: float  # share of the lung's depth that its fine texture fills
    tree: Tree
    texture: np.ndarray  # (128, 128) float32, mean 0, deviation 1, periodic
    streaks: tuple[Streak, ...]
    blobs: tuple[Blob, ...]
    lobes: tuple[Lobe, ...]
    bronchogram: float  # how clearly air-filled bronchi show inside a lesion, 0–1
    pattern: str  # "none", "lobar" or "patchy"
    side: str  # "none", "left", "right" or "both", the patient's own
    scanner: str  # "A" or "B"


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient; half of them have pneumonia, on either scanner alike."""
    age = int(rng.integers(1, 13)) if rng.random() < 0.3 else int(np.clip(rng.normal(55, 19), 13, 90))
    sex = str(rng.choice(["F", "M"]))
    adult = float(np.clip((age - 1) / 16, 0, 1))
    half_width = rng.normal(14.2, 0.6)
    # Everything about the body is drawn before the disease, so that the disease cannot shape it.
    body: dict[str, Any] = {
        "age": age,
        "sex": sex,
        "scale": float(np.interp(age, [1, 5, 10, 17], [0.5, 0.62, 0.76, 1.0]) * (0.93 if sex == "F" else 1)),
        "half_width": half_width,
        "half_depth": half_width * rng.normal(0.85 - 0.2 * adult, 0.03),
        "wall": float(np.clip(rng.normal(1.6 + 1.0 * adult, 0.8), 0.8, 5.5)),
        "heart_width": rng.normal(8.2 - 0.8 * adult, 0.5) + (0.6 if age > 65 else 0),
        "heart_height": rng.normal(5.0, 0.35),
        "aorta": float(np.interp(age, [10, 40, 80], [0.2, 0.7, 1.6]) * rng.uniform(0.7, 1.3)),
        "scoliosis": rng.normal(0, 0.3),
        "dome": (rng.normal(4.6, 0.5), rng.normal(3.8, 0.5)),
        "rib_spacing": rng.normal(2.6, 0.1),
        "rib_slope": rng.normal(5.0 + 3.0 * adult, 0.8),
        "rib_phase": rng.uniform(0, 1),
        "bone": float(np.interp(age, [1, 20, 50, 90], [0.75, 1, 0.95, 0.6]) * rng.uniform(0.88, 1.12)),
        "breast": float(rng.uniform(0.8, 4.5)) if sex == "F" and age > 14 else 0.0,
        "nipples": bool(age > 12 and rng.random() < 0.3),
        "arms": rng.uniform(0.1, 0.5),
        "stomach": float(rng.choice([0, rng.uniform(1, 3)])),
        "interstitium": float(rng.gamma(6.0, 0.008)),
        "tree": draw_tree(rng, thickness=rng.uniform(0.8, 1.35)),
        "texture": draw_texture(rng),
        "streaks": draw_streaks(rng),
        "bronchogram": float(rng.choice([0, 1]) * rng.uniform(0.4, 1)),
        "scanner": str(rng.choice(["A", "B"])),
    }
    return Patient(**body, **draw_disease(rng, half_width))


def draw_disease(rng: np.random.Generator, half_width: float) -> dict:
    """Draw the patient's lesions: fields blobs, lobes, pattern and side of `Patient`."""
    if rng.random() < 0.5:
        return {"blobs": (), "lobes": (), "pattern": "none", "side": "none"}
    side = str(rng.choice(["left", "right", "both"], p=[0.36, 0.4, 0.24]))
    sides = {"left": (LEFT,), "right": (RIGHT,), "both": (LEFT, RIGHT)}[side]
    depth = float(rng.lognormal(np.log(5.8), 0.4))
    lobar = rng.random() < 0.4
    return {
        "blobs": () if lobar else tuple(b for s in sides for b in draw_blobs(rng, s, half_width, depth)),
        "lobes": tuple(draw_lobe(rng, s, depth) for s in sides) if lobar else (),
        "pattern": "lobar" if lobar else "patchy",
        "side": side,
    }


def draw_blobs(rng: np.random.Generator, side: int, half_width: float, depth: float) -> list[Blob]:
    """Draw one to four overlapping patches around one focus in the lung of that side."""
    focus_y = rng.uniform(-7, 5.5)
    focus_x = float(side) * rng.uniform(5.0, 0.68 * half_width)
    return [
        Blob(
            x=focus_x + rng.normal(0, 1.3),
            y=focus_y + rng.normal(0, 1.8),
            rx=rng.uniform(2.0, 4.5),
            ry=rng.uniform(2.0, 4.5),
            angle=rng.uniform(0, np.pi),
            depth=depth * rng.uniform(0.7, 1.3),
            softness=rng.uniform(0.4, 1.0),
            raggedness=rng.uniform(0.2, 0.9),
        )
        for _ in range(rng.integers(1, 5))
    ]


def draw_lobe(rng: np.random.Generator, side: int, depth: float) -> Lobe:
    """Draw the upper, middle or lower zone of one lung; the fissure is the sharp border."""
    zone = rng.choice(["upper", "middle", "lower"], p=[0.3, 0.25, 0.45])
    top, bottom, sharp_top = {
        "upper": (-14.0, -3.0, False),
        "middle": (-2.0, 4.0, True),
        "lower": (1.0, 14.0, True),
    }[zone]
    return Lobe(
        side=side,
        top=top + rng.normal(0, 0.8),
        bottom=bottom + rng.normal(0, 0.8),
        slope=rng.normal(0.08, 0.1),
        depth=1.25 * depth,
        sharp_top=sharp_top,
        raggedness=rng.uniform(0.2, 0.7),
    )


def draw_streaks(rng: np.random.Generator) -> tuple[Streak, ...]:
    """Draw basal plate atelectasis, one to three bands in a third of all people, ill or not."""
    if rng.random() > 0.35:
        return ()
    return tuple(
        Streak(
            x=float(rng.choice([LEFT, RIGHT])) * rng.uniform(5, 10),
            y=rng.uniform(-1, 6),
            length=rng.uniform(1.5, 3.5),
            width=rng.uniform(0.15, 0.5),
            angle=rng.normal(0, 0.35),
            depth=rng.uniform(0.6, 2.2),
        )
        for _ in range(rng.integers(1, 4))
    )


def draw_texture(rng: np.random.Generator, cells: int = 128) -> np.ndarray:
    """Draw a periodic 1/f-like noise tile, (cells, cells) float32 of mean 0 and deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(cells)[:, None], np.fft.rfftfreq(cells)[None, :]) * cells
    spectrum = np.fft.rfft2(rng.standard_normal((cells, cells))) / np.maximum(frequency, 2.0) ** 1.3
    spectrum[0, 0] = 0
    tile = np.fft.irfft2(spectrum, s=(cells, cells))
    return (tile / tile.std()).astype(np.float32)
