"""Regression, one number an image, as a row of `kmedtl.tasks.TASKS`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.data.manifest import BLANK, UNKNOWN, Manifest
from kmedtl.edge.tasks.regression import REGRESSION as EDGE
from kmedtl.edge.tasks.regression import VALUE, NumberDecoder, numbers
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError, nearest
from kmedtl.recipe import Data, Regression, Training
from kmedtl.recipe import Evaluation as Settings
from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks.regression import figures
from kmedtl.tasks.regression.table import evaluate_table, wrote
from kmedtl.tasks.summary import estimate_lines
from kmedtl.tasks.task import (
    Arrays,
    Case,
    Drift,
    Evaluation,
    Examples,
    Fit,
    KnownTargets,
    Network,
    Picture,
    ReportParts,
    Targets,
    Task,
)

STRATA = 5  # equally large parts of the target's range that splits are balanced by


@dataclass(frozen=True)
class NumberQuestion:
    """Which number is asked for, how its errors count, and the unit that a network learns it in.

    Attributes:
        target, unit, loss, delta: as of `kmedtl.recipe.Regression`.
        scale, offset: standard deviation and mean of all images' numbers: a change of unit, no more.
    """

    target: str
    unit: str
    scale: float
    offset: float
    loss: str = "squared"
    delta: float = 1.0


def plain(question: NumberQuestion, half_width: float = 0.0, coverage: float = 0.9) -> NumberDecoder:
    """Return the decoder of the question's own scale, with an interval of that half width."""
    return NumberDecoder(question.target, question.unit, question.scale, question.offset, half_width, coverage)


def ask(settings: Regression, data: Data, manifest: Manifest) -> tuple[NumberQuestion, Manifest]:
    """Return the question, and the images that have a number in the target's column.

    Raises:
        UserError: no such column, cells that are no numbers, or fewer than two different ones.
    """
    table, name = manifest.table, settings.target
    if name not in table:
        raise UserError(f"task.target: {manifest.source} has no column '{name}'. {nearest(name, table.columns)}")
    texts = table[name].astype(str).str.strip()
    values = pd.to_numeric(texts, errors="coerce").replace([np.inf, -np.inf], np.nan)
    wrong = values.isna() & table[name].notna() & ~texts.str.casefold().isin(BLANK)
    if wrong.any():
        where = table["id"][wrong].iloc[0]
        raise UserError(f"task.target: {where}: expected a number in '{name}'. Received: '{texts[wrong].iloc[0]}'.")
    known = values.notna()
    if values.nunique() < 2:
        raise UserError(f"task.target: '{name}': expected two different numbers or more. Received: {values.nunique()}.")
    ranks = values[known].rank(method="first", pct=True)
    kept = table[known].assign(**{name: values[known]}, stratum=np.ceil(ranks * STRATA).astype(int))
    question = NumberQuestion(
        name, settings.unit, float(values.std(ddof=0)), float(values.mean()), settings.loss, settings.delta
    )
    return question, replace(
        manifest,
        table=kept.drop(columns=["label", *manifest.classes], errors="ignore").reset_index(drop=True),
        classes=(),
        multi_label=True,
        unlabelled=manifest.unlabelled + int((~known).sum()),
    )


def targets(question: NumberQuestion, data: Data, manifest: Manifest, table: pd.DataFrame) -> KnownTargets:
    """Return what gives float32 (N, 1), in the question's scale."""

    def of(part: pd.DataFrame) -> Targets:
        scaled = (part[question.target].to_numpy(np.float64) - question.offset) / question.scale
        known = scaled[:, None].astype(np.float32)
        return {VALUE: np.where(known == UNKNOWN, np.nextafter(known, 0), known)}  # a number that means something

    return KnownTargets(of)


def labels(question: NumberQuestion, manifest: Manifest, table: pd.DataFrame) -> list[str]:
    """Return the number of each image with its unit."""
    return [f"{question.target} {value:.4g} {question.unit}".strip() for value in table[question.target]]


