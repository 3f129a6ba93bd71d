"""Classification as a row of `kmedtl.tasks.TASKS`."""

from __future__ import annotations

import numpy as np

from kmedtl.data.manifest import classes_of
from kmedtl.edge.tasks.classification.decoder import CLASSIFICATION as EDGE
from kmedtl.edge.tasks.classification.decoder import ClassDecoder
from kmedtl.tasks.classification import cases, combine, drift, evaluation, examples, question, score
from kmedtl.tasks.classification.examples import labelled
from kmedtl.tasks.classification.question import ClassQuestion
from kmedtl.tasks.classification.table import evaluate_table
from kmedtl.tasks.task import Evaluation, Examples, Network, Picture, ReportParts, Task


def _network() -> Network:
    from kmedtl.tasks.classification.network import NETWORK

    return NETWORK


def _curves(evaluated: Evaluation) -> dict[str, Picture]:
    from kmedtl.tasks.classification.report import curves

    return curves(evaluated)


def _report(result: object) -> ReportParts:
    from kmedtl.tasks.classification.report import report

    return report(result)


def _right(asked: ClassQuestion, known: Examples, decoder: ClassDecoder) -> np.ndarray:
    found = labelled(known, decoder)
    return (found.decisions == (found.targets == 1)).all(axis=1)


CLASSIFICATION = Task(
    edge=EDGE,
    needs_classes=True,
    ask=question.ask,
    targets=question.targets,
    labels=lambda question, manifest, table: classes_of(manifest, table),
    network=_network,
    score=score.score,
    better={"auc": "max"},
    select=score.select,
    fit_decoder=evaluation.fit_decoder,
    evaluate=evaluation.evaluate,
    figures=evaluation.figures,
    pool=evaluation.pool,
    brief=("auc", "macro_auc", "micro_auc", "accuracy", "sensitivity", "specificity"),
    chance=0.5,
    document=evaluation.document,
    lines=evaluation.lines,
    table=examples.table,
    evaluate_table=evaluate_table,
    read=examples.read,
    question=lambda decoder: ClassQuestion(decoder.labels, decoder.classes),
    drift=drift.drift,
    drift_titles=drift.TITLES,
    gain=drift.gain,
    plain=examples.plain_decoder,
    beside="balanced_accuracy",
    right=_right,
    cases=cases.cases,
    curves=_curves,
    report=_report,
    calibration=evaluation.calibration,
    vote=combine.VOTE,
)
