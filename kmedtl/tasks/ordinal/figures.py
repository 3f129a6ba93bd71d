"""How well grades agree with the truth: kappa, distances in grades, and how referable images are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.ordinal import GRADE, GradeDecoder, cumulative, decide
from kmedtl.edge.tasks.task import Outputs
from kmedtl.statistics.agreement import kappa, of_counts
from kmedtl.statistics.confidence import (
    WIDE,
    Estimate,
    at_least_by_patients,
    bootstrap,
    codes_of,
    delong_auc,
    of_mean,
    undefined,
    wilson,
)
from kmedtl.statistics.groups import bands, in_order
from kmedtl.tasks.task import Evaluation, Examples

OF_A_GROUP = ("kappa", "mae")
quadratic = partial(kappa, power=2)
RESAMPLES = 2000  # of the paired bootstrap, which no setting reaches
ONE_GRADE = "one grade only"
ARRAYS = ("truth", "decided", "above", "patients")  # of `Graded`, a row an image


@dataclass(frozen=True)
class Graded:
    """N images, what grade each is and was decided to be, by number.

    Attributes:
        grades: their names.
        referable: the number of the lowest referable grade.
        truth, decided: (N,) int.
        above: probabilities of lying above each cut, (N, K − 1); NaN: not known.
        patients: (N,).
    """

    grades: tuple[str, ...]
    referable: int
    truth: np.ndarray
    decided: np.ndarray
    above: np.ndarray
    patients: np.ndarray

    @property
    def is_referable(self) -> np.ndarray:
        """Whether each image is referable, int (N,)."""
        return (self.truth >= self.referable).astype(int)

    @property
    def referable_probability(self) -> np.ndarray:
        """That each image is referable, (N,)."""
        return self.above[:, self.referable - 1]

    @property
    def has_probabilities(self) -> bool:
        """Whether probabilities are known."""
        return not np.isnan(self.above).any()

    def of(self, rows: np.ndarray) -> Graded:
        """Return some of the images."""
        return Graded(self.grades, self.referable, *(getattr(self, name)[rows] for name in ARRAYS))


def graded(examples: Examples, decoder: GradeDecoder) -> Graded:
    """Return truth and answers of images."""
    above = cumulative(examples.outputs, decoder)
    truth, decided = examples.targets[GRADE][:, 0].astype(int), decide(above, decoder.thresholds)
    return Graded(decoder.grades, decoder.referable_number, truth, decided, above, examples.patients)


def together(each: Sequence[Graded]) -> Graded:
    """Return the images of all, of the same grades, one after another."""
    arrays = (np.concatenate([getattr(one, name) for one in each]) for name in ARRAYS)
    return Graded(each[0].grades, each[0].referable, *arrays)


def decisions(outputs: Outputs, decoder: GradeDecoder) -> np.ndarray:
    """Return the number of each image's grade, int (N,)."""
    return decide(cumulative(outputs, decoder), decoder.thresholds)


def confusion(truth: np.ndarray, decided: np.ndarray, grades: int) -> np.ndarray:
    """Return the number of images by grade (row) and decision (column), int (K, K)."""
    return np.bincount(grades * truth + decided, minlength=grades**2).reshape(grades, grades)


def evaluation_of(found: Graded) -> Evaluation:
    """Judge grades, with 95 % intervals by patient; `details` are the grades themselves.

    - `kappa`: quadratic weighted (Cohen 1968), 0 being chance; undefined where all images are of one grade.
    - `mae`: mean absolute distance in grades; `off_by_two`: share of the images two grades or more off; `accuracy`.
    - `referable_auc`, `referable_sensitivity`, `referable_specificity`: of the images from the referable grade on
      against those below; the latter two at the decided grades. Without probabilities there is no AUC.
    """
    patients, size = codes_of(found.patients), len(found.grades)
    distance = np.abs(found.decided - found.truth)
    right = (found.decided >= found.referable) == (found.is_referable == 1)
    estimates = {
        "kappa": _kappa(found, patients),
        "mae": of_mean(distance.astype(float), patients, most=size - 1.0),
        "off_by_two": wilson(distance >= 2, patients),
        "accuracy": wilson(distance == 0, patients),
        "referable_auc": _referable_auc(found, patients),
        "referable_sensitivity": _share(right, found, 1, patients),
        "referable_specificity": _share(right, found, 0, patients),
    }
    if not found.has_probabilities:
        del estimates["referable_auc"]
    table = pd.DataFrame(confusion(found.truth, found.decided, size), list(found.grades), list(found.grades))
    tables = {"confusion": table}
    return Evaluation("kappa", estimates, {}, tables, len(patients), int(patients.max()) + 1, found)


def by_group(found: Graded, groups: pd.DataFrame, columns: Sequence[str]) -> dict[str, dict[str, Estimate]]:
    """Return kappa and mean absolute distance of every group: `COLUMN VALUE` → figures."""
    by = {}
    for column in columns:
        names = bands(groups[column].reset_index(drop=True))
        for name in in_order(names):
            part = evaluation_of(found.of(np.flatnonzero(names == name)))
            by[f"{column} {name}"] = {figure: part.estimates[figure] for figure in OF_A_GROUP}
    return by


def kappa_of(truth: np.ndarray, decided: np.ndarray, grades: int) -> float:
    """Return the quadratic weighted kappa; NaN where all images are of one grade."""
    return float("nan") if len(np.unique(truth)) < 2 else float(quadratic(confusion(truth, decided, grades)))


def kappa_gain(
    truth: np.ndarray, ours: np.ndarray, theirs: Sequence[np.ndarray], grades: int, patients: np.ndarray
) -> Estimate:
    """Return the kappa of our decisions minus the mean kappa of theirs, paired by image, by a bootstrap of patients.

    Args:
        truth, ours: (N,) int.
        theirs: of each other, (N,) int.
    """
    if len(np.unique(truth)) < 2:
        return undefined(ONE_GRADE)
    if all(np.array_equal(ours, one) for one in theirs):
        return Estimate(0.0, 0.0, 0.0, "decided alike")
    cells = np.eye(grades**2)
    mine, *others = (cells[grades * truth + one] for one in (ours, *theirs))

    def difference(weights: np.ndarray) -> np.ndarray:
        first, *rest = (quadratic((weights @ one).reshape(-1, grades, grades)) for one in (mine, *others))
        return first - np.mean(rest, axis=0)

    found = bootstrap(difference, patients, RESAMPLES, 0)
    return at_least_by_patients(found, len(np.unique(patients)), WIDE)


def _kappa(found: Graded, patients: np.ndarray) -> Estimate:
    if len(np.unique(found.truth)) < 2:
        return undefined(ONE_GRADE)
    size = len(found.grades)
    return of_counts(quadratic, found.truth, found.decided, size, patients, least=-1.0)


def _referable_auc(found: Graded, patients: np.ndarray) -> Estimate:
    answers = found.is_referable
    for answer in (0, 1):
        if not (answers == answer).any():
            return undefined(_lacking(found, answer))
    return delong_auc(answers, found.referable_probability, patients)


def _share(right: np.ndarray, found: Graded, answer: int, patients: np.ndarray) -> Estimate:
    """Return the share of right decisions among the images that are referable, or that are not."""
    among = found.is_referable == answer
    return wilson(right[among], patients[among]) if among.any() else undefined(_lacking(found, answer))


def _lacking(found: Graded, answer: int) -> str:
    return f"no image {'from' if answer else 'below'} grade {found.grades[found.referable]}{' on' if answer else ''}"
