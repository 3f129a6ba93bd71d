"""From logits to probabilities, as a small document that travels in the model file. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from kmedtl.edge.tasks.classification.labels import LabelKind
from kmedtl.errors import expect

Method = Literal["none", "temperature", "vector", "isotonic"]
Knots = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Calibration:
    """How the logits of F findings become probabilities; fitted by `kmedtl.tasks.classification.calibration.fit`.

    Attributes:
        method: how it was fitted.
        kind: `multi_class` takes the softmax over findings, the others a sigmoid for each.
        scale, bias: F numbers each; the probability is that of logit · scale + bias. A temperature T is scale 1 / T
            and bias 0.
        knots: of `isotonic` only, which leaves scale 1 and bias 0: for each finding (logit, probability), logits
            increasing, probabilities above 0 and below 1 and never falling.

    Raises:
        UserError: another shape, or a number that is not finite or not in its range.
    """

    method: Method
    kind: LabelKind
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    knots: tuple[Knots, ...] = ()

    def __post_init__(self) -> None:
        for name, known in (("method", Method), ("kind", LabelKind)):
            value = getattr(self, name)
            expect(value in get_args(known), f"calibration: {name}", f"one of {', '.join(get_args(known))}", value)
        count = len(self.scale)
        fits = count == 1 if self.kind == "binary" else count >= (2 if self.kind == "multi_class" else 1)
        expect(fits, "calibration: scale", f"a number for each finding of a {self.kind} question", self.scale)
        expect(len(self.bias) == count, "calibration: bias", f"{count} numbers", self.bias)
        expect(all(map(_finite, self.scale + self.bias)), "calibration", "finite numbers", self.scale + self.bias)
        expect(min(self.scale) > 0, "calibration: scale", "numbers above 0", self.scale)
        wanted = count if self.method == "isotonic" else 0
        expect(len(self.knots) == wanted, "calibration: knots", f"{wanted} lists", len(self.knots))
        for knots in self.knots:
            _check_knots(knots)


def uncalibrated(kind: LabelKind, findings: int) -> Calibration:
    """Return the calibration that leaves logits as they are."""
    return Calibration("none", kind, (1.0,) * findings, (0.0,) * findings)


def probabilities(logits: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Return calibrated probabilities, float64 (N, F) in 0–1, of logits (N, F); large logits do not overflow.

    Images keep their order within a finding, but that isotonic calibration makes equal what lies beyond its first or
    last knot. Where `multi_class` meets `vector` or `isotonic`, dividing by the sum over classes can reorder images.

    Raises:
        UserError: another number of findings than the calibration has.
    """
    logits = np.asarray(logits, np.float64)
    count = len(calibration.scale)
    expect(logits.ndim == 2 and logits.shape[1] == count, "logits", f"{count} for each image", logits.shape)
    if calibration.method == "isotonic":
        return _interpolated(logits, calibration)
    margins = logits * np.array(calibration.scale) + np.array(calibration.bias)
    return softmax(margins) if calibration.kind == "multi_class" else sigmoid(margins)


def sigmoid(margins: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(−margins)) without overflow, exact also where it is tiny."""
    small = np.exp(-np.abs(margins))
    return np.where(margins >= 0, 1.0, small) / (1 + small)


def softmax(margins: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis without overflow."""
    with np.errstate(over="ignore"):  # of differences that are infinite the power is 0
        powers = np.exp(margins - margins.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def log_odds(found: np.ndarray, kind: LabelKind, least: float) -> np.ndarray:
    """Return logits whose sigmoid, or of `multi_class` whose softmax, the probabilities are; none below `least`."""
    likely = np.log(np.maximum(found, least))
    return likely if kind == "multi_class" else likely - np.log(np.maximum(1 - found, least))


def against_rest(logits: np.ndarray) -> np.ndarray:
    """Return the log-odds of each class against all others, (N, F), of softmax logits (N, F), F ≥ 2.

    A softmax logit means nothing alone, since adding a number to all of a row changes no probability.
    """
    others = ~np.eye(logits.shape[1], dtype=bool)
    return np.stack(
        [logits[:, k] - np.logaddexp.reduce(logits[:, others[k]], axis=1) for k in range(len(others))], axis=1
    )


def _interpolated(logits: np.ndarray, calibration: Calibration) -> np.ndarray:
    several = calibration.kind == "multi_class"
    scores = against_rest(logits) if several else logits
    columns = [np.interp(score, *np.transpose(knots)) for score, knots in zip(scores.T, calibration.knots, strict=True)]
    found = np.stack(columns, axis=1)
    return found / found.sum(axis=1, keepdims=True) if several else found


def _check_knots(knots: Knots) -> None:
    expect(bool(knots), "calibration: knots", "at least one for each finding", knots)
    for knot in knots:
        expect(all(map(_finite, knot)) and 0 < knot[1] < 1, "calibration: knots", "a logit and a probability", knot)
    for knot, after in pairwise(knots):
        rising = knot[0] < after[0] and knot[1] <= after[1]
        expect(rising, "calibration: knots", f"rising numbers after {knot}", after)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
