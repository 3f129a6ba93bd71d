"""Several tasks judged: what validation chooses for each, what the test says of each, and the epoch that is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from kmedtl.edge.tasks.multi import MultiDecoder, joined, part_of
from kmedtl.edge.tasks.task import Outputs
from kmedtl.errors import UserError
from kmedtl.recipe import Evaluation as Settings
from kmedtl.recipe import Training
from kmedtl.statistics.confidence import Estimate
from kmedtl.tasks.multi.parts import (
    Tasks,
    first_of,
    known_targets,
    known_to,
    merged,
    prefixed,
    spread_table,
)
from kmedtl.tasks.multi.question import MultiQuestion
from kmedtl.tasks.task import Drift, Evaluation, Examples, Fit, Scores, Targets

TOGETHER = "mean_headline"  # the mean of the tasks' headline figures, none below what knowing nothing gives
OF_ALL = ("mean_difference", "max_difference")  # figures of drift: the largest of any task
LOSS = "loss"  # of a task's headline, where it is not the run's


def score(tasks: Tasks, question: MultiQuestion, outputs: Outputs, targets: Targets) -> Scores:
    """Return the mean of the tasks' headline figures, and the figures of each."""
    found = {}
    for name, task in tasks.items():
        rows, known = known_targets(name, targets)
        own = {output: array[rows] for output, array in part_of(name, outputs).items()}
        found[name] = task.score(question.tasks[name], own, known)
    heads = [max(next(iter(figures.values())), tasks[name].chance) for name, figures in found.items()]
    return {TOGETHER: float(np.mean(heads)), **merged(found)}


def select(tasks: Tasks, question: MultiQuestion, training: Training, outputs: Outputs, targets: Targets) -> float:
    """Return the mean of the tasks' headline figures.

    Raises:
        UserError: another choice.
    """
    if training.select != "headline":
        raise UserError(
            f"training.select: expected headline or worst_shift beside several tasks. Received: {training.select}."
        )
    return score(tasks, question, outputs, targets)[TOGETHER]


def fit_decoder(
    tasks: Tasks,
    question: MultiQuestion,
    settings: Settings,
    validation: Examples,
    seed: int,
    decoder: MultiDecoder | None = None,
) -> Fit:
    """Let each task choose by the images of which it knows something; `details` is the `Fit` of each."""
    fits = {
        name: task.fit_decoder(
            question.tasks[name], settings, known_to(name, validation)[1], seed, decoder and decoder.tasks[name]
        )
        for name, task in tasks.items()
    }
    return Fit(MultiDecoder({name: fit.decoder for name, fit in fits.items()}), fits)


def evaluate(
    tasks: Tasks, question: MultiQuestion, settings: Settings, test: Examples, fit: Fit, seed: int
) -> Evaluation:
    """Let each task judge the images of which it knows something; `details` is the `Evaluation` of each."""
    found = {
        name: task.evaluate(question.tasks[name], settings, known_to(name, test)[1], fit.details[name], seed)
        for name, task in tasks.items()
    }
    return together(found, len(test.ids), len(set(test.patients)))


def figures(
    tasks: Tasks, question: MultiQuestion, settings: Settings, examples: Examples, decoder: MultiDecoder
) -> Evaluation:
    """Return as `evaluate`, without what takes long."""
    found = {
        name: task.figures(question.tasks[name], settings, known_to(name, examples)[1], decoder.tasks[name])
        for name, task in tasks.items()
    }
    return together(found, len(examples.ids), len(set(examples.patients)))


def calibration(
    tasks: Tasks, settings: Settings, examples: Examples, decoder: MultiDecoder, seed: int
) -> dict[str, Estimate]:
    """Return how far the probabilities of each task are right, where it gives any."""
    found = {
        name: task.calibration(settings, known_to(name, examples)[1], decoder.tasks[name], seed)
        for name, task in tasks.items()
    }
    return merged(found)


