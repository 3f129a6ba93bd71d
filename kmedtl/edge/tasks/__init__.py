"""The NumPy half of every task, a row each; a further task is a file here and two lines below."""

from __future__ import annotations

from functools import cache
from typing import Any

from kmedtl.edge.tasks.classification.decoder import CLASSIFICATION, ClassDecoder
from kmedtl.edge.tasks.mask_decoder import MaskDecoder
from kmedtl.edge.tasks.multi import MultiDecoder, combined
from kmedtl.edge.tasks.ordinal import ORDINAL, GradeDecoder
from kmedtl.edge.tasks.regression import REGRESSION, NumberDecoder
from kmedtl.edge.tasks.segmentation import SEGMENTATION
from kmedtl.edge.tasks.task import EdgeTask

EDGE_TASKS: dict[str, EdgeTask] = {
    "classification": CLASSIFICATION,
    "regression": REGRESSION,
    "segmentation": SEGMENTATION,
    "ordinal": ORDINAL,
}
Decoder = ClassDecoder | NumberDecoder | MaskDecoder | GradeDecoder | MultiDecoder


def edge_task_of(decoder: Any) -> EdgeTask:
    """Return the row of a decoder; that of several tasks is made of theirs."""
    parts = getattr(decoder, "tasks", None)
    return combined_of(tuple((name, one.kind) for name, one in parts.items())) if parts else EDGE_TASKS[decoder.kind]


@cache
def combined_of(kinds: tuple[tuple[str, str], ...]) -> EdgeTask:
    """Return the row of several tasks: (name, kind) of each; the same ones for the same names."""
    return combined({name: EDGE_TASKS[kind] for name, kind in kinds})
