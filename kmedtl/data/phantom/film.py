"""Films: what the renderer hands out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kmedtl.data.phantom.anatomy import Patient, draw_patient
from kmedtl.data.phantom.grid import draw_pose
from kmedtl.data.phantom.projection import LESION_FLOOR, LUNG_FLOOR, project
from kmedtl.data.phantom.scanner import SCANNERS, draw_exposure, expose

LABELS = ("NORMAL", "PNEUMONIA")
FILMS_A_PATIENT = (0.6, 0.3, 0.1)  # chance of one, two and three films


@dataclass(frozen=True)
class Film:
    """One synthetic radiograph with everything known about it. Says nothing about patients."""

    id: str  # "P0007-2": second film of patient P0007
    patient: str
    image: np.ndarray  # (size, size) uint8, bright is dense
    mask: np.ndarray  # (size, size) uint8, 255 where consolidated
    lung: np.ndarray  # (size, size) uint8, 255 where lung is crossed, consolidated or not
    label: str  # "NORMAL" or "PNEUMONIA"
    side: str  # of the lesion, the patient's own: "none", "left" (right on the film), "right", "both"
    pattern: str  # "none", "lobar" or "patchy"
    area: float  # lesion area as a fraction of the lung area, 0–1
    scanner: str  # "A" or "B", independent of the label
    age: int  # years
    sex: str  # "F" or "M"


def films(patients: int, seed: int, size: int = 256) -> Iterator[Film]:
    """Yield one to three films of each patient; a film depends on seed, size, patient and its number only."""
    for patient in range(patients):
        yield from films_of(patient, seed, size)


def films_of(number: int, seed: int, size: int = 256) -> list[Film]:
    """Return the films of one patient."""
    rng = np.random.default_rng([seed, number])
    count = int(rng.choice([1, 2, 3], p=FILMS_A_PATIENT))
    patient = draw_patient(rng)
    name = f"P{number:04d}"
    takes = ((take, np.random.default_rng([seed, number, take])) for take in range(1, count + 1))
    return [render(patient, name, take, rng, size) for take, rng in takes]


def render(patient: Patient, name: str, take: int, rng: np.random.Generator, size: int) -> Film:
    """Take one film of a patient."""
    pose, exposure = draw_pose(rng), draw_exposure(rng)
    paths = project(patient, pose, size)
    lesion = paths.lesion > LESION_FLOOR * patient.scale
    lung = (paths.lung + paths.lesion > LUNG_FLOOR * patient.scale) | lesion
    return Film(
        id=f"{name}-{take}",
        patient=name,
        image=expose(paths, SCANNERS[patient.scanner], exposure, rng),
        mask=np.where(lesion, np.uint8(255), np.uint8(0)),
        lung=np.where(lung, np.uint8(255), np.uint8(0)),
        label=LABELS[patient.side != "none"],
        side=patient.side,
        pattern=patient.pattern,
        area=float(lesion.sum() / lung.sum()),
        scanner=patient.scanner,
        age=patient.age,
        sex=patient.sex,
    )
