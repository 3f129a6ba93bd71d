"""How the answers of several models become one answer. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from kmedtl.edge.tasks.classification.calibration import log_odds, probabilities, sigmoid, softmax
from kmedtl.edge.tasks.classification.decoder import LOGITS, ClassDecoder, decide
from kmedtl.edge.tasks.classification.labels import LabelKind
from kmedtl.edge.tasks.task import Outputs
from kmedtl.statistics.confidence import codes_of
from kmedtl.statistics.logistic import regress
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.task import Examples, Vote

Method = Literal["mean", "vote", "weighted", "stack"]
METHODS: tuple[Method, ...] = get_args(Method)
FOLDS = 5
CERTAIN = 1e-12  # no nearer to 0 or 1 does a probability count, else one member would outshout all others
MOST_WEIGHT = 4.0  # of a stacked member: where no image contradicts them, weights would grow without end
STEPS, SETTLED = 1000, 1e-9  # of expectation maximisation


@dataclass(frozen=True)
class MemberPredictions:
    """What M members say of N images and F findings.

    Attributes:
        probabilities: (M, N, F), calibrated.
        decisions: (M, N, F) bool, each at its member's own operating point.
        kind: what is asked of an image.
    """

    probabilities: np.ndarray
    decisions: np.ndarray
    kind: LabelKind

    @property
    def logits(self) -> np.ndarray:
        return log_odds(self.probabilities, self.kind, CERTAIN)

    def of(self, rows: np.ndarray) -> MemberPredictions:
        """Return the predictions for some of the images."""
        return MemberPredictions(self.probabilities[:, rows], self.decisions[:, rows], self.kind)


@dataclass(frozen=True)
class Combination:
    """A method, and how much each of the M members counts."""

    method: Method
    weights: tuple[float, ...]


def member_predictions(
    probabilities: Sequence[np.ndarray], thresholds: Sequence[Sequence[float]], kind: LabelKind
) -> MemberPredictions:
    """Return opinions of each member's probabilities (N, F) and thresholds (F; of `multi_class` shares or none)."""
    stacked = np.stack(probabilities)
    if kind == "multi_class":
        decisions = np.stack([decide(found, (), own) for found, own in zip(stacked, thresholds, strict=True)])
    else:
        decisions = stacked >= np.asarray(thresholds, np.float64)[:, None]
    return MemberPredictions(stacked, decisions, kind)


def combine(combination: Combination, predictions: MemberPredictions) -> np.ndarray:
    """Return logits (N, F) of what the members say together.

    - `mean`, `weighted`: of their probabilities' mean (soft voting, a linear opinion pool).
    - `vote`: of the share of members that call the finding, half a vote being added to yes and to no, of several
      classes 1/F to each, so that a unanimous vote is no certainty (Krichevsky & Trofimov, 1981).
    - `stack`: the weighted sum of their logits.
    """
    weights = np.array(combination.weights)
    if combination.method == "stack":
        return np.tensordot(weights, predictions.logits, 1)
    if combination.method != "vote":
        return log_odds(np.tensordot(weights, predictions.probabilities, 1), predictions.kind, CERTAIN)
    members, _, findings = predictions.decisions.shape
    prior = 1 / findings if predictions.kind == "multi_class" else 0.5
    return log_odds((predictions.decisions.sum(axis=0) + prior) / (members + 1), predictions.kind, CERTAIN)


def fit(method: Method, predictions: MemberPredictions, targets: np.ndarray) -> Combination:
    """Choose how much each member counts, on validation images.

    - `mean`, `vote`: all alike.
    - `weighted`: shares that make validation likeliest under the mixture of the members' probabilities, by
      expectation maximisation (Smyth & Wolpert, Linearly Combining Density Estimators via Stacking, 1999, section 3).
    - `stack`: logistic regression on the members' logits (Wolpert, Stacked Generalization, 1992) with weights of 0 or
      more, the same for all findings (Breiman, Stacked Regressions, 1996, section 3); the calibration that
      follows fits the intercept.

    Where only one answer is known, nothing tells the members apart, and all count alike.

    Args:
        targets: (N, F): 1, 0 or −1, unknown.
    """
    count = len(predictions.probabilities)
    alike = (1 / count,) * count
    known = targets >= 0
    if method in ("mean", "vote") or len(np.unique(targets[known])) < 2:
        return Combination(method, alike)
    found = _stacked(predictions, targets) if method == "stack" else _likeliest(predictions, targets)
    return Combination(method, tuple(found.tolist()))


