"""The NumPy half of every task, a row each; a further task is a file here and two lines below."""

from __future__ import annotations

from kmedtl.edge.tasks.classification.decoder import CLASSIFICATION, ClassDecoder
from kmedtl.edge.tasks.regression import REGRESSION, NumberDecoder
from kmedtl.edge.tasks.segmentation import SEGMENTATION, MaskDecoder
from kmedtl.edge.tasks.task import EdgeTask

EDGE_TASKS: dict[str, EdgeTask] = {
    "classification": CLASSIFICATION,
    "regression": REGRESSION,
    "segmentation": SEGMENTATION,
}
Decoder = ClassDecoder | NumberDecoder | MaskDecoder
