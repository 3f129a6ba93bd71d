"""Predictions judged: what validation settles, and what the test then says, all in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.classification.calibration import Calibration, probabilities, uncalibrated
from kmedtl.evaluate.confidence import Estimate
from kmedtl.evaluate.reliability import calibration_figures, reliability
from kmedtl.recipe import Evaluation
from kmedtl.tasks.classification.calibration import Candidate, fit
from kmedtl.tasks.classification.conformal import Coverage, coverage_and_size, fit_conformal, sets
from kmedtl.tasks.classification.decision_curve import decision_curve
from kmedtl.tasks.classification.labelled_predictions import LabelledPredictions
from kmedtl.tasks.classification.metrics import Metrics, measure
from kmedtl.tasks.classification.operating_point import OperatingPoint, at_prevalence, choose_each
from kmedtl.tasks.classification.selective import SelectiveCurve, decision_confidence, selective_curve
from kmedtl.tasks.classification.subgroups import Group, subgroups


@dataclass(frozen=True)
class Settled:
    """What was chosen on validation.

    Attributes:
        calibration, candidates: the one that was chosen, and what it was chosen from.
        points: the operating point of each finding; of `multi_class` none.
        conformal: as of `kmedtl.tasks.classification.conformal.fit_conformal`; of `multi_label` none.
    """

    calibration: Calibration
    candidates: tuple[Candidate, ...]
    points: tuple[OperatingPoint, ...]
    conformal: tuple[float, ...]

    @property
    def thresholds(self) -> tuple[float, ...]:
        return tuple(point.threshold for point in self.points)


@dataclass(frozen=True)
class Judgement:
    """What the test says.

    Attributes:
        metrics: at the operating point.
        before, after: figures of calibration, of the logits as they are and of the calibrated ones.
        reliability: tables of its diagram, `before` and `after`.
        groups: figures by the values of columns.
        selective: error when the least confident answers are handed to a person; of `multi_label` None.
        coverage: of prediction sets; None without them.
        net_benefit: of each finding of which both answers are there: its decision curve.
        at_prevalence: of each finding, where the recipe names a prevalence: (PPV, NPV).
    """

    metrics: Metrics
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    reliability: dict[str, pd.DataFrame]
    groups: tuple[Group, ...]
    selective: SelectiveCurve | None
    coverage: Coverage | None
    net_benefit: dict[str, pd.DataFrame]
    at_prevalence: dict[str, tuple[Estimate, Estimate]]


def settle(validation: LabelledPredictions, evaluation: Evaluation, seed: int) -> Settled:
    """Choose calibration, operating points and the size of prediction sets on validation."""
    kind, targets, patients = validation.kind, validation.targets, validation.patients
    fitted = fit(validation.logits, targets, kind, evaluation.calibration, patients, seed)
    found = probabilities(validation.logits, fitted.calibration)
    costs = evaluation.cost_fn, evaluation.cost_fp, evaluation.prevalence
    points = () if kind == "multi_class" else choose_each(evaluation.operating_point, *costs, targets, found)
    conformal = () if kind == "multi_label" else fit_conformal(found, targets, patients, evaluation.coverage)
    return Settled(fitted.calibration, fitted.candidates, points, tuple(map(float, conformal)))


def judge(test: LabelledPredictions, settled: Settled, evaluation: Evaluation, seed: int) -> Judgement:
    """Judge the test, whose probabilities and decisions follow from `settled`."""
    metrics = measure(test, evaluation.ordered)
    raw = probabilities(test.logits, uncalibrated(test.kind, len(test.findings)))
    common = test.targets, test.patients, test.kind
    before, after = (
        calibration_figures(found, *common, evaluation.resamples, seed) for found in (raw, test.probabilities)
    )
    one_answer = test.kind != "multi_label"
    return Judgement(
        metrics,
        before,
        after,
        {"before": reliability(raw, *common), "after": reliability(test.probabilities, *common)},
        subgroups(test, evaluation.groups),
        _selective(test) if one_answer else None,
        coverage_and_size(sets(test.probabilities, np.array(settled.conformal)), test.targets, test.patients)
        if one_answer
        else None,
        {
            finding: decision_curve(labels, column, test.patients, evaluation.prevalence)
            for finding, labels, column in zip(test.findings, test.targets.T, test.probabilities.T, strict=True)
            if {0, 1} <= set(labels.tolist())
        },
        _at_prevalence(metrics, evaluation.prevalence),
    )


def to_dict(settled: Settled, judgement: Judgement) -> dict[str, Any]:
    """Return everything as JSON holds it."""
    points = settled.points
    return {
        "kind": judgement.metrics.kind,
        "operating_point": {
            "threshold": settled.thresholds[0] if len(points) == 1 else settled.thresholds or None,
            "validation": [asdict(point) for point in points],
        },
        "calibration": {
            **asdict(settled.calibration),
            "candidates": [asdict(candidate) for candidate in settled.candidates],
            "before": _figures(judgement.before),
            "after": _figures(judgement.after),
            "reliability": {name: table.to_dict("records") for name, table in judgement.reliability.items()},
        },
        "test": judgement.metrics.to_dict(),
        "subgroups": [asdict(group) for group in judgement.groups],
        "selective": _selective_document(judgement.selective),
        "prediction_sets": {"thresholds": settled.conformal, **asdict(judgement.coverage)}
        if judgement.coverage
        else None,
        "net_benefit": {finding: table.to_dict("records") for finding, table in judgement.net_benefit.items()},
        "at_prevalence": {
            finding: {"ppv": asdict(ppv), "npv": asdict(npv)} for finding, (ppv, npv) in judgement.at_prevalence.items()
        },
    }


def _figures(estimates: dict[str, Estimate]) -> dict[str, Any]:
    return {name: asdict(estimate) for name, estimate in estimates.items()}


def _selective_document(curve: SelectiveCurve | None) -> dict[str, Any] | None:
    if curve is None:
        return None
    return {"aurc": curve.aurc, "excess_aurc": curve.excess_aurc, "curve": curve.table.to_dict("records")}


def _selective(test: LabelledPredictions) -> SelectiveCurve:
    wrong = (test.decisions != test.targets).any(axis=1)
    if test.kind == "binary":
        confidence = decision_confidence(test.probabilities, test.decisions)[:, 0]
    else:
        confidence = test.probabilities.max(axis=1)
    return selective_curve(confidence, wrong, test.patients)


def _at_prevalence(metrics: Metrics, prevalence: float | None) -> dict[str, tuple[Estimate, Estimate]]:
    if prevalence is None:
        return {}
    by_finding = metrics.by_finding or {metrics.classes[-1]: metrics.estimates}
    return {
        finding: at_prevalence(estimates["sensitivity"], estimates["specificity"], prevalence)
        for finding, estimates in by_finding.items()
    }
