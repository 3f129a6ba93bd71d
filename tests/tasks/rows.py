"""Every task on the same invented images, of which nothing is trained: what a contract over the rows asks them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kmedtl.data.manifest import BETWEEN, SIZES, SPACINGS, Manifest, from_rows
from kmedtl.edge.tasks.classification.decoder import LOGITS
from kmedtl.edge.tasks.multi import joined, part_of
from kmedtl.edge.tasks.ordinal import GRADE
from kmedtl.edge.tasks.regression import VALUE
from kmedtl.edge.tasks.segmentation import MASK
from kmedtl.edge.tasks.task import Outputs
from kmedtl.recipe import Classification, Data, Evaluation, Head, Multi, Ordinal, Regression, Segmentation
from kmedtl.tasks import task_of
from kmedtl.tasks.task import Examples, Fit, Targets, Task

IMAGES, SIDE = 240, 32
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


def numbered() -> Manifest:
    """Return the same with three grades."""
    return invented(("0", "1", "2"))


def with_masks() -> Manifest:
    """Return images with a mask file each: a bright ellipse somewhere, in every fifth image nothing."""
    folder, random = Path(tempfile.mkdtemp(prefix="kmedtl-masks-")), np.random.default_rng(1)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    y, x = np.mgrid[:SIDE, :SIDE]
    rows = []
    for number in range(IMAGES):
        image, mask = (str(folder / f"{number}{end}.png") for end in ("", "_mask"))
        top, left, radius = *random.uniform(8, SIDE - 8, 2), random.uniform(3, 8)
        inside = (y - top) ** 2 + (x - left) ** 2 < radius**2 if number % 5 else np.zeros((SIDE, SIDE), bool)
        Image.fromarray((random.integers(0, 100, inside.shape) + 100 * inside).astype(np.uint8)).save(image)
        Image.fromarray(inside * np.uint8(255)).save(mask)
        row = {"id": f"{number}.png", "path": image, "mask": mask, "patient": f"p{number // 2}"}
        rows.append(row | {"sex": "FM"[number % 4 // 2], "label": "AB"[number % 2]})
    return from_rows(rows, ("A", "B"), "films")


@dataclass(frozen=True)
class Row:
    """A task with a question, images that answer it, and what a model that knows all would put out.

    Attributes:
        list_images: returns the images.
        perfect: targets → outputs.
        head: one that suits the task.
    """

    settings: Any
    list_images: Callable[[], Manifest]
    perfect: Callable[[Targets], Outputs]
    head: Head = field(default_factory=Head)
    data: Data = field(default_factory=lambda: Data(size=32, channels=1))

    @property
    def task(self) -> Task:
        return task_of(self.settings)

    @cached_property
    def asked(self) -> tuple[Any, Manifest]:
        return self.task.ask(self.settings, self.data, self.list_images())

    @property
    def question(self) -> Any:
        return self.asked[0]

    @cached_property
    def known(self) -> Examples:
        """All images, with the outputs of a model that knows all."""
        question, manifest = self.asked
        table = manifest.table.assign(**dict.fromkeys(SIZES, SIDE), **dict.fromkeys((*SPACINGS, BETWEEN), 0.0))
        targets = self.task.targets(question, self.data, manifest, table).of(table)
        ids, patients = (table[name].to_numpy(object) for name in ("id", "patient"))
        return Examples(ids, patients, targets, self.perfect(targets), table[["sex", *self.task.columns]])

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


def graded(loss: str, grades: int) -> Callable[[Targets], Outputs]:
    """Return what makes outputs that say which grade is so."""

    def perfect(targets: Targets) -> Outputs:
        true = targets[GRADE]
        told = {
            "corn": 4 * (true - np.arange(grades - 1)) - 2,
            "expected_grade": true,
            "crossentropy": -3 * np.abs(true - np.arange(grades)),
        }
        return {GRADE: told[loss].astype(np.float32)}

    return perfect


def certain(targets: Targets) -> Outputs:
    """Return logits of pixels that say what is so."""
    return {MASK: (8.0 * targets[MASK] - 4).astype(np.float32)}


def each(**parts: Callable[[Targets], Outputs]) -> Callable[[Targets], Outputs]:
    """Return what makes outputs of the targets of several tasks, by their names."""

    def perfect(targets: Targets) -> Outputs:
        return {
            joined(name, output): array
            for name, part in parts.items()
            for output, array in part(part_of(name, targets)).items()
        }

    return perfect


LOSSES = ("corn", "expected_grade", "crossentropy")
VECTORS = Multi({"kind": Classification(), "age": Regression("age", "a")})
GRADED = Multi({"size": Ordinal(), "kind": Classification()})
MAPS = Multi({"class": Classification(), "spot": Segmentation()}, {"spot": 2.0})
ROWS = {
    "binary": Row(Classification(), lambda: invented(CLASSES[:2]), sure),
    "multi_class": Row(Classification(), invented, sure),
    "multi_label": Row(Classification(), lambda: invented(multi_label=True), sure),
    "regression": Row(Regression("age", "a"), invented, exact),
    "segmentation": Row(Segmentation(), with_masks, certain, Head("unet", hidden=16)),
    **{f"ordinal_{loss}": Row(Ordinal(loss), numbered, graded(loss, 3)) for loss in LOSSES},
    "multi_vectors": Row(VECTORS, invented, each(kind=sure, age=exact)),
    "multi_grades": Row(GRADED, numbered, each(size=graded("corn", 3), kind=sure)),
    "multi_maps": Row(MAPS, with_masks, each(**{"class": sure, "spot": certain}), Head("unet", hidden=16)),
}