def pool(
    tasks: Tasks, question: MultiQuestion, settings: Settings, folds: Sequence[tuple[Examples, MultiDecoder]]
) -> tuple[Evaluation, pd.DataFrame]:
    """Let each task judge the tests of all folds together."""
    starts = np.cumsum([0, *(len(examples.ids) for examples, _ in folds)])
    found, columns = {}, []
    for name, task in tasks.items():
        parts = [known_to(name, examples) for examples, _ in folds]
        own = [(part, decoder.tasks[name]) for (_, part), (_, decoder) in zip(parts, folds, strict=True)]
        found[name], table = task.pool(question.tasks[name], settings, own)
        rows = np.concatenate([start + rows for start, (rows, _) in zip(starts, parts, strict=False)])
        columns.append(spread_table(table, rows, starts[-1]).add_prefix(joined(name, "")))
    patients = np.concatenate([examples.patients for examples, _ in folds])
    return together(found, int(starts[-1]), len(set(patients))), pd.concat(columns, axis=1)


def together(found: Mapping[str, Evaluation], images: int, patients: int) -> Evaluation:
    """Return the evaluations of several tasks as one; the first one's headline is that of all."""
    first = first_of(found)
    return Evaluation(
        headline=joined(first, found[first].headline),
        estimates=merged({name: one.estimates for name, one in found.items()}),
        by=merged({name: one.by for name, one in found.items()}),
        tables=merged({name: one.tables for name, one in found.items()}),
        images=images,
        patients=patients,
        details=found,
    )


def drift(
    tasks: Tasks,
    question: MultiQuestion,
    before: Examples,
    decoder: MultiDecoder,
    after: Outputs,
    anew: MultiDecoder,
) -> Drift:
    """Compare the answers of each task; the headline is the first one's, of the others' what it lost is a figure."""
    found = {}
    for name, task in tasks.items():
        rows, own = known_to(name, before)
        moved = {output: array[rows] for output, array in part_of(name, after).items()}
        found[name] = task.drift(question.tasks[name], own, decoder.tasks[name], moved, anew.tasks[name])
    first = found[first_of(tasks)]
    most: Scores = {figure: max(one.figures[figure] for one in found.values()) for figure in OF_ALL}
    for name, one in found.items():
        most |= prefixed(name, {figure: value for figure, value in one.figures.items() if figure not in OF_ALL})
        most |= {joined(name, LOSS): one.loss.value} if one is not first else {}
    return Drift(first.value, first.loss, most)


def drift_titles(tasks: Tasks) -> dict[str, str]:
    """Return the headings of the figures of `drift`."""
    first = first_of(tasks)
    titles = {figure: tasks[first].drift_titles[figure] for figure in OF_ALL}
    for name, task in tasks.items():
        own = {figure: heading for figure, heading in task.drift_titles.items() if figure not in OF_ALL}
        own |= {} if name == first else {LOSS: "headline lost"}
        titles |= {joined(name, figure): f"{name}: {heading}" for figure, heading in own.items()}
    return titles


def gain(
    tasks: Tasks,
    question: MultiQuestion,
    ours: Examples,
    theirs: Sequence[Examples],
    decoder: MultiDecoder,
    other: MultiDecoder,
) -> Estimate:
    """Return the gain in the first task's headline."""
    name = first_of(tasks)
    others = [known_to(name, one)[1] for one in theirs]
    own = known_to(name, ours)[1]
    return tasks[name].gain(question.tasks[name], own, others, decoder.tasks[name], other.tasks[name])


def right(tasks: Tasks, question: MultiQuestion, examples: Examples, decoder: MultiDecoder) -> np.ndarray | None:
    """Return which of the first task's answers are right, where it knows all images and has right and wrong ones."""
    name = first_of(tasks)
    rows, own = known_to(name, examples)
    if len(rows) < len(examples.ids):
        return None
    return tasks[name].right(question.tasks[name], own, decoder.tasks[name])


def document(tasks: Tasks, fit: Fit, evaluation: Evaluation) -> dict[str, Any]:
    """Return what metrics.json holds: under `tasks` what a run of each alone would hold."""
    each = {
        name: {"task": fit.decoder.tasks[name].kind, **task.document(fit.details[name], evaluation.details[name])}
        for name, task in tasks.items()
    }
    own = {name: asdict(estimate) for name, estimate in evaluation.estimates.items()}
    return {"tasks": each, "test": {"images": evaluation.images, "patients": evaluation.patients, **own}}


def lines(tasks: Tasks, settings: Settings, fit: Fit, evaluation: Evaluation) -> list[str]:
    """Return what the terminal shows: of each task what a run of it alone would."""
    told = []
    for name, task in tasks.items():
        judged = evaluation.details[name]
        told += ["", f"{name}: {judged.images} images of {judged.patients} patients"]
        told += task.lines(settings, fit.details[name], judged)
    return told
