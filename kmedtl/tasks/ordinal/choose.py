"""What validation chooses: the calibration of each cut, and the thresholds from which on cuts count as passed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kmedtl.edge.tasks.ordinal import GRADE, GradeDecoder, cumulative, decide, margins
from kmedtl.recipe import Evaluation as Settings
from kmedtl.statistics.confidence import Z, codes_of
from kmedtl.statistics.logistic import regress
from kmedtl.tasks.ordinal.figures import confusion, kappa_gain, kappa_of, quadratic
from kmedtl.tasks.ordinal.question import GradeQuestion, plain
from kmedtl.tasks.task import Examples, Fit

SLOPES, MOST_OFFSET = (0.05, 20.0), 20.0
FOLDS = 5
ROUNDS = 50  # over all cuts; a few suffice
SAME = 1e-9  # by which kappas differ through rounding alone


@dataclass(frozen=True)
class Chosen:
    """The quadratic weighted kappa on validation, at thresholds of ½ and at those that were chosen."""

    kappa_plain: float
    kappa: float


def fit_decoder(
    question: GradeQuestion, settings: Settings, validation: Examples, seed: int, decoder: GradeDecoder | None = None
) -> Fit:
    """Calibrate each cut on validation, then choose the thresholds; see `calibrated` and `thresholds`.

    Args:
        decoder: of the model, where a file of it is fitted; its thresholds stay unless others gain more than chance.
    """
    truth = validation.targets[GRADE][:, 0].astype(int)
    slopes, offsets = calibrated(margins(validation.outputs, question.loss, len(question.grades) - 1), truth, question)
    fitted = replace(plain(question), slopes=slopes, offsets=offsets)
    above = cumulative(validation.outputs, fitted)
    known = decoder.thresholds if decoder else None
    chosen, size = thresholds(above, truth, validation.patients, seed, known), len(question.grades)
    before, after = (kappa_of(truth, decide(above, one), size) for one in (fitted.thresholds, chosen))
    return Fit(replace(fitted, thresholds=chosen), Chosen(before, after))


def calibrated(
    found: np.ndarray, truth: np.ndarray, question: GradeQuestion
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return a slope and an offset for each cut, by logistic regression on validation (Platt 1999).

    A cut that all images lie on one side of, or that their margins separate without error, says nothing of
    calibration: it keeps the outputs as they are.

    Args:
        found: margins, (N, K − 1).
        truth: numbers of the grades, int (N,).
    """
    slopes, offsets = list(plain(question).slopes), list(plain(question).offsets)
    for cut, column in enumerate(found.T):
        passed = truth > cut
        if passed.any() and not passed.all() and column[passed].min() <= column[~passed].max():
            design = np.stack([column, np.ones_like(column)], axis=1)[:, None]
            low, high = (np.array(ends) for ends in zip(SLOPES, (-MOST_OFFSET, MOST_OFFSET), strict=True))
            fitted = regress(design, passed[:, None], np.array([slopes[cut], offsets[cut]]), low, high)
            slopes[cut], offsets[cut] = fitted.parameters.tolist()
    return tuple(slopes), tuple(offsets)


def thresholds(
    above: np.ndarray,
    truth: np.ndarray,
    patients: np.ndarray,
    seed: int,
    known: tuple[float, ...] | None = None,
) -> tuple[float, ...]:
    """Return the thresholds that validation asks for: those of the best kappa, or ½ where they gain too little.

    The best ones of few images are as good as they are by chance, and do worse than ½ elsewhere. They are taken where,
    chosen in five-fold cross-validation within validation, no patient in two folds, they beat ½ by more than one
    standard error of the difference on the same images (the rule of Breiman et al., Classification and Regression
    Trees, 1984, section 3.4.3). All lie midway between two probabilities that validation has, so that rounding flips
    nothing.

    Args:
        above: probabilities of lying above each cut, (N, K − 1).
        truth: numbers of the grades, int (N,).
        patients: (N,).
        seed: of the folds.
        known: of a model whose file is fitted; they stay unless the 95 % interval of what others gain excludes 0. A
            standard error would be too little: one patient who is decided otherwise exceeds it.
    """
    codes, half = codes_of(patients), tuple(map(_at_half, above.T))
    fold = (np.random.default_rng(seed).permutation(codes.max() + 1) % FOLDS)[codes]
    chosen = np.empty_like(truth)
    for number in np.unique(fold):
        held = fold == number
        chosen[held] = decide(above[held], best_thresholds(above[~held], truth[~held]))
    gain = kappa_gain(truth, chosen, [decide(above, half)], above.shape[1] + 1, patients)
    settled = gain.value > (gain.high - gain.low) / (2 * Z)
    anew = chosen if settled else decide(above, half)
    if known and not kappa_gain(truth, anew, [decide(above, known)], above.shape[1] + 1, patients).low > 0:
        return known
    return best_thresholds(above, truth) if settled else half


def best_thresholds(above: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """Return the thresholds with the best quadratic weighted kappa, one cut after another until none gets better.

    Of equally good ones the nearest to ½ is taken, so that few images move it little. Arguments as of `thresholds`.
    """
    between = [_between(column) for column in above.T]
    chosen = np.array([_at_half(column) for column in above.T])
    for _ in range(ROUNDS):
        before = chosen.copy()
        for cut, candidates in enumerate(between):
            chosen[cut] = _best(cut, candidates, above, chosen, truth)
        if np.array_equal(chosen, before):
            break
    return tuple(chosen.tolist())


def _at_half(scores: np.ndarray) -> float:
    """Return the middle between the scores that lie around ½."""
    return float(_between(scores)[np.count_nonzero(np.unique(scores[(scores > 0) & (scores <= 0.5)]))])


def _nearest_half(candidates: np.ndarray) -> float:
    return float(candidates[np.abs(candidates - 0.5).argmin()])


def _between(scores: np.ndarray) -> np.ndarray:
    """Return the middles between the distinct scores, and between the outermost and 0 and 1, rising."""
    ends = np.unique(np.concatenate([[0.0], scores, [1.0]]))
    middles = ends[:-1] + np.diff(ends) / 2
    return np.where(middles < ends[1:], middles, ends[:-1])  # between neighbouring floats there is none


def _best(cut: int, candidates: np.ndarray, above: np.ndarray, chosen: np.ndarray, truth: np.ndarray) -> float:
    """Return the best threshold of a cut while the others stay."""
    grades = above.shape[1] + 1
    others = np.delete(above, cut, axis=1) > np.delete(chosen, cut)
    low = others.sum(axis=1)
    # The images that each next candidate leaves behind move from the cell of one grade more to that of one less.
    left = np.searchsorted(candidates, above[:, cut])  # the first candidate that is not exceeded
    moved = np.zeros((len(candidates) + 1, grades, grades))
    np.add.at(moved, (left, truth, low), 1)
    np.add.at(moved, (left, truth, low + 1), -1)
    start = confusion(truth, low + 1, grades)
    found = quadratic(start + np.cumsum(moved, axis=0)[: len(candidates)])
    if np.isnan(found).all():  # one grade alone
        return float(chosen[cut])
    return _nearest_half(candidates[found >= np.nanmax(found) - SAME])
