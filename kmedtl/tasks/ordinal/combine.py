"""How the grades of several models become one: the mean of their probabilities of lying above each cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kmedtl.edge.tasks.ordinal import GRADE, GradeDecoder, Loss, cumulative, of_grades
from kmedtl.edge.tasks.task import Outputs
from kmedtl.tasks.ordinal.question import GradeQuestion
from kmedtl.tasks.task import Examples, Vote

CERTAIN = 1e-12  # no nearer to 0 comes the probability of a grade, so that its log is finite


def combine(
    question: GradeQuestion,
    method: str,
    weights: Sequence[float],
    outputs: Sequence[Outputs],
    decoders: Sequence[GradeDecoder],
) -> dict[str, np.ndarray]:
    """Return outputs, float32 (N, …), of the weighted mean of the members' probabilities."""
    each = [cumulative(one, decoder) for one, decoder in zip(outputs, decoders, strict=True)]
    mean = np.tensordot(np.asarray(weights) / sum(weights), np.stack(each), 1)
    return {GRADE: outputs_of(mean, question.loss).astype(np.float32)}


def outputs_of(above: np.ndarray, loss: Loss) -> np.ndarray:
    """Return the outputs that the plain decoder makes these probabilities of, float64 (N, …).

    One number cannot hold the probabilities of all cuts: of `expected_grade` it is their sum, the grade to be expected.

    Args:
        above: probabilities of lying above each cut, (N, K − 1).
    """
    if loss == "expected_grade":
        return above.sum(axis=1, keepdims=True)
    likely = np.maximum(of_grades(above), CERTAIN)
    if loss == "crossentropy":
        return np.log(likely)
    higher = np.cumsum(likely[:, ::-1], axis=1)[:, ::-1][:, 1:]  # than each grade but the last
    return np.log(higher) - np.log(likely[:, :-1])


def fit(
    question: GradeQuestion,
    method: str,
    members: Sequence[Examples],
    decoders: Sequence[GradeDecoder],
    validation: np.ndarray,
    seed: int,
) -> tuple[Outputs, tuple[float, ...]]:
    """Return the outputs together, and equal weights: nothing is chosen."""
    weights = (1 / len(members),) * len(members)
    return combine(question, method, weights, [member.outputs for member in members], decoders), weights


VOTE = Vote({"mean": "the mean of the members' probabilities of each grade"}, fit, combine)
