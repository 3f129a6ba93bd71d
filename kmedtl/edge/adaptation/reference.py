"""What validation looked like: what another hospital's images are compared with. It travels in the model file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kmedtl.edge.out_of_distribution import OutOfDistribution, decoded, encoded
from kmedtl.errors import expect

QUANTILES = 65  # of the scores of a class
LEVELS = np.linspace(0, 1, QUANTILES)
DIGITS = 6  # of a score
FEWEST = 10  # images of a class


@dataclass(frozen=True)
class Look:
    """How the images of one class looked.

    Attributes:
        images: how many there were.
        scores: their quantiles at `LEVELS`, what the model puts out, uncalibrated.
        means, deviations: of the coordinates of their features (`OutOfDistribution.coordinates`), float16 in base64;
            empty: the model has none.

    Raises:
        UserError: numbers that cannot be.
    """

    images: int
    scores: tuple[float, ...]
    means: str = ""
    deviations: str = ""

    def __post_init__(self) -> None:
        expect(self.images >= FEWEST, "validation: images", f"{FEWEST} or more", self.images)
        sound = len(self.scores) == QUANTILES and all(map(math.isfinite, self.scores))
        expect(sound, "validation: scores", f"{QUANTILES} finite numbers", self.scores)
        expect(all(low <= high for low, high in pairwise(self.scores)), "validation: scores", "rising", self.scores)
        means, deviations = self.moments
        expect(len(means) == len(deviations), "validation: deviations", f"{len(means)} numbers", len(deviations))
        expect(bool((deviations >= 0).all()), "validation: deviations", "none below 0", self.deviations)

    @property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and deviations, float32 (K + 1,) each."""
        return decoded("means", self.means), decoded("deviations", self.deviations)

    def below(self, scores: np.ndarray) -> np.ndarray:
        """Return which share of the class scores no higher, (N,) in 0–1, of scores (N,)."""
        places, first = np.unique(self.scores, return_index=True)
        last = np.append(first[1:], QUANTILES) - 1
        return np.interp(scores, places, LEVELS[last], left=0.0, right=1.0)


@dataclass(frozen=True)
class Reference:
    """How validation looked to this file, about 2,000 bytes.

    Attributes:
        negative, positive: its images without and with the finding.
        patients: whose they were.
        unlike: the median of their scores of `OutOfDistribution`; 0: there are none.
        rule: by which the operating point was chosen, see `kmedtl.tasks.classification.operating_point`.

    Raises:
        UserError: numbers that cannot be.
    """

    negative: Look
    positive: Look
    patients: int
    unlike: float
    rule: str

    def __post_init__(self) -> None:
        fits = 1 <= self.patients <= self.images
        expect(fits, "validation: patients", f"1 to {self.images}, its images", self.patients)
        expect(math.isfinite(self.unlike) and self.unlike >= 0, "validation: unlike", "0 or more", self.unlike)
        widths = [len(look.means) for look in (self.negative, self.positive)]
        expect(widths[0] == widths[1], "validation: means", "as many of either class", widths)

    @property
    def images(self) -> int:
        return self.negative.images + self.positive.images

    @property
    def share(self) -> float:
        """How frequent the finding was."""
        return self.positive.images / self.images

    @property
    def images_a_patient(self) -> float:
        return self.images / self.patients

    def below(self, scores: np.ndarray, share: float) -> np.ndarray:
        """Return which share of images scores no higher where the finding is as frequent as `share`, (N,) in 0–1."""
        return share * self.positive.below(scores) + (1 - share) * self.negative.below(scores)

    def quantiles(self, levels: np.ndarray, share: float) -> np.ndarray:
        """Return the scores below which `levels` (M,) of such images score, (M,)."""
        places = np.unique(np.concatenate([self.negative.scores, self.positive.scores]))
        return np.interp(levels, self.below(places, share), places)

    def moments(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return means and variances (K + 1,) of the coordinates where the finding is as frequent as `share`."""
        (without, spread_without), (with_it, spread_with) = self.negative.moments, self.positive.moments
        means = share * with_it + (1 - share) * without
        within = share * np.square(spread_with) + (1 - share) * np.square(spread_without)
        return means, within + share * (1 - share) * np.square(with_it - without)


def reference(
    scores: np.ndarray,
    labels: np.ndarray,
    patients: np.ndarray,
    rule: str,
    kind: OutOfDistribution | None = None,
    features: np.ndarray | None = None,
) -> Reference | None:
    """Return how validation looks; None where fewer than 10 images of a class tell it.

    Args:
        scores: (N,), what the model puts out, uncalibrated.
        labels: (N,): 1, 0 or −1, unknown, which are left out.
        patients: (N,).
        features: (N, D), with the `kind` that was fitted to them; None: the model has none.
    """
    labels = np.asarray(labels)
    if min((labels == label).sum() for label in (0, 1)) < FEWEST:
        return None
    places = kind.coordinates(features) if kind and features is not None else np.empty((len(labels), 0))
    unlike = float(np.median(kind.score(features)[labels >= 0])) if kind and features is not None else 0.0
    negative, positive = (_look(scores[labels == label], places[labels == label]) for label in (0, 1))
    return Reference(negative, positive, len(set(patients[labels >= 0].tolist())), unlike, rule)


def _look(scores: np.ndarray, places: np.ndarray) -> Look:
    rounded = [float(f"{score:.{DIGITS}g}") for score in np.quantile(scores.astype(np.float64), LEVELS)]
    means, deviations = places.mean(axis=0), places.std(axis=0, ddof=1)
    return Look(len(scores), tuple(rounded), encoded(means), encoded(deviations))
