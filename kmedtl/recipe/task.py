"""What is asked of an image. Each task is a frozen dataclass whose `kind` is its name; the data answer what is open.

`needs` says what its outputs are made of, and so which heads suit it: one vector an image, or a map as large as it;
`is_local` whether what is true of a part of an image is that part of what is true of the whole, so that it can be
learned on patches; `takes_unlabelled` whether images without an answer can teach it; `idle` which settings of a stage
would have no effect on its losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from kmedtl.errors import expect
from kmedtl.images.marks import LONGEST, is_name


@dataclass(frozen=True)
class Classification:
    """Which class an image is of, or which findings it shows.

    Attributes:
        labels: `binary`: one finding, there or not; `multi_class`: exactly one of several classes; `multi_label`: any
            of several findings; `auto`: as the labels are. Another form than the labels have is refused.
        target: the column that holds the class, such as `side`; images without one there are left out. Empty: the
            source's labels.
        kind: the name of the task.
    """

    needs: ClassVar[str] = "vector"
    takes_fields: ClassVar[bool] = True
    takes_unlabelled: ClassVar[bool] = True
    is_local: ClassVar[bool] = False
    idle: ClassVar[tuple[str, ...]] = ()
    labels: Literal["auto", "binary", "multi_class", "multi_label"] = "auto"
    target: str = ""
    kind: Literal["classification"] = "classification"


@dataclass(frozen=True)
class Regression:
    """One number an image.

    Attributes:
        target: the column that holds it, such as `age`; images without a number there are left out.
        unit: in which it is; shown, not converted.
        loss: `squared` errors, or `huber`, which minds outliers less (Huber 1964).
        delta: of `huber`: up to so many standard deviations of the target an error counts by its square.
        kind: the name of the task.
    """

    needs: ClassVar[str] = "vector"
    takes_fields: ClassVar[bool] = True
    takes_unlabelled: ClassVar[bool] = False
    is_local: ClassVar[bool] = False
    idle: ClassVar[tuple[str, ...]] = ("label_smoothing", "focal_gamma", "logit_adjustment")
    target: str = ""
    unit: str = ""
    loss: Literal["squared", "huber"] = "squared"
    delta: float = 1.0
    kind: Literal["regression"] = "regression"

    def __post_init__(self) -> None:
        expect(self.target != "", "task.target", "the name of a column with numbers, such as age", self.target)
        expect(0 < self.delta <= 100, "task.delta", "above 0, at most 100", self.delta)


@dataclass(frozen=True)
class Segmentation:
    """Which pixels of an image belong to which structure; `data.structures` names them.

    Attributes:
        loss: `dice_crossentropy`: the mean of both; `dice`: 1 − Dice of each image and structure; `crossentropy`: of
            each pixel; `focal`: the same, easy pixels counting less (Lin et al. 2017); `tversky`: as `dice`, a missed
            pixel counting more than a false one (Salehi et al. 2017).
        missed: of `tversky`: the weight of missed pixels; that of false ones is 1 − `missed`.
        tolerance: up to so far apart, two borders agree (surface Dice): in mm, where every image states how far apart
            its pixels are, as DICOM files may; else in pixels of the file.
        structure_weights: structure → what it counts in the loss; 1 where nothing is said.
        kind: the name of the task.
    """

    needs: ClassVar[str] = "map"
    takes_fields: ClassVar[bool] = False
    takes_unlabelled: ClassVar[bool] = False
    is_local: ClassVar[bool] = True
    idle: ClassVar[tuple[str, ...]] = ("label_smoothing", "focal_gamma", "logit_adjustment", "mix")
    loss: Literal["dice_crossentropy", "dice", "crossentropy", "focal", "tversky"] = "dice_crossentropy"
    missed: float = 0.7
    tolerance: float = 2.0
    structure_weights: Mapping[str, float] = field(default_factory=dict)
    kind: Literal["segmentation"] = "segmentation"

    def __post_init__(self) -> None:
        expect(0 < self.missed < 1, "task.missed", "above 0 and below 1", self.missed)
        expect(0 < self.tolerance <= 100, "task.tolerance", "above 0, at most 100", self.tolerance)
        for name, weight in self.structure_weights.items():
            expect(0 < weight <= 1000, f"task.structure_weights.{name}", "above 0, at most 1000", weight)


@dataclass(frozen=True)
class Ordinal:
    """Which of several grades in order an image is of, such as diabetic retinopathy 0 to 4.

    Attributes:
        loss: `corn`: of each cut between two grades whether it is passed, learned on the images that reach it (Shi, Cao
            & Raschka, Deep neural networks for rank-consistent ordinal regression based on conditional probabilities,
            2021); `expected_grade`: one number, by the square of its distance to the grade; `crossentropy`: of each
            grade its probability (softmax), as if they had no order: the baseline.
        delta: of `expected_grade`: up to so many grades a distance counts by its square, beyond by itself (Huber 1964);
            0: always by its square.
        referable: the name of the grade from which on an image is referable; empty: the middle one, of K grades number
            K // 2 counted from 0, as 2 of 0 to 4.
        target: the column that holds the grade; images without one there are left out. Empty: the source's labels.
        grades: of `target`, from the lowest to the highest; empty: numbers by their value.
        kind: the name of the task.
    """

    needs: ClassVar[str] = "vector"
    takes_fields: ClassVar[bool] = True
    takes_unlabelled: ClassVar[bool] = False
    is_local: ClassVar[bool] = False
    # Two grades mixed are not a third.
    idle: ClassVar[tuple[str, ...]] = ("label_smoothing", "focal_gamma", "logit_adjustment", "mix")
    loss: Literal["corn", "expected_grade", "crossentropy"] = "corn"
    delta: float = 0.0
    referable: str = ""
    target: str = ""
    grades: tuple[str, ...] = ()
    kind: Literal["ordinal"] = "ordinal"

    def __post_init__(self) -> None:
        expect(0 <= self.delta <= 100, "task.delta", "0 to 100 grades", self.delta)
        fits = not self.grades or self.target != ""
        expect(fits, "task.grades", "none without task.target, but data.classes", self.grades)


@dataclass(frozen=True)
class Multi:
    """Several of the above of one image, by one network: a head each on the same backbone.

    The loss is the sum of theirs (that no cleverer weighting does better: Kurin et al., In Defense of the Unitary
    Scalarization for Deep Multi-Task Learning, NeurIPS 2022). An image counts for the tasks that it has an answer to.

    Attributes:
        tasks: name → task, two or more. The first gives the headline figure; the best epoch is that of the highest mean
            of what each would choose its own by.
        weights: name → what its loss counts in the sum; 1 where nothing is said.
        weighting: `fixed`: the sum is of the losses; `uncertainty`: of their logarithms, which divides the gradient of
            each by the loss itself. That is what weights by learned uncertainty (Kendall, Gal & Cipolla, Multi-Task
            Learning Using Uncertainty, 2018, section 3.2) come to once each uncertainty is the best for its loss
            (Kirchdorfer et al., Analytical Uncertainty-Based Loss Weighting, 2024, section 3).
        alone: train each task alone as well, by the same stages, and show what asking together gains or costs.
        kind: the name of the task.
    """

    takes_fields: ClassVar[bool] = False
    takes_unlabelled: ClassVar[bool] = False
    tasks: Mapping[str, Classification | Regression | Segmentation | Ordinal] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    weighting: Literal["fixed", "uncertainty"] = "fixed"
    alone: bool = True
    kind: Literal["multi"] = "multi"

    def __post_init__(self) -> None:
        expect(len(self.tasks) > 1, "task.tasks", "two tasks or more, each under a name", dict(self.tasks))
        for name in self.tasks:
            expect(is_name(name), "task.tasks", f"names of letters, digits, _ and -, {LONGEST} at most", name)
        for name, weight in self.weights.items():
            expect(name in self.tasks, "task.weights", f"names of {', '.join(self.tasks)}", name)
            expect(0 < weight <= 1000, f"task.weights.{name}", "above 0, at most 1000", weight)

    @property
    def needs(self) -> str:
        return "map" if any(task.needs == "map" for task in self.tasks.values()) else "vector"

    @property
    def is_local(self) -> bool:
        return all(task.is_local for task in self.tasks.values())

    @property
    def idle(self) -> tuple[str, ...]:
        """The settings that are idle in all tasks, and mixing where one forbids it: it would mix masks, or grades."""
        each = [set(task.idle) for task in self.tasks.values()]
        return tuple(sorted(set.intersection(*each) | {name for idle in each for name in idle if name == "mix"}))


Task = Classification | Regression | Segmentation | Ordinal | Multi
