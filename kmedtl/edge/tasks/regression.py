"""From a number in training's own scale to one in its unit, with the interval that it lies in. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kmedtl.edge.tasks.task import Cell, EdgeTask, Measurement, Outputs
from kmedtl.errors import expect

VALUE = "value"


@dataclass(frozen=True)
class NumberDecoder:
    """How an output becomes a number in its unit: output · scale + offset, give or take `half_width`.

    Attributes:
        target: what the number is of, the name of a column.
        unit: in which it is; empty: none.
        scale, offset: of all images that were given: their standard deviation and mean.
        half_width: so far from the prediction the truth lies with a probability of `coverage` (split conformal).

    Raises:
        UserError: a number that is not finite or not in its range.
    """

    target: str
    unit: str
    scale: float
    offset: float
    half_width: float
    coverage: float
    kind: Literal["regression"] = "regression"

    def __post_init__(self) -> None:
        expect(self.target != "", "target", "a name", self.target)
        expect(math.isfinite(self.scale) and self.scale > 0, "scale", "a finite number above 0", self.scale)
        expect(math.isfinite(self.offset), "offset", "a finite number", self.offset)
        expect(0 <= self.half_width < math.inf, "half_width", "a finite number, 0 or more", self.half_width)
        expect(0 < self.coverage < 1, "coverage", "a share above 0 and below 1", self.coverage)


@dataclass(frozen=True)
class NumberAnswer:
    """A predicted number and the ends of its interval, in the decoder's unit; NaN where there is none."""

    target: str
    unit: str
    value: float
    low: float
    high: float

    @property
    def decision(self) -> str | None:
        """The number in words."""
        return None if math.isnan(self.value) else f"{self.value:.4g} {self.unit}".strip()

    def cells(self) -> list[str]:
        """Return what the printed table shows."""
        return [f"{number:.4g}" for number in (self.value, self.low, self.high)]

    def values(self) -> list[Cell]:
        """Return what the CSV holds."""
        return [None if math.isnan(number) else number for number in (self.value, self.low, self.high)]

    def document(self) -> dict[str, Any]:
        """Return what the JSON holds."""
        numbers = (self.value, self.low, self.high)
        value, low, high = (number if math.isfinite(number) else None for number in numbers)
        return {"target": self.target, "value": value, "low": low, "high": high, "unit": self.unit}

    def measurements(self) -> list[Measurement]:
        """Return the number and the ends of its interval."""
        named = {"value": "Predicted value", "low": "Interval, low end", "high": "Interval, high end"}
        unit = self.unit or "1"
        return [Measurement(name, meaning, self.target, getattr(self, name), unit) for name, meaning in named.items()]


def numbers(outputs: Outputs, decoder: NumberDecoder) -> np.ndarray:
    """Return the predictions in their unit, float64 (N,)."""
    return outputs[VALUE][:, 0].astype(np.float64) * decoder.scale + decoder.offset


def _answer(value: float, decoder: NumberDecoder) -> NumberAnswer:
    ends = value - decoder.half_width, value + decoder.half_width
    return NumberAnswer(decoder.target, decoder.unit, value, *ends)


def _header(decoder: NumberDecoder) -> list[str]:
    unit = f" [{decoder.unit}]" if decoder.unit else ""
    return [f"{decoder.target}{unit}", "LOW", f"HIGH ({decoder.coverage:.0%} interval)"]


REGRESSION = EdgeTask(
    decoder=NumberDecoder,
    widths=lambda decoder: {VALUE: 1},
    decode=lambda outputs, decoder: [_answer(value, decoder) for value in numbers(outputs, decoder).tolist()],
    blank=lambda decoder: _answer(math.nan, decoder),
    header=_header,
    columns=lambda decoder: [decoder.target, f"{decoder.target}_low", f"{decoder.target}_high"],
    context=lambda decoder: {"coverage": decoder.coverage},
    explained=lambda answer: (VALUE, 0),
    in_words=lambda decoder: [
        ("Comes out", f"{decoder.target}{f' in {decoder.unit}' if decoder.unit else ''}, with an interval"),
        (
            "Interval",
            f"± {decoder.half_width:.4g}, which holds the truth of {decoder.coverage:.0%} of images like those of "
            "validation",
        ),
    ],
)
