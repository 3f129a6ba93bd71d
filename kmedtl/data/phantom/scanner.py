"""From path lengths to grey values: Beer–Lambert law, scatter, noise and two unlike detectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from kmedtl.data.phantom.grid import between
from kmedtl.data.phantom.projection import Paths

# Linear attenuation, 1/cm: mass attenuation coefficients of NIST (Hubbell and Seltzer, X-Ray Mass Attenuation
# Coefficients, NISTIR 5632, table 4) times density: ICRU-44 soft tissue 1.06 g/cm³, lung at 0.26 g/cm³
# (inflated), cortical bone 1.92 g/cm³.
ENERGY = (50.0, 60.0, 80.0)  # keV
TISSUE = (0.2400, 0.2171, 0.1932)
LUNG = (0.0590, 0.0534, 0.0475)
BONE = (0.8145, 0.6044, 0.4280)


@dataclass(frozen=True)
class Exposure:
    """How one film was exposed."""

    energy: float  # effective energy of the beam, keV
    photons: float  # photons a pixel of a 256-pixel film would count without a patient
    window: tuple[float, float]  # shift of the display window's dark and bright end, fraction of its width


@dataclass(frozen=True)
class Scanner:
    """A detector with its processing."""

    blur: float  # deviation of the point spread, fraction of the film's width
    scatter: float  # scattered radiation as a share of the total behind the patient
    efficiency: float  # photons detected of photons arriving
    electronic: float  # noise of the electronics, photons
    enhance: float  # strength of the unsharp mask
    heel: float  # fall of intensity from one edge of the film to the other
    window: tuple[float, float]  # percentiles of the chest's log signal at the dark and the bright end
    margin: float  # how far the dark end lies below that percentile, fraction of the window
    toe: float  # steepness of the sigmoid tone curve; 0 shows the log signal linearly
    gamma: float  # of the displayed grey value
    border: float  # width of the shutters of a collimated film, fraction of the film's width
    marker: float  # chance of a side marker


SCANNERS = {
    "A": Scanner(
        blur=0.0012, scatter=0.15, efficiency=0.65, electronic=2.0, enhance=0.0, heel=0.0,
        window=(1.0, 99.0), margin=0.3, toe=0.0, gamma=1.0, border=0.0, marker=0.6,
    ),
    "B": Scanner(
        blur=0.0034, scatter=0.42, efficiency=0.45, electronic=5.0, enhance=0.8, heel=0.25,
        window=(2.0, 98.5), margin=0.25, toe=4.5, gamma=1.15, border=0.03, marker=0.6,
    ),
}  # fmt: skip

LETTER_R = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1]], np.float32)


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw the exposure of one film; one in eight is under-exposed and noisy."""
    dose = rng.uniform(0.2, 0.45) if rng.random() < 1 / 8 else rng.lognormal(0, 0.3)
    return Exposure(
        energy=float(rng.uniform(52, 75)),
        photons=float(50_000 * dose),
        window=(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))),
    )


def expose(paths: Paths, scanner: Scanner, exposure: Exposure, rng: np.random.Generator) -> np.ndarray:
    """Return the displayed film, (size, size) uint8: air is dark, bone is bright."""
    size = paths.lung.shape[0]
    signal = log_signal(paths, scanner, exposure, rng)
    if scanner.enhance:
        smooth = ndimage.uniform_filter(ndimage.uniform_filter(signal, size // 24), size // 24)
        signal = signal + scanner.enhance * (signal - smooth)
    grey = tone(windowed(signal, scanner, exposure), scanner)
    grey = stamp(grey, scanner, rng)
    return np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)


def log_signal(paths: Paths, scanner: Scanner, exposure: Exposure, rng: np.random.Generator) -> np.ndarray:
    """Return −log of the detected share of photons, noise included, (size, size) float32."""
    size = paths.lung.shape[0]
    tissue, lung, bone = (float(np.interp(exposure.energy, ENERGY, mu)) for mu in (TISSUE, LUNG, BONE))
    primary = np.exp(-tissue * paths.tissue - lung * paths.lung - bone * paths.bone)
    if scanner.heel:
        primary *= np.linspace(1 - scanner.heel / 2, 1 + scanner.heel / 2, size, dtype=np.float32)[:, None]
    total = ndimage.gaussian_filter(primary + scatter(primary, scanner.scatter), scanner.blur * size, truncate=3)
    photons = exposure.photons * scanner.efficiency * (256 / size) ** 2
    counted = photons * total
    # Photon noise is Poisson; with the dozens of photons and more that reach a pixel it is normal, and so is
    # the electronics' noise: one draw serves both, at a fifth of a Poisson draw's price.
    counted += np.sqrt(counted + scanner.electronic**2) * rng.standard_normal(total.shape, np.float32)
    return np.log(photons / np.maximum(counted, 1))


def scatter(primary: np.ndarray, share: float) -> np.ndarray:
    """Return the scattered radiation: it comes from everywhere and follows the beam only coarsely."""
    size, cells = len(primary), 32
    middle = ((np.arange(cells) + 0.5) * size / cells).astype(int)
    # Air scatters nothing, however bright the open beam beside the patient.
    behind = np.minimum(primary[np.ix_(middle, middle)], 0.05)
    spread = ndimage.gaussian_filter(behind, cells / 12, mode="nearest")
    position = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    return share / (1 - share) * between(between(spread, position, 0), position, 1)


def windowed(signal: np.ndarray, scanner: Scanner, exposure: Exposure) -> np.ndarray:
    """Scale the log signal so that the chest, not the air around it, fills 0–1."""
    size = len(signal)
    chest = signal[size // 8 : 3 * size // 4 : 4, size // 5 : 4 * size // 5 : 4]
    low, high = (float(v) for v in np.percentile(chest, scanner.window))
    width = max(high - low, 1e-3)
    low += (exposure.window[0] - scanner.margin) * width
    high += exposure.window[1] * width
    low = max(low, 0.15)  # open air stays black
    return (signal - low) / (high - low)


def tone(shown: np.ndarray, scanner: Scanner) -> np.ndarray:
    """Apply the tone curve to the windowed signal; 0–1 stays 0–1."""
    shown = np.clip(shown, 0, 1)
    if scanner.toe:
        half = 1 / (1 + math.exp(-scanner.toe / 2))
        shown = (1 / (1 + np.exp(-scanner.toe * (shown - 0.5))) - (1 - half)) / (2 * half - 1)
    return shown**scanner.gamma


def stamp(grey: np.ndarray, scanner: Scanner, rng: np.random.Generator) -> np.ndarray:
    """Blacken what the shutters cover and lay the side marker on the patient's right."""
    size = grey.shape[0]
    grey = grey.copy()
    if scanner.border:
        for edge in (grey, grey[::-1], grey.T, grey.T[::-1]):
            edge[: int(size * rng.uniform(0, scanner.border))] = 0
    if rng.random() < scanner.marker:
        pixels = max(1, round(size / 100))
        letter = np.kron(LETTER_R, np.ones((pixels, pixels), np.float32))
        row, column = (int(size * v) for v in (rng.uniform(0.06, 0.3), rng.uniform(0.04, 0.08)))
        place = grey[row : row + letter.shape[0], column : column + letter.shape[1]]
        np.maximum(place, 0.92 * letter, out=place)
    return grey
