"""What validation chooses for a classification, and what the test then says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.classification.calibration import log_odds, probabilities, uncalibrated
from kmedtl.edge.tasks.classification.decoder import LOGITS, ClassDecoder
from kmedtl.edge.tasks.classification.labels import columns
from kmedtl.recipe import Evaluation
from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks.classification import summary
from kmedtl.tasks.classification.calibration import Candidate, fit
from kmedtl.tasks.classification.conformal import Coverage, coverage_and_size, fit_conformal, sets
from kmedtl.tasks.classification.decision_curve import decision_curve
from kmedtl.tasks.classification.examples import labelled, plain_decoder
from kmedtl.tasks.classification.examples import table as predictions_table
from kmedtl.tasks.classification.labelled_predictions import SMALLEST, LabelledPredictions
from kmedtl.tasks.classification.metrics import Metrics, measure
from kmedtl.tasks.classification.operating_point import OperatingPoint, at_prevalence, choose_each, class_shares
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.classification.reliability import calibration_figures, reliability
from kmedtl.tasks.classification.selective import SelectiveCurve, decision_confidence, selective_curve
from kmedtl.tasks.classification.subgroups import Group, subgroups
from kmedtl.tasks.task import Evaluation as TestEvaluation
from kmedtl.tasks.task import Examples, Fit

ARRAYS = ("ids", "patients", "targets", "probabilities", "decisions")  # of labelled predictions, a row an image


@dataclass(frozen=True)
class ClassFit:
    """How validation chose a decoder: the details of its `Fit`.

    Attributes:
        candidates: the calibrations that one was chosen from.
        points: the operating point of each finding; of `multi_class` none.
        conformal: as of `kmedtl.tasks.classification.conformal.fit_conformal`; of `multi_label` none.
    """

    candidates: tuple[Candidate, ...]
    points: tuple[OperatingPoint, ...]
    conformal: tuple[float, ...]


@dataclass(frozen=True)
class ClassDetails:
    """What the test says beside the figures of its `Evaluation`.

    Attributes:
        test: the predictions that were judged.
        metrics: at the operating point.
        before, after: figures of calibration, of the logits as they are and of the calibrated ones.
        reliability: tables of its diagram, `before` and `after`.
        groups: figures by the values of columns.
        selective: error when the least confident answers are handed to a person; of `multi_label` None.
        coverage: of prediction sets; None without them.
        net_benefit: of each finding of which both answers are there: its decision curve.
        at_prevalence: of each finding, where the recipe names a prevalence: (PPV, NPV).
    """

    test: LabelledPredictions
    metrics: Metrics
    before: dict[str, Estimate] = field(default_factory=dict)
    after: dict[str, Estimate] = field(default_factory=dict)
    reliability: dict[str, pd.DataFrame] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    selective: SelectiveCurve | None = None
    coverage: Coverage | None = None
    net_benefit: dict[str, pd.DataFrame] = field(default_factory=dict)
    at_prevalence: dict[str, tuple[Estimate, Estimate]] = field(default_factory=dict)


def fit_decoder(
    question: ClassQuestion, settings: Evaluation, validation: Examples, seed: int, decoder: ClassDecoder | None = None
) -> Fit:
    """Choose calibration, operating points and the size of prediction sets on validation.

    Args:
        decoder: where there is one, the calibration is fitted by its method, and its thresholds stay where they are
            as good.
    """
    logits, targets = np.asarray(validation.outputs[LOGITS], np.float64), validation.targets[LOGITS].astype(np.int8)
    labels, patients = question.labels, validation.patients
    method = decoder.calibration.method if decoder else settings.calibration
    fitted = fit(logits, targets, labels, method, patients, seed)
    found = probabilities(logits, fitted.calibration)
    costs = settings.cost_fn, settings.cost_fp, settings.prevalence
    before = decoder.thresholds if decoder else ()
    points = () if labels == "multi_class" else choose_each(settings.operating_point, *costs, targets, found, before)
    conformal = () if labels == "multi_label" else fit_conformal(found, targets, patients, settings.coverage)
    thresholds = tuple(point.threshold for point in points)
    shares = class_shares(settings.operating_point, targets) if labels == "multi_class" else ()
    return Fit(
        ClassDecoder(labels, question.classes, fitted.calibration, thresholds, shares),
        ClassFit(fitted.candidates, tuple(points), tuple(map(float, conformal))),
    )


def evaluate(question: ClassQuestion, settings: Evaluation, test: Examples, fit: Fit, seed: int) -> TestEvaluation:
    """Judge the test, whose probabilities and decisions follow from the decoder."""
    found = labelled(test, fit.decoder)
    metrics = measure(found, settings.ordered)
    return _as_evaluation(_details(found, metrics, fit, settings, seed))


def figures(question: ClassQuestion, settings: Evaluation, examples: Examples, decoder: ClassDecoder) -> TestEvaluation:
    """Return the figures at the decoder's operating point, without what takes long."""
    found = labelled(examples, decoder)
    return _as_evaluation(ClassDetails(found, measure(found, settings.ordered)))


def calibration(settings: Evaluation, examples: Examples, decoder: ClassDecoder, seed: int) -> dict[str, Estimate]:
    """Return how far the decoder's probabilities are from what they claim; see `reliability.calibration_figures`."""
    found = labelled(examples, decoder)
    return calibration_figures(found.probabilities, found.targets, found.patients, found.kind, settings.resamples, seed)


