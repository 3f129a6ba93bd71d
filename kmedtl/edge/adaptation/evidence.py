"""Whether images of another hospital look as validation did, and if not, whether only the finding's share differs.

Nothing is known of the images but what the model puts out. Two samples are compared as a mixture of validation's two
classes allows, so that more sick people alone are not taken for another scanner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from kmedtl.edge.adaptation.reference import LEVELS, Look, Reference

LEVEL = 0.01  # chance of a difference being called so where there is none
SHARES = np.linspace(0.02, 0.98, 65)
SURE = 2.576  # standard errors, of the same level
DROP = 1.92  # of the log-likelihood at the ends of a 95 % interval
BINS = 20  # of scores, that the share is estimated in
GRID = np.linspace(-8, 8, 801)  # of scores, in deviations from the mean of their class
SMOOTH = 0.4  # deviation of what each score is smeared over, in those of its class
STRAYS = 0.02  # share of a class that may score anything
HELD, HELD_PLACE = 20.0, 2.0  # images of validation that hold the deviation, and the mean, of a class elsewhere
ROUNDS = 40


class Share(NamedTuple):
    """How frequent the finding is, and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Likeness:
    """How likely it is by chance alone that images differ so much from validation's at some share of the finding.

    Attributes:
        share: of the finding.
        scores, features: p-values; 1 where the model has no features.
    """

    share: float
    scores: float
    features: float

    @property
    def differs(self) -> bool:
        """Whether one of the two is below what two tests may be (Bonferroni)."""
        return min(self.scores, self.features) < LEVEL / 2

    def __str__(self) -> str:
        return f"p {_p(self.scores)} of the scores, {_p(self.features)} of the features"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


Kind = Literal["nothing", "prevalence", "acquisition", "both"]
IN_WORDS: dict[Kind, str] = {
    "nothing": "nothing shifted",
    "prevalence": "the prevalence shifted",
    "acquisition": "the acquisition shifted",
    "both": "acquisition and prevalence shifted",
}


@dataclass(frozen=True)
class Verdict:
    """What differs from validation.

    Attributes:
        reasons: how it was told, a sentence each.
        share: of the finding among the images, as far as scores alone can tell.
    """

    kind: Kind
    reasons: tuple[str, ...]
    share: Share


def verdict(look: Reference, scores: np.ndarray, places: np.ndarray) -> Verdict:
    """Say whether prevalence, acquisition or both differ from validation's.

    Nothing, where the images differ from validation by no more than chance; the prevalence, where they do not from
    validation at another share of the finding; else the acquisition, and the prevalence as well where the share that
    the shape of the scores speaks for is another one than validation's (1 % level).

    Args:
        scores: (N,), uncalibrated.
        places: (N, K + 1), coordinates of the features; K + 1 may be 0.
    """
    as_it_was = likeness(look, scores, places, look.share)
    share = likeliest_share(look, scores)
    first = f"Compared with validation: {as_it_was}."
    if not as_it_was.differs:
        return Verdict("nothing", (first,), share)
    at_another = likeness(look, scores, places, share.value)
    second = f"With the finding in {share} of the images instead of {look.share:.2f}: {at_another}."
    if not at_another.differs:
        return Verdict("prevalence", (first, second), share)
    share = share_by_shape(look, scores)
    uncertain = math.hypot((share.high - share.low) / 3.92, math.sqrt(look.share * (1 - look.share) / look.patients))
    is_another = abs(share.value - look.share) > SURE * uncertain
    told = "another than" if is_another else "in accord with"
    third = f"By the shape of the scores {share} have the finding, {told} validation's {look.share:.2f}."
    return Verdict("both" if is_another else "acquisition", (first, second, third), share)


def likeness(look: Reference, scores: np.ndarray, places: np.ndarray, share: float) -> Likeness:
    """Compare images with validation's, of which `share` have the finding.

    Scores by the distance of their distributions (Kolmogorov & Smirnov), features by the mean of each coordinate, the
    farthest of which counts (Bonferroni). Images of one patient count as fewer, as many as validation had of each.

    Args:
        scores: (N,), uncalibrated.
        places: (N, K + 1), coordinates of the features; K + 1 may be 0.
    """
    count, patients = len(scores) / look.images_a_patient, look.patients
    ordered = np.sort(np.asarray(scores, np.float64))
    expected, steps = look.below(ordered, share), np.arange(len(ordered) + 1) / len(ordered)
    distance = max(np.abs(steps[1:] - expected).max(), np.abs(steps[:-1] - expected).max())
    by_scores = kolmogorov(distance * math.sqrt(count * patients / (count + patients)))
    if not places.shape[1]:
        return Likeness(share, by_scores, 1.0)
    means, variances = look.moments(share)
    z = (places.mean(axis=0) - means) / np.sqrt(np.maximum(variances, 1e-9) * (1 / count + 1 / patients))
    by_features = min(1.0, len(z) * math.erfc(float(np.abs(z).max()) / math.sqrt(2)))
    return Likeness(share, by_scores, by_features)


