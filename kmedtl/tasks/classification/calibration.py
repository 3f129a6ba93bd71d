"""From logits to probabilities that mean what they say: which calibration, fitted on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kmedtl.edge.tasks.classification.calibration import (
    Calibration,
    Knots,
    Method,
    against_rest,
    probabilities,
    uncalibrated,
)
from kmedtl.edge.tasks.classification.labels import LabelKind
from kmedtl.errors import UserError
from kmedtl.statistics.clustered import error_by_patient
from kmedtl.statistics.confidence import codes_of
from kmedtl.statistics.logistic import regress
from kmedtl.system.progress import progress
from kmedtl.tasks.classification.reliability import log_losses

MIN_TEMPERATURE, MAX_TEMPERATURE, MAX_BIAS = 0.25, 20.0, 20.0
FOLDS = 5
ISOTONIC_IMAGES, ISOTONIC_ANSWERS = 1000, 50


@dataclass(frozen=True)
class Candidate:
    """A method that was tried.

    Attributes:
        nll: cross-validated within validation, nats an answer; NaN where nothing was cross-validated.
        standard_error: of `nll`, by patient.
    """

    method: Method
    nll: float
    standard_error: float


@dataclass(frozen=True)
class Fitted:
    """A calibration, and the methods that it was chosen from, the simplest first."""

    calibration: Calibration
    candidates: tuple[Candidate, ...]


def fit(
    logits: np.ndarray,
    targets: np.ndarray,
    kind: LabelKind,
    method: Method | Literal["auto"] = "auto",
    patients: np.ndarray | None = None,
    seed: int = 0,
) -> Fitted:
    """Fit a calibration on validation images; answers that are unknown are left out.

    - `none`: logits are left as they are.
    - `temperature`: one scale, of `multi_label` one a finding (Guo et al., On Calibration of Modern Neural Networks,
      2017, section 4.2).
    - `vector`: a scale and a bias for each finding: of a yes-or-no question Platt's (1999), of several classes vector
      scaling (Guo et al., section 4.2).
    - `isotonic`: any rising curve (Zadrozny & Elkan, KDD 2002), from the centre of each step to that of the next, which
      keeps the order of images (Oron & Flournoy, 2017); answers count as a little less than certain, as Platt's do.
    - `auto`: the one whose NLL is lowest in five-fold cross-validation within validation, no patient in two folds: the
      NLL of the images fitted on always prefers the most flexible. A more flexible method must beat the simpler one by
      more than one standard error of their difference on the same images, by patient (the rule of Breiman et al.,
      Classification and Regression Trees, 1984, section 3.4.3): a smaller gain is as likely chance, and parameters
      that gain nothing cost certainty elsewhere.

    Where one threshold separates the classes without error, the loss only asks for certainty and says nothing of
    calibration: that finding's logits stay as they are, as they do where only one answer is known. Temperatures are
    held to 0.25–20, which keeps a validation set that hardly errs from asking for the same.

    Args:
        logits: (N, F).
        targets: (N, F): 1, 0 or −1, unknown; `multi_class`: one 1 a row.
        patients: (N,); None: each image is of another.
        seed: of the folds.

    Raises:
        UserError: `isotonic` of fewer than 1,000 images or 50 of either answer, below which it overfits
            (Niculescu-Mizil & Caruana, Predicting Good Probabilities, 2005, section 5); `auto` does not try it then.
    """
    logits, targets = np.asarray(logits, np.float64), np.asarray(targets)
    patients = np.arange(len(logits)) if patients is None else np.asarray(patients)
    enough = _enough_for_isotonic(targets)
    if method == "isotonic" and not enough:
        raise UserError(
            f"evaluation.calibration=isotonic: expected {ISOTONIC_IMAGES} validation images with a known answer and "
            f"{ISOTONIC_ANSWERS} of either, for each finding. Received: {len(targets)} images; choose auto."
        )
    if method == "auto":
        methods: list[Method] = ["none", "temperature", "vector"]
        if enough:
            methods.append("isotonic")
        method, candidates = _choose(methods, logits, targets, kind, patients, seed)
    else:
        candidates = (Candidate(method, float("nan"), float("nan")),)
    return Fitted(_fit(logits, targets, kind, method), candidates)


def _choose(
    methods: Sequence[Method], logits: np.ndarray, targets: np.ndarray, kind: LabelKind, patients: np.ndarray, seed: int
) -> tuple[Method, tuple[Candidate, ...]]:
    codes = codes_of(patients)
    count = int(codes.max(initial=-1)) + 1
    if count < 2 or not (targets >= 0).any():  # nothing to divide
        return "none", (Candidate("none", float("nan"), float("nan")),)
    fold = (np.random.default_rng(seed).permutation(count) % FOLDS)[codes]
    shown = progress(methods, "Calibrating", unit="method", delay=2)
    losses = {method: _held_out_losses(method, logits, targets, kind, fold) for method in shown}
    chosen = methods[0]
    for method in methods[1:]:
        gain, error = _mean_and_error(losses[chosen] - losses[method], patients)
        if gain > error:
            chosen = method
    return chosen, tuple(Candidate(method, *_mean_and_error(losses[method], patients)) for method in methods)


def _held_out_losses(
    method: Method, logits: np.ndarray, targets: np.ndarray, kind: LabelKind, fold: np.ndarray
) -> np.ndarray:
    found = np.empty_like(logits)
    for number in np.unique(fold):
        held_out = fold == number
        found[held_out] = probabilities(logits[held_out], _fit(logits[~held_out], targets[~held_out], kind, method))
    return log_losses(found, targets, kind)


def _mean_and_error(losses: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """Return the mean of what is known of losses (N, F), and its standard error by patient."""
    known = ~np.isnan(losses)
    mean = float(losses[known].mean())
    influence = np.where(known, losses - mean, 0).sum(axis=1) / known.sum()
    return mean, error_by_patient(influence, patients)


def _enough_for_isotonic(targets: np.ndarray) -> bool:
    counts = np.stack([(targets == answer).sum(axis=0) for answer in (0, 1)])
    return bool((counts.sum(axis=0) >= ISOTONIC_IMAGES).all() and counts.min() >= ISOTONIC_ANSWERS)


def _fit(logits: np.ndarray, targets: np.ndarray, kind: LabelKind, method: Method) -> Calibration:
    plain = uncalibrated(kind, logits.shape[1])
    if method == "none":
        return plain
    if kind == "multi_class":
        known = (targets >= 0).all(axis=1)
        logits, targets = logits[known], targets[known]
    if method == "isotonic":
        scores = against_rest(logits) if kind == "multi_class" else logits
        knots = tuple(_knots(score, target) for score, target in zip(scores.T, targets.T, strict=True))
        return replace(plain, method=method, knots=knots)
    if kind == "multi_class":
        scale, bias = _line(logits, targets, method)
    else:
        columns = [(logit[target >= 0], target[target >= 0]) for logit, target in zip(logits.T, targets.T, strict=True)]
        lines = [_line(logit[:, None], target[:, None], method) for logit, target in columns]
        scale, bias = (np.concatenate(part) for part in zip(*lines, strict=True))
    return Calibration(method, kind, tuple(scale.tolist()), tuple(bias.tolist()))


def _line(logits: np.ndarray, targets: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and bias (F,) that minimise the NLL of one sigmoid (F = 1) or one softmax."""
    count = logits.shape[1]
    plain = np.ones(count), np.zeros(count)
    if _says_nothing(logits, targets, method):
        return plain
    least, most = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    if method == "temperature":
        scale = regress(logits[..., None], targets, np.ones(1), least, most).parameters
        return np.repeat(scale, count), plain[1]
    each = np.eye(count)
    design = np.concatenate([logits[..., None] * each, np.broadcast_to(each, (len(logits), count, count))], axis=2)
    low, high = (np.repeat(ends, count) for ends in ((least, -MAX_BIAS), (most, MAX_BIAS)))
    scale, bias = np.split(regress(design, targets, np.concatenate(plain), low, high).parameters, 2)
    return scale, bias - bias.mean() if count > 1 else bias  # a bias common to all classes changes nothing