def pool(
    question: ClassQuestion, settings: Evaluation, folds: Sequence[tuple[Examples, ClassDecoder]]
) -> tuple[TestEvaluation, pd.DataFrame]:
    """Judge the tests of all folds together; each decision was taken at its own fold's operating point.

    Logits are those of the calibrated probabilities, so that folds can be compared; the table holds each fold's
    thresholds or shares as well.
    """
    each = [labelled(*fold) for fold in folds]
    found = np.concatenate([one.probabilities for one in each])
    arrays: dict[str, Any] = {name: np.concatenate([getattr(one, name) for one in each]) for name in ARRAYS}
    together = replace(
        each[0],
        logits=log_odds(found, question.labels, SMALLEST),
        groups=pd.concat([one.groups for one in each], ignore_index=True),
        **arrays,
    )
    known = Examples(
        together.ids, together.patients, {LOGITS: together.targets}, {LOGITS: together.logits}, together.groups
    )
    table = predictions_table(question, known, plain_decoder(question))
    table[columns("probability", question.labels, question.findings)] = found
    for name in ("thresholds", "shares"):
        of_images = [np.tile(getattr(decoder, name), (len(known.ids), 1)) for known, decoder in folds]
        if of_images[0].size:
            table[columns(name.removesuffix("s"), question.labels, question.findings)] = np.concatenate(of_images)
    return _as_evaluation(ClassDetails(together, measure(together, settings.ordered))), table


def _as_evaluation(details: ClassDetails) -> TestEvaluation:
    """Return metrics in the shape that every task's evaluation has; the area under the ROC curve is the headline."""
    metrics = details.metrics
    by = metrics.by_finding or {metrics.classes[-1]: metrics.estimates}
    headline = next(iter(metrics.estimates))
    tables = {**details.reliability, **details.net_benefit}
    return TestEvaluation(headline, metrics.estimates, by, tables, metrics.count, metrics.patients, details)


def _details(test: LabelledPredictions, metrics: Metrics, fit: Fit, settings: Evaluation, seed: int) -> ClassDetails:
    raw = probabilities(test.logits, uncalibrated(test.kind, len(test.findings)))
    common = test.targets, test.patients, test.kind
    before, after = (
        calibration_figures(found, *common, settings.resamples, seed) for found in (raw, test.probabilities)
    )
    one_answer = test.kind != "multi_label"
    return ClassDetails(
        test,
        metrics,
        before,
        after,
        {"before": reliability(raw, *common), "after": reliability(test.probabilities, *common)},
        subgroups(test, settings.groups),
        _selective(test) if one_answer else None,
        coverage_and_size(sets(test.probabilities, np.array(fit.details.conformal)), test.targets, test.patients)
        if one_answer
        else None,
        {
            finding: decision_curve(labels, column, test.patients, settings.prevalence)
            for finding, labels, column in zip(test.findings, test.targets.T, test.probabilities.T, strict=True)
            if {0, 1} <= set(labels.tolist())
        },
        _at_prevalence(metrics, settings.prevalence),
    )


def document(fit: Fit, evaluation: TestEvaluation) -> dict[str, Any]:
    """Return everything as metrics.json holds it."""
    decoder, chosen, details = fit.decoder, fit.details, evaluation.details
    return {
        "labels": decoder.labels,
        "classes": list(decoder.classes),
        "operating_point": {
            "threshold": decoder.thresholds[0] if len(chosen.points) == 1 else decoder.thresholds or None,
            "shares": decoder.shares or None,
            "validation": [asdict(point) for point in chosen.points],
        },
        "calibration": {
            **asdict(decoder.calibration),
            "candidates": [asdict(candidate) for candidate in chosen.candidates],
            "before": _figures(details.before),
            "after": _figures(details.after),
            "reliability": {name: table.to_dict("records") for name, table in details.reliability.items()},
        },
        "test": details.metrics.to_dict(),
        "subgroups": [asdict(group) for group in details.groups],
        "selective": _selective_document(details.selective),
        "prediction_sets": {"thresholds": chosen.conformal, **asdict(details.coverage)} if details.coverage else None,
        "net_benefit": {finding: table.to_dict("records") for finding, table in details.net_benefit.items()},
        "at_prevalence": {
            finding: {"ppv": asdict(ppv), "npv": asdict(npv)} for finding, (ppv, npv) in details.at_prevalence.items()
        },
    }


def lines(settings: Evaluation, fit: Fit, evaluation: TestEvaluation) -> list[str]:
    """Return the lines that a person reads in the terminal: figures, operating points, calibration."""
    details, chosen, decoder = evaluation.details, fit.details, fit.decoder
    how = "chosen" if settings.calibration == "auto" else "fitted"
    before, after = details.before["ece"].value, details.after["ece"]
    return [
        *summary.lines(details.metrics),
        *(["  Operating point: the class most probable beside its share of validation"] if decoder.shares else []),
        *(
            f"  Operating point: {finding} from probability {point.threshold:.3f} on ({point.rule}), chosen on "
            "validation"
            for finding, point in zip(decoder.findings, chosen.points, strict=False)
        ),
        f"  Calibration: {decoder.calibration.method}, {how} on validation; ECE {before:.3f} before, {after} after",
        *summary.group_lines(details.groups),
    ]


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
        confidence = test.probabilities[test.decisions]  # of the class that is called
    return selective_curve(confidence, wrong, test.patients)


def _at_prevalence(metrics: Metrics, prevalence: float | None) -> dict[str, tuple[Estimate, Estimate]]:
    if prevalence is None:
        return {}
    by_finding = metrics.by_finding or {metrics.classes[-1]: metrics.estimates}
    return {
        finding: at_prevalence(estimates["sensitivity"], estimates["specificity"], prevalence)
        for finding, estimates in by_finding.items()
    }
