"""Which way to an int8 file costs a model least, tried on validation in a stated order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from kmedtl.edge.shapes import ModelInputs
from kmedtl.export import quantize, rounding
from kmedtl.export.parity import Parity

MORE = 4  # times as many calibration images, if the first do not do
SHARE = 0.99  # of the calibration images whose extremes a percentile range holds
EARLY = (6, 12)  # convolutions, whose few channels differ most in range; the more, the less is computed in integers
MOST = 0.25  # of all convolutions, so that a small network's file is one of int8

FIRST = "litert-quantizer, min–max"

Judge = Callable[[bytes], Parity]  # of a file on validation; `failed_gates` says whether it will do
Sample = Callable[[int], ModelInputs]  # about so many training images
Way = tuple[str, Callable[[], bytes]]  # to an int8 file: in words, and what makes the file


@dataclass(frozen=True)
class QuantizationAttempt:
    """A way that was tried: its name, the file, and how that did on validation."""

    way: str
    file: bytes
    parity: Parity


@dataclass(frozen=True)
class Int8Options:
    """The ways from one model to an int8 file.

    Attributes:
        saved: its SavedModel.
        whole: its float32 TFLite file.
        count: calibration images of the first ways.
    """

    saved: Path
    whole: bytes
    sample: Sample
    count: int

    @cached_property
    def calibration(self) -> ModelInputs:
        """The images of the first ways."""
        return self.sample(self.count)

    @cached_property
    def rounded(self) -> bytes:
        """The float32 file with weights of int8, which all ways but TensorFlow's own start from."""
        return rounding.rounded(self.whole, *self.calibration)

    @cached_property
    def few(self) -> quantize.Ranges:
        return quantize.ranges_of(self.rounded, *self.calibration)

    @cached_property
    def many(self) -> quantize.Ranges:
        return quantize.ranges_of(self.rounded, *self.sample(MORE * self.count))

    @cached_property
    def early(self) -> list[list[str]]:
        """For each quick way the outputs of the convolutions that stay in float."""
        found = quantize.convolution_outputs(self.rounded)
        return [found[:count] for count in early_counts(len(found))]

    def quick(self) -> Iterator[Way]:
        """Yield what takes seconds: ranges that no calibration image exceeds, of all layers but the first ones.

        Much of the error arises in these, which are a small part of the work.
        """
        for early in self.early:
            yield _named(FIRST, early), partial(quantize.by_ranges, self.rounded, self.few, in_float=early)

    def other_quantizer(self) -> Iterator[Way]:
        """Yield TensorFlow's own converter, with such ranges as well, of all layers."""
        yield "tf.lite, min–max", lambda: quantize.by_converter(self.saved, *self.calibration)

    def remedies(self) -> Iterator[Way]:
        """Yield what is tried next where none of these does, the cheapest first; the last quantizes weights alone."""
        *_, early = self.early
        name = _named(f"{FIRST}, {MORE} × the images", early)
        yield name, lambda: quantize.by_ranges(self.rounded, self.many, in_float=early)
        name = _named(f"litert-quantizer, percentile {SHARE}", early)
        yield name, lambda: quantize.by_ranges(self.rounded, self.many, SHARE, early)
        yield "weights only", lambda: quantize.convert(self.saved, optimize=True)


def early_counts(convolutions: int) -> list[int]:
    """Return how many of so many convolutions stay in float, of one quick way after the other."""
    return sorted({min(count, int(MOST * convolutions)) for count in EARLY})


def _named(way: str, early: Sequence[str]) -> str:
    return f"{way}, the first {len(early)} layers in float" if early else way


def choose(ways: Int8Options, judge: Judge, thorough: bool) -> tuple[QuantizationAttempt, ...]:
    """Try one way after the other on validation until a file passes its gate; return the attempts, the best last.

    Args:
        judge: what a file costs on validation.
        thorough: try the other quantizer too, and where nothing passes the remedies; else the quick ways alone.
    """
    tried: list[QuantizationAttempt] = []

    def attempt(some: Iterable[Way]) -> None:
        for name, make in some:
            file = make()
            tried.append(QuantizationAttempt(name, file, judge(file)))
            if not tried[-1].parity.failed_gates:
                return

    attempt(ways.quick())
    if thorough:
        attempt(ways.other_quantizer())
        if all(one.parity.failed_gates for one in tried):
            attempt(ways.remedies())
    return tuple(sorted(tried, key=lambda attempted: attempted.parity.cost, reverse=True))