def out_of_fold(
    method: Method, predictions: MemberPredictions, targets: np.ndarray, patients: np.ndarray, seed: int
) -> np.ndarray:
    """Return logits (N, F) of validation images, each from weights that were chosen without its patient.

    Calibration and operating point are fitted on these: on the images that chose the weights, the ensemble looks
    surer than it is. Five folds of whole patients, in an order that follows from the seed.
    """
    codes = codes_of(patients)
    fold = (np.random.default_rng(seed).permutation(codes.max() + 1) % FOLDS)[codes]
    found = np.empty(targets.shape)
    for number in np.unique(fold):
        held = fold == number
        found[held] = combine(fit(method, predictions.of(~held), targets[~held]), predictions.of(held))
    return found


def _likeliest(predictions: MemberPredictions, targets: np.ndarray) -> np.ndarray:
    if predictions.kind == "multi_class":
        given = predictions.probabilities[:, targets == 1]
    else:
        known = targets >= 0
        given = np.where(targets == 1, predictions.probabilities, 1 - predictions.probabilities)[:, known]
    given = np.maximum(given, CERTAIN)
    weights = np.full(len(given), 1 / len(given))
    for _ in range(STEPS):
        before, parts = weights, weights[:, None] * given
        weights = (parts / parts.sum(axis=0)).mean(axis=1)
        if np.abs(weights - before).max() < SETTLED:
            break
    return weights


def _stacked(predictions: MemberPredictions, targets: np.ndarray) -> np.ndarray:
    design, known = np.moveaxis(predictions.logits, 0, 2), targets >= 0
    if predictions.kind == "multi_class":
        rows = known.all(axis=1)
        design, answers = design[rows], targets[rows]
    else:
        design, answers = design[known][:, None], targets[known][:, None]
    start = np.full(design.shape[2], 1 / design.shape[2])
    return regress(design, answers, start, 0.0, MOST_WEIGHT).parameters


def fit_members(
    question: ClassQuestion,
    method: Method,
    members: Sequence[Examples],
    decoders: Sequence[ClassDecoder],
    validation: np.ndarray,
    seed: int,
) -> tuple[dict[str, np.ndarray], tuple[float, ...]]:
    """Return the logits of what members say together, and their weights, which validation chooses.

    Where weights are chosen, the validation logits are each from weights chosen without that patient.

    Args:
        members: of the same images in the same order.
        validation: which of them are validation, bool (N,).
    """
    predictions = _predictions_of([member.outputs for member in members], decoders, question)
    targets, patients = members[0].targets[LOGITS].astype(np.int8), members[0].patients
    combination = fit(method, predictions.of(validation), targets[validation])
    logits = combine(combination, predictions)
    logits[validation] = out_of_fold(
        method, predictions.of(validation), targets[validation], patients[validation], seed
    )
    return {LOGITS: logits}, combination.weights


def combine_members(
    question: ClassQuestion,
    method: Method,
    weights: Sequence[float],
    outputs: Sequence[Outputs],
    decoders: Sequence[ClassDecoder],
) -> dict[str, np.ndarray]:
    """Return the logits of what members say together, with weights that were chosen before."""
    return {LOGITS: combine(Combination(method, tuple(weights)), _predictions_of(outputs, decoders, question))}


def teach(
    question: ClassQuestion, outputs: Outputs, decoder: ClassDecoder, temperature: float
) -> dict[str, np.ndarray]:
    """Return what a student learns beside the labels: calibrated probabilities at a temperature, float32 (N, F)."""
    found = probabilities(outputs[LOGITS], decoder.calibration)
    margins = log_odds(found, question.labels, CERTAIN) / temperature
    soft = softmax(margins) if question.labels == "multi_class" else sigmoid(margins)
    return {LOGITS: soft.astype(np.float32)}


def _predictions_of(
    outputs: Sequence[Outputs], decoders: Sequence[ClassDecoder], question: ClassQuestion
) -> MemberPredictions:
    each = zip(outputs, decoders, strict=True)
    found = [probabilities(member[LOGITS], decoder.calibration) for member, decoder in each]
    return member_predictions(found, [decoder.thresholds or decoder.shares for decoder in decoders], question.labels)


METHODS_IN_WORDS = {
    "mean": "the mean of their probabilities (soft voting)",
    "vote": "the share of them that calls the finding (hard voting)",
    "weighted": "the mean of their probabilities, weighted as validation asks",
    "stack": "a weighted sum of their logits, by logistic regression on validation",
}
VOTE = Vote(METHODS_IN_WORDS, fit_members, combine_members, teach)
