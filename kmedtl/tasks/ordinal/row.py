"""Ordinal grading, one of several grades in order an image, as a row of `kmedtl.tasks.TASKS`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data.manifest import classes_of
from kmedtl.edge.tasks.ordinal import GRADE, GradeDecoder
from kmedtl.edge.tasks.ordinal import ORDINAL as EDGE
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.recipe import Evaluation as Settings
from kmedtl.recipe import Training
from kmedtl.tasks.ordinal import drift, question, table
from kmedtl.tasks.ordinal.cases import cases
from kmedtl.tasks.ordinal.choose import fit_decoder
from kmedtl.tasks.ordinal.combine import VOTE
from kmedtl.tasks.ordinal.figures import by_group, decisions, evaluation_of, graded, kappa_of, together
from kmedtl.tasks.ordinal.question import GradeQuestion, plain
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.task import Evaluation, Examples, Fit, Network, Picture, ReportParts, Targets, Task


def score(asked: GradeQuestion, outputs: Outputs, known: Targets) -> dict[str, float]:
    """Return `kappa`, quadratic weighted, and `mae` in grades, each cut being passed above a probability of ½."""
    truth, decided = known[GRADE][:, 0].astype(int), decisions(outputs, plain(asked))
    return {"kappa": kappa_of(truth, decided, len(asked.grades)), "mae": float(np.abs(truth - decided).mean())}


def select(asked: GradeQuestion, training: Training, outputs: Outputs, known: Targets) -> float:
    """Return the quadratic weighted kappa, which alone can choose the epoch.

    Raises:
        UserError: another choice.
    """
    if training.select != "headline":
        expected = "expected headline or worst_shift beside grades"
        raise UserError(f"training.select: {expected}. Received: {training.select}.")
    return score(asked, outputs, known)["kappa"]


def judge(asked: GradeQuestion, settings: Settings, examples: Examples, decoder: GradeDecoder) -> Evaluation:
    """Judge answers by a decoder; by the values of every group's column as well."""
    found = graded(examples, decoder)
    return replace(evaluation_of(found), by=by_group(found, examples.groups, settings.groups))


def pool(
    asked: GradeQuestion, settings: Settings, folds: Sequence[tuple[Examples, GradeDecoder]]
) -> tuple[Evaluation, pd.DataFrame]:
    """Judge the tests of all folds together, each decided by its own fold's decoder."""
    columns = pd.concat([table.columns_of(asked, *fold) for fold in folds], ignore_index=True)
    return evaluation_of(together([graded(*fold) for fold in folds])), columns


def document(fit: Fit, evaluation: Evaluation) -> dict[str, Any]:
    """Return what metrics.json holds."""
    figures_by = {name: {figure: asdict(one) for figure, one in part.items()} for name, part in evaluation.by.items()}
    own = {name: asdict(estimate) for name, estimate in evaluation.estimates.items()}
    counts = evaluation.tables["confusion"]
    return {
        "decoder": asdict(fit.decoder),
        "validation": asdict(fit.details),
        "test": {"images": evaluation.images, "patients": evaluation.patients, **own},
        "confusion": {"grades": list(counts), "counts": counts.to_numpy().tolist()},
        "subgroups": figures_by,
    }


def lines(settings: Settings, fit: Fit, evaluation: Evaluation) -> list[str]:
    """Return what the terminal shows."""
    decoder = fit.decoder
    cuts = ", ".join(
        f"{grade} above {threshold:.3f}"
        for grade, threshold in zip(decoder.grades[1:], decoder.thresholds, strict=True)
    )
    return [
        *estimate_lines(evaluation, 0.0),
        f"  Thresholds: {cuts}, chosen on validation (kappa {fit.details.kappa:.3f} there)",
        f"  Referable: from grade {decoder.referable} on",
        *table.group_lines(evaluation.by),
    ]


def _right(asked: GradeQuestion, examples: Examples, decoder: GradeDecoder) -> np.ndarray:
    found = graded(examples, decoder)
    return found.decided == found.truth


def _network() -> Network:
    from kmedtl.tasks.ordinal.network import NETWORK

    return NETWORK


def _curves(evaluation: Evaluation) -> dict[str, Picture]:
    from kmedtl.tasks.ordinal.report import curves

    return curves(evaluation)


def _report(result: object) -> ReportParts:
    from kmedtl.tasks.ordinal.report import report

    return report(result)


ORDINAL = Task(
    edge=EDGE,
    needs_classes=True,
    ask=question.ask,
    targets=question.targets,
    check=question.check,
    labels=lambda asked, manifest, table: [f"grade {name}" for name in classes_of(manifest, table)],
    network=_network,
    score=score,
    better={"kappa": "max", "mae": "min"},
    select=select,
    fit_decoder=fit_decoder,
    evaluate=lambda asked, settings, test, fit, seed: judge(asked, settings, test, fit.decoder),
    figures=judge,
    pool=pool,
    brief=("kappa", "mae", "off_by_two", "accuracy", "referable_auc"),
    chance=0.0,
    document=document,
    lines=lines,
    table=table.columns_of,
    read=table.read,
    evaluate_table=table.evaluate_table,
    wrote=table.wrote,
    question=question.question_of,
    drift=drift.drift,
    drift_titles=drift.TITLES,
    gain=drift.gain,
    plain=plain,
    beside="mae",
    right=_right,
    cases=cases,
    curves=_curves,
    report=_report,
    vote=VOTE,
)
