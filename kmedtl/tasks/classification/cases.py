"""Which images a reader should see: the most confident right and wrong answers, and the most uncertain ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kmedtl.edge.tasks.classification.decoder import LOGITS, ClassDecoder, decide
from kmedtl.files.digits import in_digits
from kmedtl.tasks.classification.examples import labelled
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.task import Case, Examples

Why = Literal["most confident, right", "most confident, wrong", "most uncertain"]


@dataclass(frozen=True)
class Choice:
    """An image to be shown: its row, the finding to be explained by its number, and why it was chosen."""

    row: int
    finding: int
    why: Why


def cases(question: ClassQuestion, examples: Examples, decoder: ClassDecoder, count: int) -> list[Case]:
    """Return up to `count` cases of each kind, each with truth, probability and decision; see `choose_cases`."""
    found = labelled(examples, decoder)
    weighed = found.probabilities / np.array(decoder.shares or 1.0)
    likely = weighed / weighed.sum(axis=1, keepdims=True) if decoder.shares else weighed
    chosen = choose_cases(found.targets, likely, decoder.thresholds, count)
    return [Case(one.row, LOGITS, one.finding, one.why, _caption(one, found)) for one in chosen]


def _caption(chosen: Choice, found: LabelledPredictions) -> str:
    place, name = (chosen.row, chosen.finding), found.findings[chosen.finding]
    truth = name if found.targets[place] == 1 else f"not {name}"
    call = "called" if found.decisions[place] else "not called"
    return f"Truth: {truth}. {name} {call}, probability {in_digits(found.probabilities[place])}"


def choose_cases(
    targets: np.ndarray, probabilities: np.ndarray, thresholds: Sequence[float], count: int
) -> list[Choice]:
    """Return up to `count` cases of each kind, the most telling first; no image is in two kinds.

    An answer is the surer the further its probability lies from the threshold, as a share of the way to 0 or 1. Of
    several classes one is called, and it is the surer the further it is ahead of the next. Equal ones come in the order
    of their rows.

    Args:
        targets: (N, F): 1, 0 or −1, unknown, which is left out.
        probabilities: (N, F) in 0–1.
        thresholds: one for each finding; none: the most probable class is called.
    """
    called = decide(probabilities, thresholds)
    if len(thresholds):
        surety, asked = _from_threshold(probabilities, np.asarray(thresholds)), targets >= 0
    else:
        surety, asked = _ahead(probabilities), called & (targets >= 0)
    right = called == (targets == 1)
    shown: set[int] = set()
    return [
        *_first("most confident, right", asked & right, -surety, count, shown),
        *_first("most confident, wrong", asked & ~right, -surety, count, shown),
        *_first("most uncertain", asked, surety, count, shown),
    ]


def _first(why: Why, candidates: np.ndarray, order: np.ndarray, count: int, shown: set[int]) -> list[Choice]:
    """Return the first candidates (N, F) by `order` whose images are not shown yet, and note them as shown."""
    rows, findings = np.nonzero(candidates)
    cases: list[Choice] = []
    for place in np.argsort(order[rows, findings], kind="stable"):
        if len(cases) < count and rows[place] not in shown:
            shown.add(int(rows[place]))
            cases.append(Choice(int(rows[place]), int(findings[place]), why))
    return cases


def _from_threshold(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return (N, F), 0 at the threshold and 1 at a probability of 0 or 1."""
    below = (thresholds - probabilities) / np.maximum(thresholds, 1e-12)
    above = (probabilities - thresholds) / np.maximum(1 - thresholds, 1e-12)
    return np.where(probabilities >= thresholds, above, below)


def _ahead(probabilities: np.ndarray) -> np.ndarray:
    """Return (N, F): by how much the most probable class is ahead of the next, in every column."""
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    return np.broadcast_to((first - second)[:, None], probabilities.shape)
