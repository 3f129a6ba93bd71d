"""Which images a reader should see: those furthest off, and those that are surest right."""

from __future__ import annotations

import numpy as np

from kmedtl.edge.tasks.ordinal import GRADE, GradeDecoder, of_grades, speaks_for
from kmedtl.files.digits import in_digits
from kmedtl.tasks.ordinal.figures import graded
from kmedtl.tasks.ordinal.question import GradeQuestion
from kmedtl.tasks.task import Case, Examples


def cases(question: GradeQuestion, examples: Examples, decoder: GradeDecoder, count: int) -> list[Case]:
    """Return up to `count` images whose grade is furthest from the true one, and as many that are surest right.

    Of those equally far off the surest come first.
    """
    found = graded(examples, decoder)
    likely = of_grades(found.above)[np.arange(len(found.truth)), found.decided]
    distance = np.abs(found.decided - found.truth)
    furthest = [row for row in np.lexsort((-likely, -distance)) if distance[row]][:count]
    surest = [row for row in np.argsort(-likely, kind="stable") if not distance[row]][:count]
    chosen = [("furthest off", furthest), ("surest right", surest)]

    def caption(row: int) -> str:
        truth, decided = (found.grades[number] for number in (found.truth[row], found.decided[row]))
        return f"Truth: {truth}. Decided: {decided}, probability {in_digits(likely[row])}"

    return [
        Case(int(row), GRADE, speaks_for(int(found.decided[row]), decoder.loss), why, caption(row))
        for why, rows in chosen
        for row in rows
    ]