def score(question: NumberQuestion, outputs: Outputs, known: Targets) -> dict[str, float]:
    """Return `r2`, and `mae` in the target's unit."""
    truth, predicted = known[VALUE][:, 0], outputs[VALUE][:, 0]
    mae = float(np.abs(truth - predicted).mean()) * question.scale
    return {"r2": figures.r2(truth.astype(np.float64), predicted.astype(np.float64)), "mae": mae}


def select(question: NumberQuestion, training: Training, outputs: Outputs, known: Targets) -> float:
    """Return R², which alone can choose the epoch.

    Raises:
        UserError: another choice.
    """
    if training.select != "headline":
        expected = "expected headline or worst_shift beside a regression"
        raise UserError(f"training.select: {expected}. Received: {training.select}.")
    return score(question, outputs, known)["r2"]


def fit_decoder(
    question: NumberQuestion, settings: Settings, validation: Examples, seed: int, decoder: NumberDecoder | None = None
) -> Fit:
    """Choose the width of the interval on validation: so wide that it holds the truth as often as asked."""
    table = figures.agreement(validation, plain(question))
    half = figures.half_width(table, validation.patients, settings.coverage)
    return Fit(plain(question, half, settings.coverage))


def judge(question: NumberQuestion, settings: Settings, examples: Examples, decoder: NumberDecoder) -> Evaluation:
    """Judge predictions by a decoder; by the values of every group's column as well."""
    table = figures.agreement(examples, decoder)
    evaluation = figures.evaluation_of(table, examples.patients)
    return replace(evaluation, by=figures.by_group(table, examples.patients, examples.groups, settings.groups))


def pool(
    question: NumberQuestion, settings: Settings, folds: Sequence[tuple[Examples, NumberDecoder]]
) -> tuple[Evaluation, pd.DataFrame]:
    """Judge the tests of all folds together, each with its own fold's interval."""
    each = [figures.agreement(*fold) for fold in folds]
    table = pd.concat(each, ignore_index=True)
    patients = np.concatenate([examples.patients for examples, _ in folds])
    columns = pd.concat([columns_of(question, *fold) for fold in folds], ignore_index=True)
    return figures.evaluation_of(table, patients), columns


def columns_of(question: NumberQuestion, examples: Examples, decoder: NumberDecoder) -> pd.DataFrame:
    """Return truth, prediction and interval in the target's unit, and the network's own output."""
    found = figures.agreement(examples, decoder).rename(columns={"predicted": "prediction"})
    return found.assign(output=examples.outputs[VALUE][:, 0])


def read(question: NumberQuestion, table: pd.DataFrame, arrays: Arrays) -> tuple[Targets, Outputs]:
    """Return targets and outputs of the columns that `columns_of` wrote.

    Raises:
        KeyError, ValueError: they are not as it wrote them.
    """
    truth, output = (table[name].to_numpy(np.float64)[:, None] for name in ("truth", "output"))
    if not (np.isfinite(truth).all() and np.isfinite(output).all()):
        raise ValueError("a number that is none")
    return {VALUE: (truth - question.offset) / question.scale}, {VALUE: output}


def drift(
    question: NumberQuestion, before: Examples, decoder: NumberDecoder, after: Outputs, anew: NumberDecoder
) -> Drift:
    """Compare predictions of the same images; differences are in standard deviations of the target."""
    truth = numbers(before.targets, plain(question))
    ours, theirs = numbers(before.outputs, decoder), numbers(after, anew)
    difference = np.abs(theirs - ours) / question.scale
    return Drift(
        figures.r2(truth, theirs),
        figures.r2_gain(truth, ours, theirs[None], before.patients),
        {"mean_difference": float(difference.mean()), "max_difference": float(difference.max())},
    )


