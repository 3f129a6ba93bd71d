"""What the report of a run shows of several tasks: a summary, then what each shows of itself; and its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kmedtl.edge.tasks.multi import MultiDecoder, joined
from kmedtl.tasks.multi.parts import Tasks, known_targets, known_to, merged
from kmedtl.tasks.multi.question import MultiQuestion
from kmedtl.tasks.summary import no_better_than_chance
from kmedtl.tasks.task import Case, Evaluation, Examples, Picture, ReportParts, Section, Targets, Task

SUMMARY = Section("summary", "Summary")


def curves(tasks: Tasks, evaluation: Evaluation) -> dict[str, Picture]:
    """Return the pictures of each task, `TASK.PICTURE`."""
    return merged(
        {
            name: {key: _named(name, picture) for key, picture in task.curves(evaluation.details[name]).items()}
            for name, task in tasks.items()
        }
    )


def _named(name: str, picture: Picture) -> Picture:
    return replace(picture, words=f"{name}: {picture.words}", title=f"{name}: {picture.title}")


def report(tasks: Tasks, result: Any) -> ReportParts:
    """Return templates and what they read, of a `kmedtl.runs.result.Result`."""
    alone = {name: _alone(name, result) for name in tasks}
    parts = {name: _with_chance(task.report(alone[name]), alone[name].evaluation, task) for name, task in tasks.items()}
    told = [
        {
            "name": name,
            "kind": one.fit.decoder.kind,
            "headline": one.evaluation.headline,
            "estimate": one.evaluation.estimates[one.evaluation.headline],
            "images": one.evaluation.images,
            "alone": result.alone.get(name),
        }
        for name, one in alone.items()
    ]
    sections = [
        Section(f"{name}-{section.anchor}", f"{name}: {section.title}")
        for name, one in parts.items()
        for section in (SUMMARY, *one.sections)
    ]
    sections[0] = replace(sections[0], template="tasks.html")
    pictures = {
        name: {key: _named(name, picture) for key, picture in one.pictures.items()} for name, one in parts.items()
    }
    return ReportParts(
        templates=Path(__file__).parent,
        summary="tasks_summary.html",
        card="model_card.md",
        sections=tuple(sections),
        pictures=merged(pictures),
        context={"told": told},
        maps=_maps({name: one.maps for name, one in parts.items()}, result.recipe.evaluation.explain),
        of_tasks=tuple((name, alone[name], parts[name]) for name in tasks),
    )


def _alone(name: str, result: Any) -> Any:
    """Return what a run found of one task; its recipe still asks for all."""
    return replace(
        result,
        question=result.question.tasks[name],
        fit=result.fit.details[name],
        evaluation=result.evaluation.details[name],
    )


def _with_chance(parts: ReportParts, evaluation: Evaluation, task: Task) -> ReportParts:
    return replace(parts, context={**parts.context, "chance": no_better_than_chance(evaluation, task.chance)})


def _maps(own: dict[str, str], method: str) -> str:
    """Return what the maps show, where a task makes its own; "" where a method makes all."""
    if not any(own.values()):
        return ""
    plain = f"on the right lies where the score comes from, by {method.replace('_', '-')}; such maps prove nothing."
    return " ".join(f"{name}: {words or plain}" for name, words in own.items())


def cases(tasks: Tasks, question: MultiQuestion, examples: Examples, decoder: MultiDecoder, count: int) -> list[Case]:
    """Return the cases of each task, among the images of which it knows something."""
    shown = []
    for name, task in tasks.items():
        rows, own = known_to(name, examples)
        for case in task.cases(question.tasks[name], own, decoder.tasks[name], count):
            output, why = joined(name, case.output), f"{name}: {case.why}"
            shown.append(replace(case, row=int(rows[case.row]), output=output, why=why))
    return shown


def gallery(
    tasks: Tasks,
    question: MultiQuestion,
    examples: Examples,
    decoder: MultiDecoder,
    shown: Sequence[Case],
    pixels: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures and maps of the tasks that make their own; else the images, and maps of NaN."""
    pictures = np.repeat(pixels, 3 if pixels.shape[-1] == 1 else 1, axis=-1)
    maps = np.full(pixels.shape[:3], np.nan, np.float32)
    for name, task in tasks.items():
        start = joined(name, "")
        places = [place for place, case in enumerate(shown) if case.output.startswith(start)]
        if task.gallery and places:
            rows, own = known_to(name, examples)
            row_of = {int(row): number for number, row in enumerate(rows)}
            cases = [
                replace(shown[place], row=row_of[shown[place].row], output=shown[place].output.removeprefix(start))
                for place in places
            ]
            drawn = task.gallery(question.tasks[name], own, decoder.tasks[name], cases, pixels[places])
            pictures[places], maps[places] = drawn
    return pictures, maps


def draw(tasks: Tasks, question: MultiQuestion, images: np.ndarray, targets: Targets) -> np.ndarray:
    """Return the images, uint8 (N, H, W, 3), with what each task draws into those of which it knows something."""
    pictures = np.repeat(images, 3 if images.shape[-1] == 1 else 1, axis=-1)
    for name, task in tasks.items():
        if task.draw:
            rows, known = known_targets(name, targets)
            pictures[rows] = task.draw(question.tasks[name], pictures[rows], known)
    return pictures
