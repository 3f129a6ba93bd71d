"""Several answers for one image, each by its own task: their outputs, cells and fields bear the task's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, TypeVar

import numpy as np

from kmedtl.edge.tasks.classification.decoder import ClassDecoder
from kmedtl.edge.tasks.mask_decoder import MaskDecoder
from kmedtl.edge.tasks.ordinal import GradeDecoder
from kmedtl.edge.tasks.regression import NumberDecoder
from kmedtl.edge.tasks.task import Answer, Cell, EdgeTask, Measurement, Outputs
from kmedtl.errors import expect

T = TypeVar("T")


@dataclass(frozen=True)
class MultiDecoder:
    """A decoder a task, by the task's name."""

    tasks: Mapping[str, ClassDecoder | NumberDecoder | MaskDecoder | GradeDecoder] = field(default_factory=dict)
    kind: Literal["multi"] = "multi"

    def __post_init__(self) -> None:
        expect(len(self.tasks) > 1, "tasks", "two tasks or more", list(self.tasks))


@dataclass(frozen=True)
class MultiAnswer:
    """An answer a task, by the task's name."""

    tasks: Mapping[str, Answer]

    @property
    def decision(self) -> str | None:
        decided = {name: answer.decision for name, answer in self.tasks.items() if answer.decision is not None}
        return "; ".join(f"{name}: {decision}" for name, decision in decided.items()) or None

    def cells(self) -> Sequence[str]:
        return [cell for answer in self.tasks.values() for cell in answer.cells()]

    def values(self) -> Sequence[Cell]:
        return [value for answer in self.tasks.values() for value in answer.values()]

    def document(self) -> dict[str, Any]:
        return {name: answer.document() for name, answer in self.tasks.items()}

    def measurements(self) -> Sequence[Measurement]:
        return [one for answer in self.tasks.values() for one in answer.measurements()]


def joined(name: str, part: str) -> str:
    """Return the name of what belongs to a task; neither names of tasks nor of outputs hold a dot."""
    return f"{name}.{part}"


def part_of(name: str, arrays: Mapping[str, T]) -> dict[str, T]:
    """Return what belongs to a task, under its own names."""
    start = joined(name, "")
    return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}


def combined(tasks: Mapping[str, EdgeTask]) -> EdgeTask:
    """Return the row of several tasks, by their names."""
    first = next(iter(tasks))

    def each(decoder: MultiDecoder) -> list[tuple[str, EdgeTask, Any]]:
        return [(name, task, decoder.tasks[name]) for name, task in tasks.items()]

    def decode(outputs: Outputs, decoder: MultiDecoder) -> list[MultiAnswer]:
        answers = {name: task.decode(part_of(name, outputs), one) for name, task, one in each(decoder)}
        return [MultiAnswer(dict(zip(answers, row, strict=True))) for row in zip(*answers.values(), strict=True)]

    def place(
        outputs: Outputs, decoder: MultiDecoder, width: int, height: int, spacing: tuple[float, float] = (0.0, 0.0)
    ) -> MultiAnswer:
        def answer(name: str, task: EdgeTask, one: Any) -> Answer:
            own = part_of(name, outputs)
            return task.place(own, one, width, height, spacing) if task.place else task.decode(own, one)[0]

        return MultiAnswer({name: answer(name, task, one) for name, task, one in each(decoder)})

    def in_words(decoder: MultiDecoder) -> list[tuple[str, str]]:
        told = {name: task.in_words(one) for name, task, one in each(decoder)}
        heading = next(iter(told.values()))[0][0]
        comes_out = "; ".join(f"{name}: {sentences[0][1]}" for name, sentences in told.items())
        more = [(part, f"{name}: {sentence}") for name, rest in told.items() for part, sentence in rest[1:]]
        return [(heading, comes_out), *more]

    def explained(answer: MultiAnswer) -> tuple[str, int]:
        output, column = tasks[first].explained(answer.tasks[first])
        return joined(first, output), column

    return EdgeTask(
        decoder=MultiDecoder,
        widths=lambda decoder: {
            joined(name, output): width
            for name, task, one in each(decoder)
            for output, width in task.widths(one).items()
        },
        decode=decode,
        blank=lambda decoder: MultiAnswer({name: task.blank(one) for name, task, one in each(decoder)}),
        header=lambda decoder: [f"{name}: {cell}" for name, task, one in each(decoder) for cell in task.header(one)],
        columns=lambda decoder: [joined(name, cell) for name, task, one in each(decoder) for cell in task.columns(one)],
        context=lambda decoder: dict(chain.from_iterable(task.context(one).items() for _, task, one in each(decoder))),
        explained=explained,
        in_words=in_words,
        place=place,
        masks=_masks(tasks),
    )


def _masks(tasks: Mapping[str, EdgeTask]) -> Callable[[MultiAnswer], Mapping[str, np.ndarray]] | None:
    """Return what makes masks of an answer, `TASK.STRUCTURE` → mask; None where no task has any."""
    masked = {name: task.masks for name, task in tasks.items() if task.masks}
    if not masked:
        return None
    return lambda answer: {
        joined(name, structure): mask
        for name, masks in masked.items()
        for structure, mask in masks(answer.tasks[name]).items()
    }
