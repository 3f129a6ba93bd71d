"""What a test set says, every figure with its 95 % interval by patient; one shape for every kind of question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np

from kmedtl.data.manifest import UNKNOWN
from kmedtl.edge.tasks.classification.labels import LabelKind
from kmedtl.statistics.agreement import STEP, kappa, of_counts
from kmedtl.statistics.confidence import (
    Estimate,
    auc_influence,
    codes_of,
    delong_auc,
    leveraged,
    mean_patients,
    of_mean,
    on_logit_scale,
    rarer_class,
    spread_by_patient,
    undefined,
    wilson,
)
from kmedtl.statistics.ranking import auc, average_precision, placements
from kmedtl.system.progress import progress
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions

JACKKNIFE = "jackknife by patient"
Counts = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Metrics:
    """Figures of one split at one operating point.

    Attributes:
        count, patients: images and patients judged.
        classes: names, in the order of `confusion`.
        confusion: images by true class (row) and decided class (column); `multi_label`: empty.
        estimates: of the whole: name → figure with interval, in the order of a report.
        by_finding: of each class against the rest, or of each finding; `binary`: empty, `estimates` are those.
        confusions: of each finding likewise: ((tn, fp), (fn, tp)).
    """

    kind: LabelKind
    count: int
    patients: int
    classes: tuple[str, ...]
    confusion: Counts
    estimates: dict[str, Estimate]
    by_finding: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    confusions: dict[str, Counts] = field(default_factory=dict)

    def to_dict(self) -> dict:
        """Return the figures as JSON holds them."""
        figures = {
            "images": self.count,
            "patients": self.patients,
            **{name: asdict(estimate) for name, estimate in self.estimates.items()},
        }
        if self.kind == "binary":
            return figures | {"confusion": _named(self.confusion)}
        findings = {
            finding: {name: asdict(estimate) for name, estimate in estimates.items()}
            | {"confusion": _named(self.confusions[finding])}
            for finding, estimates in self.by_finding.items()
        }
        whole = {"confusion": {"classes": self.classes, "counts": self.confusion}} if self.confusion else {}
        return figures | whole | {"by_finding": findings}


def measure(answers: LabelledPredictions, ordered: bool = False) -> Metrics:
    """Judge answers of any kind.

    Intervals are two-sided, 95 %, by patient: DeLong for the AUC, Wilson for proportions, Student's on the logit scale
    with the jackknife's variance for the rest. What a class without images leaves open is
    NaN with the reason.

    - `binary`: `auc`, `average_precision`, `accuracy`, `balanced_accuracy`, `sensitivity`, `specificity`, `ppv`, `npv`,
      `f1`, and `brier`, the mean squared distance of the probability from the truth (0–1; Brier, 1950).
    - `multi_class`: `macro_auc` and `weighted_auc` (each class against the rest; plain mean, mean by images),
      `accuracy`, `balanced_accuracy`, `macro_f1`, `kappa`, `brier` (summed over classes, 0–2).
    - `multi_label`: `macro_auc` (mean over the findings of which both answers are there; `method` says how many) and
      `micro_auc` (all answers as one).

    Args:
        ordered: the classes are grades, in order: `linear_kappa` and `quadratic_kappa` weigh how far a decision is off.
    """
    patients = codes_of(answers.patients)
    count, people = len(patients), int(patients.max()) + 1
    if answers.kind == "binary":
        confusion, estimates = _one_finding(answers, 0, patients)
        return Metrics("binary", count, people, answers.classes, confusion, estimates)
    findings = progress(answers.findings, "Findings", unit="finding", delay=2)
    each = {name: _one_finding(answers, number, patients) for number, name in enumerate(findings)}
    confusions = {name: confusion for name, (confusion, _) in each.items()}
    by_finding = {name: figures for name, (_, figures) in each.items()}
    if answers.kind == "multi_label":
        estimates, confusion = _several(answers, patients), ()
    else:
        confusion = _confusion(answers.targets.argmax(axis=1), answers.decisions.argmax(axis=1), len(answers.classes))
        estimates = _one_of_several(answers, patients, ordered)
    return Metrics(answers.kind, count, people, answers.classes, confusion, estimates, by_finding, confusions)


def mean_auc(targets: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean AUC over the findings; see `mean_over_findings`."""
    return mean_over_findings(auc, targets, logits)


def mean_over_findings(
    figure: Callable[[np.ndarray, np.ndarray], float], targets: np.ndarray, logits: np.ndarray
) -> float:
    """Return the mean of a figure over the findings of which both answers are known; NaN where there is none.

    Args:
        figure: of the labels (n,) and logits (n,) of one finding.
        targets: (N, findings): 1, 0 or `UNKNOWN`, which is left out.
        logits: (N, findings).
    """
    columns = [
        (target[target != UNKNOWN], logit[target != UNKNOWN]) for target, logit in zip(targets.T, logits.T, strict=True)
    ]
    known = [figure(target, logit) for target, logit in columns if len(set(target)) == 2]
    return float(np.mean(known)) if known else float("nan")


