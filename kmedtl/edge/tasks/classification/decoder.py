"""From logits to classes: calibrated probabilities, and the operating point. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kmedtl.edge.tasks.classification.calibration import Calibration, probabilities
from kmedtl.edge.tasks.classification.labels import LabelKind, columns, findings_of
from kmedtl.edge.tasks.classification.one_score import LOGITS, one_score
from kmedtl.edge.tasks.task import Cell, EdgeTask, Measurement, Outputs
from kmedtl.errors import expect

NOTHING = "none"  # the decision where no finding is called
MOST = 6  # findings that are listed one by one


@dataclass(frozen=True)
class ClassDecoder:
    """How logits become classes.

    Attributes:
        labels: what is asked of an image.
        classes: names; where a `binary` question has two, the model's single logit speaks for the second.
        calibration: how logits become probabilities.
        thresholds: the operating point: a finding is called from this probability on, one for each; of `multi_class`
            none.
        shares: of `multi_class`: the class is called whose probability is the highest multiple of its share here, as is
            best where each class counts the same (Menon et al., Long-tail Learning via Logit Adjustment, 2021, section
            4.1); none: the most probable.

    Raises:
        UserError: values that contradict each other.
    """

    labels: LabelKind
    classes: tuple[str, ...]
    calibration: Calibration
    thresholds: tuple[float, ...]
    shares: tuple[float, ...] = ()
    kind: Literal["classification"] = "classification"

    def __post_init__(self) -> None:
        classes, findings = self.classes, len(self.findings)
        least, most = {"binary": (1, 2), "multi_class": (2, math.inf), "multi_label": (1, math.inf)}[self.labels]
        fits = least <= len(classes) <= most and all(classes) and len(set(classes)) == len(classes)
        expect(fits, "classes", f"a name of its own for each class of a {self.labels} question", classes)
        expect(self.calibration.kind == self.labels, "calibration.kind", self.labels, self.calibration.kind)
        scales = len(self.calibration.scale)
        expect(scales == findings, "calibration.scale", f"a number for each of {findings} findings", scales)
        wanted = 0 if self.labels == "multi_class" else findings
        # Just above 1 lies the threshold of a finding that is never called.
        sound = all(0 <= threshold <= math.nextafter(1, 2) for threshold in self.thresholds)
        expect(sound and len(self.thresholds) == wanted, "thresholds", f"{wanted} numbers from 0 to 1", self.thresholds)
        wanted = findings if self.labels == "multi_class" and self.shares else 0
        sound = all(0 < share <= 1 for share in self.shares)
        expect(sound and len(self.shares) == wanted, "shares", f"{wanted} fractions above 0", self.shares)

    @property
    def findings(self) -> tuple[str, ...]:
        """What has a logit."""
        return findings_of(self.labels, self.classes)


@dataclass(frozen=True)
class ClassAnswer:
    """Calibrated probabilities (0–1) of the findings, and the class, or the findings, that are called."""

    probabilities: dict[str, float]
    decision: str | None

    def cells(self) -> list[str]:
        """Return what the printed table shows."""
        return [*(f"{value:.4f}" for value in self.probabilities.values()), self.decision or ""]

    def values(self) -> list[Cell]:
        """Return what the CSV holds."""
        return [*self.probabilities.values(), self.decision]

    def document(self) -> dict[str, Any]:
        """Return what the JSON holds."""
        return {"probabilities": self.probabilities, "decision": self.decision}

    def measurements(self) -> list[Measurement]:
        """Return a probability for each finding."""
        return [
            Measurement("probability", "Probability, calibrated", finding, value, "1")
            for finding, value in self.probabilities.items()
        ]


@dataclass(frozen=True)
class Unanswered:
    """An image that cannot be read: the CSV has `width` empty cells."""

    width: int
    decision: None = None

    def values(self) -> list[Cell]:
        """Return empty cells."""
        return [None] * self.width

    def document(self) -> dict[str, Any]:
        """Return fields that say nothing."""
        return {"probabilities": {}, "decision": None}


def decide(found: np.ndarray, thresholds: Sequence[float], shares: Sequence[float] = ()) -> np.ndarray:
    """Return which findings are called, bool (N, F), of probabilities (N, F).

    Args:
        thresholds: a finding is called from its threshold on; none: the most probable is.
        shares: without thresholds, the one with the highest multiple of its share is called; none: the most probable.
    """
    if len(thresholds):
        return found >= np.array(thresholds)
    beside = found / np.array(shares) if len(shares) else found
    return np.arange(found.shape[1]) == beside.argmax(axis=1)[:, None]


def _decode(outputs: Outputs, decoder: ClassDecoder) -> list[ClassAnswer]:
    found = probabilities(outputs[LOGITS], decoder.calibration)
    called = decide(found, decoder.thresholds, decoder.shares)
    return [
        ClassAnswer(dict(zip(decoder.findings, row.tolist(), strict=True)), _named(which, decoder))
        for row, which in zip(found, called, strict=True)
    ]


def _named(called: np.ndarray, decoder: ClassDecoder) -> str:
    if decoder.labels == "binary":
        return decoder.classes[int(called[0])]
    return ", ".join(name for name, is_called in zip(decoder.findings, called, strict=True) if is_called) or NOTHING


def _header(decoder: ClassDecoder) -> list[str]:
    return [*(f"P({finding})" for finding in decoder.findings), f"DECISION ({_rule(decoder)})"]


def _rule(decoder: ClassDecoder) -> str:
    if decoder.shares:
        return "the most probable beside its share"
    if not decoder.thresholds:
        return "the most probable"
    rules = zip(decoder.findings, decoder.thresholds, strict=True)
    return "; ".join(f"{finding} from {threshold:.4f} on" for finding, threshold in rules)


def _explained(answer: ClassAnswer) -> tuple[str, int]:
    return LOGITS, int(np.argmax(list(answer.probabilities.values())))


def _in_words(decoder: ClassDecoder) -> list[tuple[str, str]]:
    names = _listed(decoder.findings)
    probabilities_of = {
        "binary": f"the probability of {names}, 0 to 1",
        "multi_class": f"a probability of each of {len(decoder.classes)} classes, together 1: {names}",
        "multi_label": f"a probability of each of {len(decoder.classes)} findings, 0 to 1: {names}",
    }[decoder.labels]
    method = decoder.calibration.method
    calibrated = "as the network gives them" if method == "none" else f"calibrated ({method})"
    return [("Comes out", f"{probabilities_of}; {calibrated}"), ("Decides", _decides(decoder))]


def _decides(decoder: ClassDecoder) -> str:
    if decoder.shares:
        shares = [f"{name} {share:.3f}" for name, share in zip(decoder.findings, decoder.shares, strict=True)]
        return f"for the class with the highest multiple of its share: {_listed(shares)}"
    if not decoder.thresholds:
        return "for the most probable class"
    if decoder.labels == "binary":
        (finding,), (point,) = decoder.findings, decoder.thresholds
        other = decoder.classes[0] if len(decoder.classes) == 2 else f"no {finding}"
        return f"{finding} from probability {point:.3f} on, else {other}"
    rules = [f"{name} from {point:.3f} on" for name, point in zip(decoder.findings, decoder.thresholds, strict=True)]
    return f"each finding by itself: {_listed(rules)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


CLASSIFICATION = EdgeTask(
    decoder=ClassDecoder,
    widths=lambda decoder: {LOGITS: len(decoder.findings)},
    decode=_decode,
    blank=lambda decoder: Unanswered(len(decoder.findings) + 1),
    header=_header,
    columns=lambda decoder: [*columns("probability", decoder.labels, decoder.findings), "decision"],
    context=lambda decoder: {"thresholds": dict(zip(decoder.findings, decoder.thresholds, strict=False))},
    explained=_explained,
    in_words=_in_words,
    one_score=one_score,
)
