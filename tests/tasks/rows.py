"""Every task on the same invented images, of which nothing is trained: what a contract over the rows asks them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kmedtl.data.manifest import Manifest, from_rows
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.edge.tasks.regression import VALUE
from kmedtl.edge.tasks.task import Outputs
from kmedtl.recipe import Classification, Evaluation, Regression
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Examples, Fit, Targets, Task

IMAGES = 240
CLASSES = ("cyst", "scar", "tumour")
EVALUATION = Evaluation(resamples=100, groups=("sex",), cases=2)


def invented(classes: tuple[str, ...] = CLASSES, multi_label: bool = False) -> Manifest:
    """Return a manifest of patients with two images each, of which label, findings, age and sex are known."""
    random, rows = np.random.default_rng(0), []
    for number in range(IMAGES):
        row = {"id": f"{number}.png", "path": f"/{number}.png", "patient": f"p{number // 2}"}
        row |= {"sex": "FM"[number % 4 // 2], "age": float(random.normal(60, 12))}
        row |= {name: float(random.random() < 0.4) for name in classes} if multi_label else {}
        row |= {} if multi_label else {"label": classes[random.integers(len(classes))]}
        rows.append(row)
    return from_rows(rows, classes, "films", multi_label=multi_label)


@dataclass(frozen=True)
class Row:
    """A task with a question, images that answer it, and what a model that knows all would put out.

    Attributes:
        perfect: targets → outputs.
    """

    settings: Any
    listed: Manifest
    perfect: Callable[[Targets], Outputs]

    @property
    def task(self) -> Task:
        return task_of(self.settings)

    @cached_property
    def asked(self) -> tuple[Any, Manifest]:
        return self.task.ask(self.settings, self.listed)

    @property
    def question(self) -> Any:
        return self.asked[0]

    @cached_property
    def known(self) -> Examples:
        """All images, with the outputs of a model that knows all."""
        question, manifest = self.asked
        table = manifest.table
        targets = self.task.targets(question, manifest, table)
        ids, patients = (table[name].to_numpy(object) for name in ("id", "patient"))
        return Examples(ids, patients, targets, self.perfect(targets), table[["sex"]])

    @cached_property
    def blurred(self) -> Examples:
        """The same, with outputs that are off by as much as they differ."""
        return self._blurred(1)

    @cached_property
    def fit(self) -> Fit:
        """What validation chose: the same images, otherwise blurred."""
        return self.task.fit_decoder(self.question, EVALUATION, self._blurred(2), 0)

    def _blurred(self, seed: int) -> Examples:
        random = np.random.default_rng(seed)
        outputs = {
            name: (array + random.normal(0, array.std(), array.shape)).astype(np.float32)
            for name, array in self.known.outputs.items()
        }
        return self.with_outputs(outputs)

    def with_outputs(self, outputs: Outputs) -> Examples:
        known = self.known
        return Examples(known.ids, known.patients, known.targets, outputs, known.groups)


def sure(targets: Targets) -> Outputs:
    """Return logits that say what is so."""
    return {LOGITS: 4 * targets[LOGITS] - 2}


def exact(targets: Targets) -> Outputs:
    """Return the targets as outputs."""
    return {VALUE: targets[VALUE]}


ROWS = {
    "binary": Row(Classification(), invented(CLASSES[:2]), sure),
    "multi_class": Row(Classification(), invented(), sure),
    "multi_label": Row(Classification(), invented(multi_label=True), sure),
    "regression": Row(Regression("age", "a"), invented(), exact),
}
