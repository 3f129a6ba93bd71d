"""Whether the label can be read without the image: from its frame alone, or from the properties of its file.

A classifier takes any shortcut that separates the classes: a marker in the corner, a scanner's border, the size at
which one hospital exports. See DeGrave, Janizek & Lee, AI for radiographic COVID-19 detection selects shortcuts over
signal, Nature Machine Intelligence 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kmedtl.data.manifest import UNKNOWN
from kmedtl.statistics.confidence import Estimate, delong_auc

SEGMENTS = 8  # parts along each side of the frame
FOLDS = 5  # and the fewest patients of a class
STEEPEST = 0.25  # curvature of the logistic loss where both answers are as likely
SHRINK = 0.01  # scikit-learn's C; 0.001 hides weak shortcuts


@dataclass(frozen=True)
class Shortcut:
    """A way to the label past the image.

    Attributes:
        what: "frame", "file" or "fields".
        finding: what can be read from it, one of the manifest's findings.
        auc: how well the label can be read from it, out of fold.
    """

    what: str
    finding: str
    auc: Estimate


def frame(images: np.ndarray) -> np.ndarray:
    """Return float32 (N, 76·C + 8): what the outermost 1/16 of each side and the four corners of 1/8 look like.

    Per channel and each in gray levels: mean and standard deviation of eight segments along each side, and mean,
    standard deviation and maximum of each corner. Then the share of black (0) and of white (255) of each side.

    Args:
        images: uint8 (N, S, S, C), S at least 32.
    """
    depth, corner = images.shape[1] // 16, images.shape[1] // 8
    count = len(images)
    features = []
    for turn in range(4):
        turned = np.rot90(images, turn, axes=(1, 2)).transpose(0, 3, 1, 2)
        side = np.ascontiguousarray(turned[:, :, :depth])
        features += _segments(side)
        patch = turned[:, :, :corner, :corner].reshape(count, images.shape[3], -1).astype(np.float32)
        features += [patch.mean(axis=2), patch.std(axis=2), patch.max(axis=2)]
        features += [np.stack([(side == end).mean(axis=(1, 2, 3)) for end in (0, 255)], axis=1)]
    return np.concatenate([part.reshape(count, -1) for part in features], axis=1, dtype=np.float32)


def _segments(side: np.ndarray) -> list[np.ndarray]:
    """Return mean and standard deviation, each (N, C, 8), of uint8 (N, C, D, S) along S.

    Sums of integers are exact, so that a constant segment has a deviation of 0, not noise for a scaler to blow up.
    """
    _, _, depth, size = side.shape
    bounds = np.arange(SEGMENTS) * size // SEGMENTS
    pixels = depth * np.diff(bounds, append=size)
    values = side.astype(np.uint32)
    total = np.add.reduceat(values.sum(axis=2, dtype=np.int64), bounds, axis=2)
    squares = np.add.reduceat((values * values).sum(axis=2, dtype=np.int64), bounds, axis=2)
    return [total / pixels, np.sqrt(pixels * squares - total * total) / pixels]


def file_properties(facts: pd.DataFrame) -> np.ndarray:
    """Return float32 (N, F): width, height and aspect ratio, then each frequent size, mode and bit depth as 0 or 1.

    A size is frequent in 1 % of the files and in five at least; the rest have none. Sizes are marked one by one because
    a hospital exports at its own, which need not be the largest or the smallest.

    Args:
        facts: columns `width` and `height` in pixels, `mode` and `bits`, of the readable files.
    """
    numbers = facts[["width", "height"]].assign(aspect=facts["width"] / facts["height"])
    size = facts["width"].astype(str) + "×" + facts["height"].astype(str)
    frequent = size.groupby(size).transform("size") >= max(FOLDS, 0.01 * len(facts))
    kinds = facts[["mode", "bits"]].astype(str).assign(size=size.where(frequent))
    return pd.concat([numbers, pd.get_dummies(kinds)], axis=1).to_numpy(np.float32)


def readability(features: np.ndarray, positive: np.ndarray, patients: Sequence[str], seed: int) -> Estimate | None:
    """Return the AUC at which `features` give the label away, or None with too few patients of either class.

    Five-fold cross-validation over patients; the pooled scores of the held-out folds give the AUC and its interval.
    At chance the value is near 0.5 or below: what is learned in four folds then misleads in the fifth. The interval
    leaves out that the folds share training rows: with random labels its lower end passes 0.5 in 5 to 10 of 100 seeds.

    A readable frame is no proof of a shortcut, as anatomy reaches the border: it gives 0.959 (0.953–0.964) on
    children's chest films (Kermany 2018), 0.752 (0.683–0.810) on brain MRI, 0.707 (0.528–0.839) on malignant against
    other breast ultrasounds and 0.592 (0.483–0.693) on `phantom:100` (seed 0).

    Args:
        features: float (N, F).
        positive: bool (N,), the class in question.
        patients: the patient of each row; a patient's rows share a fold.
        seed: of the folds.
    """
    positive = np.asarray(positive, bool)
    patient = np.unique(np.asarray(patients), return_inverse=True)[1]
    has_positive = np.bincount(patient, positive) > 0
    has_negative = np.bincount(patient, ~positive) > 0
    if min(has_positive.sum(), has_negative.sum()) < FOLDS:
        return None
    fold = _folds(has_positive, has_negative, seed)[patient]
    scores = np.empty(len(positive))
    for held_out in range(FOLDS):
        learn, test = fold != held_out, fold == held_out
        model = make_pipeline(StandardScaler(), LogisticRegression(C=SHRINK, max_iter=300))
        scores[test] = model.fit(features[learn], positive[learn]).decision_function(features[test])
    return delong_auc(positive, scores, patient)


def readability_of_each(
    features: np.ndarray, targets: np.ndarray, patients: np.ndarray, seed: int
) -> list[Estimate | None]:
    """Return `readability` of several findings at once, by ridge regression instead of logistic.

    The folds are the same for all, so that one solution of the normal equations a fold serves every finding: 100
    classes take as long as one. Its AUC lies close to that of the logistic regression, of which it is the first step
    of Newton's method, with the same shrinkage where both answers are as frequent.

    Args:
        targets: (N, F): 1, 0 or `UNKNOWN`, which neither teaches nor counts.
        features, patients, seed: as of `readability`.

    Source: Hastie, Tibshirani & Friedman, The Elements of Statistical Learning (2009), sections 4.2 and 4.3.
    """
    known = targets != UNKNOWN
    patient = np.unique(np.asarray(patients), return_inverse=True)[1]
    fold = _common_folds(targets == 1, patient, seed)[patient]
    scores = np.empty(targets.shape)
    for held_out in range(FOLDS):
        learn, test = fold != held_out, fold == held_out
        if not test.any() or not learn.any():  # fewer patients than folds: no finding has enough of them
            continue
        scaler = StandardScaler().fit(features[learn])
        inside, outside = scaler.transform(features[learn]), scaler.transform(features[test])
        of_known = np.where(known[learn], targets[learn], 0)
        mean = of_known.sum(axis=0) / np.maximum(known[learn].sum(axis=0), 1)
        residual = np.where(known[learn], of_known - mean, 0)
        penalty = np.eye(features.shape[1]) / (SHRINK * STEEPEST)
        scores[test] = outside @ np.linalg.solve(inside.T @ inside + penalty, inside.T @ residual)
    found = []
    for column in range(targets.shape[1]):
        rows = known[:, column]
        positive, people = targets[rows, column] == 1, patient[rows]
        few = min(len(np.unique(people[positive == answer])) for answer in (True, False)) < FOLDS
        found.append(None if few else delong_auc(positive, scores[rows, column], people))
    return found


def _common_folds(positive: np.ndarray, patient: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each patient: dealt in turn by the rarest finding that each has, so that all reach all."""
    rank = np.argsort(np.argsort(positive.sum(axis=0), kind="stable"))
    of_row = np.where(positive, rank, positive.shape[1]).min(axis=1)
    rarest = np.full(int(patient.max()) + 1, positive.shape[1])
    np.minimum.at(rarest, patient, of_row)
    order = np.lexsort((np.random.default_rng(seed).random(len(rarest)), rarest))
    fold = np.empty(len(order), int)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold


def _folds(has_positive: np.ndarray, has_negative: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each patient, both classes in each fold.

    Patients are dealt in turn: negative only, then mixed, then positive only. Those who have a class are neighbours in
    this order, so five of them reach all five folds.
    """
    random = np.random.default_rng(seed).random(len(has_positive))
    order = np.lexsort((random, has_positive.astype(int) - has_negative.astype(int)))
    fold = np.empty(len(order), int)
    fold[order] = np.arange(len(order)) % FOLDS
    return fold