def likeliest_share(look: Reference, scores: np.ndarray) -> Share:
    """Return how frequent the finding is where each class scores as in validation: the likeliest share.

    Where they do not, it misleads. Source: Saerens, Latinne & Decaestecker, Adjusting the Outputs of a Classifier to
    New a Priori Probabilities, Neural Computation 2002; here of scores in 20 bins and over a grid.
    """
    edges = np.quantile(np.concatenate([look.negative.scores, look.positive.scores]), np.linspace(0, 1, BINS + 1)[1:-1])
    counts = np.bincount(np.searchsorted(edges, scores), minlength=BINS)
    chances = [_in_bins(one, edges) for one in (look.positive, look.negative)]
    mixed = np.outer(SHARES, chances[0]) + np.outer(1 - SHARES, chances[1])
    return _interval(np.log(mixed) @ counts / look.images_a_patient)


def share_by_shape(look: Reference, scores: np.ndarray) -> Share:
    """Return how frequent the finding is where another scanner moves and stretches the scores of each class.

    A mixture of two classes, each with the shape that validation's scores have, but a mean and a deviation of its own,
    is fitted at every share by expectation maximisation (Dempster, Laird & Rubin, J. R. Stat. Soc. B 1977), held to
    validation's by `HELD` images more of each class. The profile of its likelihood gives the interval, which is wide
    where the two classes cannot be told apart in the scores. Scores that lose their shape mislead: noise did.
    """
    scores = np.asarray(scores, np.float64)
    shapes = [_shape(one) for one in (look.negative, look.positive)]
    places = np.array([[mean] for mean, _, _ in shapes]) + np.zeros(len(SHARES))
    widths = np.array([[width] for _, width, _ in shapes]) + np.zeros(len(SHARES))
    weights = np.stack([1 - SHARES, SHARES])[..., None]
    for _ in range(ROUNDS):
        dense = weights * [
            np.interp((scores - place[:, None]) / width[:, None], GRID, shape, left=1e-6, right=1e-6) / width[:, None]
            for place, width, (_, _, shape) in zip(places, widths, shapes, strict=True)
        ]
        together = dense.sum(axis=0)
        belongs = dense / together
        counts = belongs.sum(axis=2)
        for own, count, place, width, (mean, deviation, _) in zip(belongs, counts, places, widths, shapes, strict=True):
            place[:] = (own @ scores + HELD_PLACE * mean) / (count + HELD_PLACE)
            squares = (own * np.square(scores - place[:, None])).sum(axis=1)
            width[:] = np.sqrt((squares + HELD * deviation**2) / (count + HELD))
    held = [
        HELD * (np.log(width / deviation) + np.square(deviation / width) / 2)
        + HELD_PLACE * np.square((place - mean) / deviation) / 2
        for place, width, (mean, deviation, _) in zip(places, widths, shapes, strict=True)
    ]
    return _interval((np.log(together).sum(axis=1) - np.sum(held, axis=0)) / look.images_a_patient)


def _shape(look: Look) -> tuple[float, float, np.ndarray]:
    """Return mean and deviation of a class's scores, and their smooth density over `GRID`, none of which is 0."""
    known = np.interp((np.arange(128) + 0.5) / 128, LEVELS, look.scores)
    mean, deviation = float(known.mean()), max(float(known.std()), 1e-6)
    from_each = np.square((GRID[:, None] - (known - mean) / deviation) / SMOOTH)
    dense = np.exp(-from_each / 2).mean(axis=1) / (SMOOTH * math.sqrt(2 * math.pi))
    return mean, deviation, (1 - STRAYS) * dense + STRAYS / (3 * math.pi * (1 + np.square(GRID / 3)))


def _in_bins(look: Look, edges: np.ndarray) -> np.ndarray:
    """Return the chance of each bin, none of which is 0: half an image more in each."""
    below = np.concatenate([[0.0], look.below(edges), [1.0]])
    return (np.diff(below) * look.images + 0.5) / (look.images + 0.5 * (len(edges) + 1))


def _interval(likelihood: np.ndarray) -> Share:
    near = SHARES[likelihood >= likelihood.max() - DROP]
    best = int(np.clip(likelihood.argmax(), 1, len(SHARES) - 2))
    before, here, after = likelihood[best - 1 : best + 2]  # the parabola through them says where the top is
    bend = before - 2 * here + after
    top = float(np.clip((before - after) / (2 * bend) if bend < 0 else 0.0, -1, 1))
    value = float(SHARES[best] + top * (SHARES[1] - SHARES[0]))
    return Share(value, min(float(near[0]), value), max(float(near[-1]), value))


def kolmogorov(distance: float) -> float:
    """Return the chance of a larger distance, scaled by the root of the sample's size."""
    if distance < 0.3:
        return 1.0
    terms = np.arange(1, 101)
    return float(np.clip(2 * np.sum((-1.0) ** (terms - 1) * np.exp(-2 * np.square(terms * distance))), 0, 1))
