"""From a network's outputs to a grade: the probability of lying above each cut, and from which on it counts.

Grades are numbered 0 … K − 1; cut k, of K − 1, lies between grades k and k + 1. NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kmedtl.edge.tasks.classification.calibration import sigmoid
from kmedtl.edge.tasks.task import Cell, EdgeTask, Measurement, Outputs
from kmedtl.errors import expect

GRADE = "grade"
Loss = Literal["corn", "expected_grade", "crossentropy"]
STEEPNESS = 4.0  # of a predicted number without calibration: it then errs by about half a grade (π / (4 √3) = 0.45)
FEWEST = 3  # grades; two are a yes-or-no question


@dataclass(frozen=True)
class GradeDecoder:
    """How outputs become a grade.

    Attributes:
        grades: names, from the lowest to the highest.
        loss: what the network was trained by, which says what its outputs are; see `margins`.
        referable: the grade from which on an image is referable.
        slopes, offsets: one for each cut: the probability is that of margin · slope + offset.
        thresholds: one for each cut, which counts as passed above it.

    Raises:
        UserError: values that contradict each other, are not finite or not in their range.
    """

    grades: tuple[str, ...]
    loss: Loss
    referable: str
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    thresholds: tuple[float, ...]
    kind: Literal["ordinal"] = "ordinal"

    def __post_init__(self) -> None:
        grades, cuts = self.grades, len(self.grades) - 1
        named = len(grades) >= FEWEST and all(grades) and len(set(grades)) == len(grades)
        expect(named, "grades", f"{FEWEST} names that differ, or more", grades)
        expect(self.referable in grades[1:], "referable", f"one of {', '.join(grades[1:])}", self.referable)
        for name in ("slopes", "offsets", "thresholds"):
            values = getattr(self, name)
            sound = len(values) == cuts and all(map(math.isfinite, values))
            expect(sound, name, f"{cuts} finite numbers, one for each cut between {cuts + 1} grades", values)
        expect(min(self.slopes) > 0, "slopes", "numbers above 0", self.slopes)
        expect(all(0 <= one <= 1 for one in self.thresholds), "thresholds", "numbers from 0 to 1", self.thresholds)

    @property
    def referable_number(self) -> int:
        """The number of the lowest referable grade, 1 or more."""
        return self.grades.index(self.referable)


@dataclass(frozen=True)
class GradeAnswer:
    """A grade, and how likely each is.

    Attributes:
        grade: its name; None where there is no answer.
        number: of the grade, from 0; −1 where there is no answer.
        probabilities: of each grade by name, calibrated, together 1; NaN where there is no answer.
        referable_probability: that the grade is referable.
        referable: whether the grade that was decided is.
        column: of the output that speaks for the grade.
    """

    grade: str | None
    number: int
    probabilities: dict[str, float]
    referable_probability: float
    referable: bool
    column: int

    @property
    def decision(self) -> str | None:
        """The name of the grade."""
        return self.grade

    @property
    def _verdict(self) -> str | None:
        return None if self.grade is None else ("yes" if self.referable else "no")

    @property
    def _numbers(self) -> list[float]:
        return [*self.probabilities.values(), self.referable_probability]

    def cells(self) -> list[str]:
        """Return what the printed table shows."""
        return [*(f"{value:.4f}" for value in self._numbers), self.grade or "", self._verdict or ""]

    def values(self) -> list[Cell]:
        """Return what the CSV holds."""
        return [*(_finite(value) for value in self._numbers), self.grade, self._verdict]

    def document(self) -> dict[str, Any]:
        """Return what the JSON holds."""
        known = self.grade is not None
        return {
            "grade": self.grade,
            "number": self.number if known else None,
            "probabilities": self.probabilities if known else {},
            "referable_probability": _finite(self.referable_probability),
            "referable": self.referable if known else None,
        }

    def measurements(self) -> list[Measurement]:
        """Return the grade's number, the probability of each grade, and that of a referable one."""
        return [
            Measurement("grade", "Grade, from 0", "grade", float(self.number), "1"),
            *(
                Measurement("probability", "Probability, calibrated", grade, value, "1")
                for grade, value in self.probabilities.items()
            ),
            Measurement("referable", "Probability, calibrated", "referable", self.referable_probability, "1"),
        ]


def width(loss: Loss, grades: int) -> int:
    """Return how many numbers an image has in the output `grade`."""
    return {"corn": grades - 1, "expected_grade": 1, "crossentropy": grades}[loss]