def gain(
    question: NumberQuestion, ours: Examples, theirs: Sequence[Examples], decoder: NumberDecoder, other: NumberDecoder
) -> Estimate:
    """Return R² of ours minus the mean R² of theirs, paired by image."""
    others = [numbers(one.in_order_of(ours.ids).outputs, other) for one in theirs]
    truth = numbers(ours.targets, plain(question))
    return figures.r2_gain(truth, numbers(ours.outputs, decoder), np.stack(others), ours.patients)


def cases(question: NumberQuestion, examples: Examples, decoder: NumberDecoder, count: int) -> list[Case]:
    """Return the images that were predicted best and worst, up to `count` of each."""
    table = figures.agreement(examples, decoder)
    order = np.argsort((table["predicted"] - table["truth"]).abs().to_numpy(), kind="stable")
    chosen = [("predicted best", order[:count]), ("predicted worst", order[::-1][: min(count, len(order) - count)])]
    return [Case(int(row), VALUE, 0, why, _caption(table.iloc[row], decoder)) for why, rows in chosen for row in rows]


def _caption(row: pd.Series, decoder: NumberDecoder) -> str:
    caption = f"Truth: {row['truth']:.4g}. Predicted {row['predicted']:.4g} ({row['low']:.4g} to {row['high']:.4g})"
    return f"{caption} {decoder.unit}".strip()


def document(fit: Fit, evaluation: Evaluation) -> dict[str, Any]:
    """Return what metrics.json holds."""
    figures_by = {name: {figure: asdict(one) for figure, one in part.items()} for name, part in evaluation.by.items()}
    own = {name: asdict(estimate) for name, estimate in evaluation.estimates.items()}
    test = {"images": evaluation.images, "patients": evaluation.patients, **own}
    return {"decoder": asdict(fit.decoder), "test": test, "subgroups": figures_by}


def lines(settings: Settings, fit: Fit, evaluation: Evaluation) -> list[str]:
    """Return what the terminal shows."""
    half, unit = fit.decoder.half_width, fit.decoder.unit
    return [
        *estimate_lines(evaluation, 0.0),
        f"  Interval: prediction ± {half:.4g} {unit}".rstrip() + ", chosen on validation",
        *(f"  {name}: mean absolute error {part['mae']}, bias {part['bias']}" for name, part in evaluation.by.items()),
    ]


def units(question: NumberQuestion) -> dict[str, str]:
    """Return the unit of errors, where the target has one."""
    named = ("mae", "rmse", "bias", "lower_limit", "upper_limit")
    return dict.fromkeys(named, question.unit) if question.unit else {}


def _network() -> Network:
    from kmedtl.tasks.regression.network import NETWORK

    return NETWORK


def _curves(evaluation: Evaluation) -> dict[str, Picture]:
    from kmedtl.tasks.regression.report import curves

    return curves(evaluation)


def _report(result: object) -> ReportParts:
    from kmedtl.tasks.regression.report import report

    return report(result)


REGRESSION = Task(
    edge=EDGE,
    needs_classes=False,
    ask=ask,
    targets=targets,
    labels=labels,
    network=_network,
    score=score,
    better={"r2": "max", "mae": "min"},
    select=select,
    fit_decoder=fit_decoder,
    evaluate=lambda question, settings, test, fit, seed: judge(question, settings, test, fit.decoder),
    figures=judge,
    pool=pool,
    brief=("r2", "mae", "bias", "coverage"),
    chance=0.0,
    document=document,
    lines=lines,
    table=columns_of,
    read=read,
    evaluate_table=evaluate_table,
    question=lambda decoder: NumberQuestion(decoder.target, decoder.unit, decoder.scale, decoder.offset),
    drift=drift,
    drift_titles={"mean_difference": "mean |Δ| / SD", "max_difference": "max |Δ| / SD"},
    gain=gain,
    goes_on=lambda run, here: replace(here, scale=run.scale, offset=run.offset),
    plain=plain,
    beside="mae",
    right=lambda question, examples, decoder: None,
    cases=cases,
    curves=_curves,
    report=_report,
    wrote=wrote,
    units=units,
)