def _says_nothing(logits: np.ndarray, targets: np.ndarray, method: Method) -> bool:
    """Return whether an answer is absent or nothing is answered wrongly, so that the loss has no proper minimum."""
    present = targets.sum(axis=0) > 0
    if logits.shape[1] > 1:
        absent = present.sum() < 2 if method == "temperature" else not present.all()
        true = np.where(targets == 1, logits, -np.inf).max(axis=1, initial=-np.inf)
        return bool(absent or (true == logits.max(axis=1)).all())
    positive, negative = logits[targets == 1], logits[targets == 0]
    if not (len(positive) and len(negative)):
        return True
    threshold = 0 if method == "temperature" else negative.max()
    return bool(positive.min() > threshold >= negative.max())


def _knots(scores: np.ndarray, targets: np.ndarray) -> Knots:
    """Return the centres of the steps of the isotonic regression of targets (n,) on scores (n,), −1 left out.

    Answers count as (n₁ + 1) / (n₁ + 2) and 1 / (n₀ + 2), so that no step claims certainty (Platt, 1999, section 2.2).
    """
    known = targets >= 0
    places, row = np.unique(scores[known], return_inverse=True)
    counts = np.bincount(row).astype(np.float64)
    yes = (targets[known] == 1).sum()
    low, high = 1 / (known.sum() - yes + 2), (yes + 1) / (yes + 2)
    sums = np.bincount(row, np.where(targets[known] == 1, high, low))
    steps: list[tuple[float, float, float]] = []  # weight, weighted place, weighted answer
    for step in zip(counts, counts * places, sums, strict=True):
        while steps and steps[-1][2] * step[0] >= step[2] * steps[-1][0]:  # pool adjacent violators
            weight, place, answer = map(sum, zip(steps.pop(), step, strict=True))
            step = weight, place, answer
        steps.append(step)
    return tuple((float(place / weight), float(answer / weight)) for weight, place, answer in steps)