def margins(outputs: Outputs, loss: Loss, cuts: int) -> np.ndarray:
    """Return what speaks for lying above each cut before calibration, float64 (N, cuts).

    - `corn`, `crossentropy`: the log-odds of a higher grade, falling from cut to cut. Of CORN its probability is the
      product of the conditional ones up to the cut (Shi, Cao & Raschka 2021, section 3.3).
    - `expected_grade`: by how much the number exceeds k + ½.
    """
    found = outputs[GRADE].astype(np.float64)
    if loss == "expected_grade":
        return found - (np.arange(cuts) + 0.5)
    likely = _log_of_conditional(found) if loss == "corn" else found
    return np.stack(
        [_log_sum(likely[:, cut + 1 :]) - _log_sum(likely[:, : cut + 1]) for cut in range(cuts)],
        axis=1,
    )


def cumulative(outputs: Outputs, decoder: GradeDecoder) -> np.ndarray:
    """Return the probability of lying above each cut, float64 (N, K − 1) in 0–1, never rising from cut to cut."""
    found = margins(outputs, decoder.loss, len(decoder.grades) - 1)
    above = sigmoid(found * np.array(decoder.slopes) + np.array(decoder.offsets))
    return np.minimum.accumulate(above, axis=1)  # calibrated one by one, cuts could cross


def of_grades(above: np.ndarray) -> np.ndarray:
    """Return the probability of each grade, (N, K), together 1, of those of lying above each cut, (N, K − 1)."""
    ends = np.ones((len(above), 1)), np.zeros((len(above), 1))
    return -np.diff(np.concatenate([ends[0], above, ends[1]], axis=1))


def decide(above: np.ndarray, thresholds: tuple[float, ...]) -> np.ndarray:
    """Return the number of each image's grade, int (N,): how many cuts' probabilities exceed their thresholds."""
    return (above > np.array(thresholds)).sum(axis=1)


def speaks_for(number: int, loss: Loss) -> int:
    """Return the column of the output that speaks for a grade: its own, or that of the cut below it."""
    return {"corn": max(0, number - 1), "expected_grade": 0, "crossentropy": number}[loss]


def _log_of_conditional(logits: np.ndarray) -> np.ndarray:
    """Return the log of each grade's probability, (N, K), of the logits of passing a cut once it is reached."""
    nothing = np.zeros((len(logits), 1))
    passed, stopped = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    reached = np.concatenate([nothing, np.cumsum(passed, axis=1)], axis=1)
    return reached + np.concatenate([stopped, nothing], axis=1)


def _log_sum(logs: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(logs, axis=1)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _decode(outputs: Outputs, decoder: GradeDecoder) -> list[GradeAnswer]:
    above = cumulative(outputs, decoder)
    decided, first = decide(above, decoder.thresholds).tolist(), decoder.referable_number
    return [
        GradeAnswer(
            decoder.grades[number],
            number,
            dict(zip(decoder.grades, likely, strict=True)),
            referable,
            number >= first,
            speaks_for(number, decoder.loss),
        )
        for number, likely, referable in zip(
            decided, of_grades(above).tolist(), above[:, first - 1].tolist(), strict=True
        )
    ]


def _blank(decoder: GradeDecoder) -> GradeAnswer:
    return GradeAnswer(None, -1, dict.fromkeys(decoder.grades, math.nan), math.nan, False, 0)


def _in_words(decoder: GradeDecoder) -> list[tuple[str, str]]:
    grades = decoder.grades
    return [
        ("Comes out", f"one of {len(grades)} grades in order, {', '.join(grades)}, with the probability of each"),
        ("Decides", "for as many grades above the lowest as there are cuts whose probability exceeds their threshold"),
        ("Refers", f"from the grade {decoder.referable} on"),
    ]


ORDINAL = EdgeTask(
    decoder=GradeDecoder,
    widths=lambda decoder: {GRADE: width(decoder.loss, len(decoder.grades))},
    decode=_decode,
    blank=_blank,
    header=lambda decoder: [
        *(f"P({grade})" for grade in decoder.grades),
        f"P(from {decoder.referable} on)",
        "GRADE",
        "REFERABLE",
    ],
    columns=lambda decoder: [
        *(f"probability_{grade}" for grade in decoder.grades),
        "referable_probability",
        GRADE,
        "referable",
    ],
    context=lambda decoder: {"referable_from": decoder.referable},
    explained=lambda answer: (GRADE, answer.column),
    in_words=_in_words,
)