def _one_finding(answers: LabelledPredictions, number: int, patients: np.ndarray) -> tuple[Counts, dict[str, Estimate]]:
    """Return confusion and figures of a finding, over the images of which it is known."""
    known = answers.targets[:, number] >= 0
    labels, decisions = answers.targets[known, number].astype(int), answers.decisions[known, number].astype(int)
    scores, likely, patients = answers.scores[known, number], answers.probabilities[known, number], patients[known]
    right = labels == decisions
    finding, binary = answers.findings[number], answers.kind == "binary"
    names = [f"of class {name}" for name in answers.classes] if binary else [f"without {finding}", f"with {finding}"]
    absent = [name for at, name in enumerate(names) if not (labels == at).any()]
    lacking = undefined(f"no image {' or '.join(absent)}")

    def share(among: np.ndarray) -> Estimate:
        return wilson(right[among], patients[among])

    def counted(figure: Callable[[np.ndarray], np.ndarray], among: Sequence[int] = (0, 1)) -> Estimate:
        return of_counts(figure, labels, decisions, 2, patients, among=among)

    estimates = {
        "auc": lacking if absent else delong_auc(labels, scores, patients),
        "average_precision": lacking if absent else _average_precision(labels, scores, patients),
        "accuracy": share(labels >= 0),
        "balanced_accuracy": lacking if absent else counted(balanced_accuracy),
        "sensitivity": share(labels == 1) if (labels == 1).any() else lacking,
        "specificity": share(labels == 0) if (labels == 0).any() else lacking,
        "ppv": share(decisions == 1) if decisions.any() else undefined("nothing called positive"),
        "npv": share(decisions == 0) if not decisions.all() else undefined("nothing called negative"),
        "f1": counted(partial(macro_f1, only=1), among=(1,)) if (labels == 1).any() else lacking,
        "brier": of_mean((likely - labels) ** 2, patients),
    }
    return _confusion(labels, decisions, 2), estimates


def _one_of_several(answers: LabelledPredictions, patients: np.ndarray, ordered: bool) -> dict[str, Estimate]:
    truth, called, size = answers.targets.argmax(axis=1), answers.decisions.argmax(axis=1), len(answers.classes)
    shares = np.bincount(truth, minlength=size) / len(truth)
    kappas = {"kappa": 0, "linear_kappa": 1, "quadratic_kappa": 2} if ordered else {"kappa": 0}
    estimates = {
        "macro_auc": _mean_auc(answers, patients, np.full(size, 1 / size)),
        "weighted_auc": _mean_auc(answers, patients, shares),
        "accuracy": wilson(truth == called, patients),
        "balanced_accuracy": of_counts(balanced_accuracy, truth, called, size, patients),
        "macro_f1": of_counts(macro_f1, truth, called, size, patients),
        **{
            name: of_counts(partial(kappa, power=power), truth, called, size, patients, least=-1.0)
            for name, power in kappas.items()
        },
        "brier": of_mean(((answers.probabilities - answers.targets) ** 2).sum(axis=1), patients, most=2.0),
    }
    absent = [name for name, share in zip(answers.classes, shares, strict=True) if share == 0]
    lacking = ("macro_auc", "weighted_auc", "balanced_accuracy", "macro_f1") if absent else ()
    return estimates | {name: undefined(f"no image of class {_listed(absent)}") for name in lacking}


def _listed(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _several(answers: LabelledPredictions, patients: np.ndarray) -> dict[str, Estimate]:
    both = np.array([set(column) >= {0, 1} for column in answers.targets.T])
    if not both.any():
        return dict.fromkeys(("macro_auc", "micro_auc"), undefined("no finding of which both answers are there"))
    known = answers.targets >= 0
    owners = np.broadcast_to(patients[:, None], known.shape)
    return {
        "macro_auc": _mean_auc(answers, patients, both / both.sum()),
        "micro_auc": delong_auc(answers.targets[known], answers.scores[known], owners[known]),
    }


def _mean_auc(answers: LabelledPredictions, patients: np.ndarray, weights: np.ndarray) -> Estimate:
    """Return the mean AUC over findings by `weights` (F,), with what each image adds to any of them."""
    value, added, rarest = 0.0, np.zeros(len(patients)), []
    for number in np.flatnonzero(weights):
        known = answers.targets[:, number] >= 0
        labels = answers.targets[known, number]
        if len(set(labels)) < 2:
            return undefined("one class only")
        placed = placements(labels, answers.scores[known, number])
        value += weights[number] * float(placed[labels == 1].mean())
        added[known] += weights[number] * leveraged(auc_influence(placed, labels), patients[known], labels)
        rarest.append(rarer_class(labels, patients[known]))
    method = f"DeLong by patient, over {len(rarest)} of {len(weights)}"
    return on_logit_scale(value, spread_by_patient(added, patients), mean_patients(rarest), method)


def _average_precision(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> Estimate:
    value, influence = average_precision(labels, scores)
    spread = spread_by_patient(leveraged(influence, patients, labels), patients)
    return on_logit_scale(value, spread, rarer_class(labels, patients), JACKKNIFE)


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the mean sensitivity over classes of confusion matrices (..., K, K); NaN where a class is absent."""
    return _ratio(_hits(counts), counts.sum(axis=-1)).mean(axis=-1)


def macro_f1(counts: np.ndarray, only: int | None = None) -> np.ndarray:
    """Return the mean F1 over classes, or that of the class `only`, of confusion matrices (..., K, K)."""
    each = _ratio(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2))
    return each.mean(axis=-1) if only is None else each[..., only]


def _hits(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.abs(whole) > STEP)


def _confusion(truth: np.ndarray, called: np.ndarray, size: int) -> Counts:
    counts = np.bincount(size * truth + called, minlength=size**2).reshape(size, size)
    return tuple(map(tuple, counts.tolist()))


def _named(confusion: Sequence[Sequence[int]]) -> dict[str, int]:
    (tn, fp), (fn, tp) = confusion
    return {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
