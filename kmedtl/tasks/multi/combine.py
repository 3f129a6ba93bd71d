"""How several models answer several questions as one: for each as its task does, where all tasks have such a way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kmedtl.edge.tasks.multi import MultiDecoder, part_of
from kmedtl.edge.tasks.task import Outputs
from kmedtl.tasks.multi.parts import Tasks, merged
from kmedtl.tasks.multi.question import MultiQuestion
from kmedtl.tasks.task import Examples, Vote

MEAN = "mean"  # the one method that counts the members alike for every task


def vote(tasks: Tasks) -> Vote | None:
    """Return how the tasks' answers are combined; None where one of them has no `mean`."""
    votes = {name: task.vote for name, task in tasks.items() if task.vote and MEAN in task.vote.methods}
    if len(votes) < len(tasks):
        return None

    def combine(
        question: MultiQuestion,
        method: str,
        weights: Sequence[float],
        outputs: Sequence[Outputs],
        decoders: Sequence[MultiDecoder],
    ) -> dict[str, np.ndarray]:
        found: dict[str, Mapping[str, np.ndarray]] = {}
        for name, one in votes.items():
            own = [part_of(name, part) for part in outputs]
            of_task = [decoder.tasks[name] for decoder in decoders]
            found[name] = one.combine(question.tasks[name], method, weights, own, of_task)
        return merged(found)

    def fit(
        question: MultiQuestion,
        method: str,
        members: Sequence[Examples],
        decoders: Sequence[MultiDecoder],
        validation: np.ndarray,
        seed: int,
    ) -> tuple[Outputs, tuple[float, ...]]:
        found: dict[str, Outputs] = {}
        for name, one in votes.items():
            own = [
                replace(part, targets=part_of(name, part.targets), outputs=part_of(name, part.outputs))
                for part in members
            ]
            of_task = [decoder.tasks[name] for decoder in decoders]
            found[name], weights = one.fit(question.tasks[name], method, own, of_task, validation, seed)
        return merged(found), weights

    return Vote({MEAN: "the mean of the members' answers to each question"}, fit, combine)
