"""What is asked of an image. Each task is a frozen dataclass whose `kind` is its name; the data answer what is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kmedtl.errors import expect


@dataclass(frozen=True)
class Classification:
    """Which class an image is of, or which findings it shows.

    Attributes:
        labels: `binary`: one finding, there or not; `multi_class`: exactly one of several classes; `multi_label`: any
            of several findings; `auto`: as the labels are. Another form than the labels have is refused.
        kind: the name of the task.
    """

    labels: Literal["auto", "binary", "multi_class", "multi_label"] = "auto"
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

    target: str = ""
    unit: str = ""
    loss: Literal["squared", "huber"] = "squared"
    delta: float = 1.0
    kind: Literal["regression"] = "regression"

    def __post_init__(self) -> None:
        expect(self.target != "", "task.target", "the name of a column with numbers, such as age", self.target)
        expect(0 < self.delta <= 100, "task.delta", "above 0, at most 100", self.delta)


Task = Classification | Regression
