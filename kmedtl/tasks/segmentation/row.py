"""Segmentation, masks of structures, as a row of `kmedtl.tasks.TASKS`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kmedtl.data.manifest import BETWEEN, SIZES, SPACINGS
from kmedtl.edge.tasks.segmentation import MASK, levels_of, logits_of
from kmedtl.edge.tasks.segmentation import SEGMENTATION as EDGE
from kmedtl.edge.tasks.task import Outputs
from kmedtl.tasks.segmentation import cases, drift, evaluation, question, summary
from kmedtl.tasks.segmentation.combine import VOTE
from kmedtl.tasks.segmentation.question import MaskQuestion
from kmedtl.tasks.segmentation.table import evaluate_table, wrote
from kmedtl.tasks.segmentation.volumes import COLUMNS
from kmedtl.tasks.task import Arrays, Evaluation, Examples, Network, Picture, ReportParts, Targets, Task


def arrays(asked: MaskQuestion, examples: Examples) -> dict[str, np.ndarray]:
    """Return the masks: `reference`, uint8 (N, size, size, M) of 0 and 1, and predicted `levels`, uint8 likewise."""
    return {"reference": examples.targets[MASK].astype(np.uint8), "levels": levels_of(examples.outputs)}


def read(asked: MaskQuestion, table: pd.DataFrame, arrays: Arrays) -> tuple[Targets, Outputs]:
    """Return targets and outputs of the rows of a table.

    Raises:
        KeyError, ValueError, IndexError: arrays that are not as a run wrote them.
    """
    reference, levels = arrays["reference"], arrays["levels"]
    if reference.shape != levels.shape or levels.ndim != 4 or levels.shape[-1] != len(asked.structures):
        raise ValueError(f"masks of another shape: {reference.shape}, {levels.shape}")
    if reference.dtype != np.uint8 or levels.dtype != np.uint8 or reference.max(initial=0) > 1:
        raise ValueError("masks that are none")
    rows = table.index.to_numpy()
    return {MASK: reference[rows]}, {MASK: logits_of(levels[rows])}


def _network() -> Network:
    from kmedtl.tasks.segmentation.network import NETWORK

    return NETWORK


def _curves(found: Evaluation) -> dict[str, Picture]:
    from kmedtl.tasks.segmentation.report import curves

    return curves(found)


def _report(result: object) -> ReportParts:
    from kmedtl.tasks.segmentation.report import report

    return report(result)


SEGMENTATION = Task(
    edge=EDGE,
    needs_classes=False,
    ask=question.ask,
    targets=question.targets,
    check=question.check,
    labels=question.labels,
    network=_network,
    score=evaluation.score,
    better={"dice": "max"},
    select=evaluation.select,
    fit_decoder=evaluation.fit_decoder,
    evaluate=lambda asked, settings, test, fit, seed: evaluation.judge(asked, settings, test, fit.decoder),
    figures=evaluation.judge,
    pool=evaluation.pool,
    brief=("dice", "iou", "surface_dice", "hd95", "lesion_sensitivity"),
    chance=0.0,
    document=summary.document,
    lines=summary.lines,
    table=evaluation.columns_of,
    arrays=arrays,
    read=read,
    evaluate_table=evaluate_table,
    question=question.question_of,
    drift=drift.drift,
    drift_titles={
        "mean_difference": "mean |Δp|",
        "max_difference": "max |Δp|",
        "dice_apart": "1 − Dice",
        "pixels_changed": "pixels changed",
        "lesions_changed": "parts changed",
    },
    gain=drift.gain,
    plain=question.plain_decoder,
    beside="surface_dice",
    right=lambda asked, examples, decoder: None,
    cases=cases.cases,
    gallery=cases.gallery,
    draw=cases.draw,
    curves=_curves,
    report=_report,
    vote=VOTE,
    moves={MASK: "mask"},
    columns=(*SIZES, *SPACINGS, BETWEEN, *COLUMNS),
    check_validation=evaluation.check_validation,
    wrote=wrote,
    units=question.units,
)
