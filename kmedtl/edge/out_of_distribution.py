"""Is an image of the kind that a model was trained on? A score of its features, for any runtime. NumPy only.

The statistics travel in the model file as a small document; `kmedtl.statistics.out_of_distribution` fits them.
"""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kmedtl.errors import UserError, expect

THUMBNAIL = 16  # cells a side
HALF = np.dtype("<f2")  # bytes are half as many, and the threshold is chosen with what they round to


@dataclass(frozen=True)
class Layout:
    """Where images of a kind are bright and dark: features hardly tell an inverted film, its layout does.

    Attributes:
        typical: the mean of 16 × 16 thumbnails, float16 in base64.
        least: an image counts as of another kind where its thumbnail correlates less than this with the typical one.

    Raises:
        UserError: another number of values, or one that is not finite.
    """

    typical: str
    least: float

    def __post_init__(self) -> None:
        values = len(decoded("layout", self.typical))
        expect(values == THUMBNAIL**2, "out of distribution: layout", f"{THUMBNAIL**2} numbers", values)
        sound = isinstance(self.least, float) and math.isfinite(self.least)
        expect(sound, "out of distribution: layout: least", "a finite number", self.least)

    def likeness(self, images: np.ndarray) -> np.ndarray:
        """Return the correlation with the typical image, float64 (N,) in −1 to 1, 0 of a blank one.

        Args:
            images: uint8 (N, H, W, C), sides of 16 pixels or more.
        """
        return to_length_one(thumbnails(images)) @ to_length_one(decoded("layout", self.typical)[None])[0]


@dataclass(frozen=True)
class OutOfDistribution:
    """A Gaussian of features scaled to length 1: its main directions, and one variance for all others.

    The score is the Mahalanobis distance under that covariance per degree of freedom, so of training images its mean
    is about 1. Sources: Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples (2018), for
    the distance; Tipping & Bishop, Probabilistic Principal Component Analysis (1999), section 3.2, for the covariance;
    Mueller & Hein, Mahalanobis++ (2025), for the length.

    Attributes:
        mean: D numbers, float16 in base64; of the scaled features.
        components: K × D numbers likewise, orthonormal rows.
        variances: K numbers above 0: of the features along each component.
        residual: above 0: the mean variance of the features along all other directions.
        threshold: an image counts as of another kind where its score is above it.
        layout: a second look, at the pixels; None: none is taken.

    Raises:
        UserError: text that is no base64, another number of values, or a number that is not finite or not above 0.
    """

    mean: str
    components: str
    variances: tuple[float, ...]
    residual: float
    threshold: float
    layout: Layout | None = None

    def __post_init__(self) -> None:
        for name, numbers in (("variances", self.variances), ("residual, threshold", (self.residual, self.threshold))):
            sound = bool(numbers) and all(map(_above_zero, numbers))
            expect(sound, f"out of distribution: {name}", "finite numbers above 0", numbers)
        width, values = len(decoded("mean", self.mean)), len(decoded("components", self.components))
        expect(width > len(self.variances), "out of distribution: mean", "more numbers than components", width)
        wanted = width * len(self.variances)
        expect(values == wanted, "out of distribution: components", f"{wanted} numbers", values)

    @property
    def width(self) -> int:
        """How many features an image has."""
        return len(self.arrays[0])

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean, float32 (D,), and the components, float32 (K, D)."""
        mean = decoded("mean", self.mean)
        return mean, decoded("components", self.components).reshape(-1, len(mean))

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return float64 (N,), 0 and above, higher where the features (N, D) are more unlike those of training.

        Features that are all 0 have no direction and score as those at the origin.

        Raises:
            UserError: another number of features.
        """
        along, beyond = self._parts(features)
        return (np.square(along) @ (1 / np.array(self.variances)) + beyond / self.residual) / self.width

    def coordinates(self, features: np.ndarray) -> np.ndarray:
        """Return where features (N, D) lie, float64 (N, K + 1), each of variance about 1 in training.

        Along each component, in standard deviations; the last is the log of the squared distance along all others.

        Raises:
            UserError: another number of features.
        """
        along, beyond = self._parts(features)
        distance = np.log(np.maximum(beyond / (self.residual * (self.width - len(self.variances))), 1e-6))
        return np.column_stack([along / np.sqrt(self.variances), distance])

    def _parts(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scaled features along the components, (N, K), and their squared distance along all others, (N,)."""
        mean, components = self.arrays
        fits = features.ndim == 2 and features.shape[1] == len(mean)
        expect(fits, "features", f"{len(mean)} for each image", features.shape)
        centred = to_length_one(features) - mean
        along = centred @ components.T
        return along, np.maximum(np.square(centred).sum(axis=1) - np.square(along).sum(axis=1), 0)

    def unlike(self, features: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return which images count as of another kind, bool (N,), by features (N, D) and uint8 pixels (N, H, W, C)."""
        by_features = self.score(features) > self.threshold
        return by_features | (self.layout.likeness(images) < self.layout.least) if self.layout else by_features


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Return mean grey values of a 16 × 16 grid around their own mean, float64 (N, 256), of uint8 (N, H, W, C)."""
    grey = images.mean(axis=3)
    for axis in (1, 2):
        edges = np.linspace(0, grey.shape[axis], THUMBNAIL, endpoint=False).astype(int)
        widths = np.diff(np.append(edges, grey.shape[axis]))
        grey = np.add.reduceat(grey, edges, axis=axis) / (widths[:, None] if axis == 1 else widths)
    flat = grey.reshape(len(images), -1)
    return flat - flat.mean(axis=1, keepdims=True)


def to_length_one(features: np.ndarray) -> np.ndarray:
    """Return features (N, D) as float64 rows of length 1; a row of zeros stays."""
    features = np.asarray(features, np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def encoded(values: np.ndarray) -> str:
    """Return numbers as float16 in base64."""
    return base64.b64encode(np.asarray(values, HALF).tobytes()).decode()


def decoded(name: str, text: Any) -> np.ndarray:
    """Return the numbers of `encoded`, float32 (N,).

    Raises:
        UserError: text that is no base64, or numbers that are not finite.
    """
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), HALF).astype(np.float32)
    except (binascii.Error, ValueError, TypeError):
        raise UserError(f"out of distribution: {name}: expected float16 in base64. Received: {text!r:.60}.") from None
    expect(bool(np.isfinite(values).all()), f"out of distribution: {name}", "finite numbers", "others")
    return values


def _above_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
