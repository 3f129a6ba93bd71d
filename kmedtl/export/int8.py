"""Which way to an int8 file costs a model least, tried on validation in a stated order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path

from kmedtl.edge.shapes import ModelInputs
from kmedtl.export import quantize, rounding
from kmedtl.export.layers import worst_layers
from kmedtl.export.parity import Parity
from kmedtl.export.survival import survives

MORE = 4  # times as many calibration images, if the first do not do
SHARE = 0.99  # of the calibration images whose extremes a percentile range holds
EARLY = 3  # convolutions, whose few channels differ most in range, and which are a small part of the work
IN_FLOAT = (3, 8)  # so many of the worst layers

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
    def worst(self) -> list[str]:
        quantized = quantize.by_ranges(self.rounded, self.many)
        return worst_layers(self.whole, quantized, *self.calibration) if survives(quantized) else []

    def quick(self) -> Iterator[Way]:
        """Yield what takes seconds: ranges that no calibration image exceeds, of all layers but the first, or of all.

        Much of the error arises in the first layers, which are a small part of the time.
        """
        early = quantize.first_convolutions(self.rounded, EARLY)
        yield (
            f"{FIRST}, the first {EARLY} layers in float",
            lambda: quantize.by_ranges(self.rounded, self.few, in_float=early),
        )
        yield FIRST, lambda: quantize.by_ranges(self.rounded, self.few)

    def other_quantizer(self) -> Iterator[Way]:
        """Yield TensorFlow's own converter, with such ranges as well."""
        yield "tf.lite, min–max", lambda: quantize.by_converter(self.saved, *self.calibration)

    def remedies(self) -> Iterator[Way]:
        """Yield what is tried next where none of these does, the cheapest first; the last quantizes weights alone."""
        yield f"litert-quantizer, min–max, {MORE} × the images", lambda: quantize.by_ranges(self.rounded, self.many)
        yield f"litert-quantizer, percentile {SHARE}", lambda: quantize.by_ranges(self.rounded, self.many, SHARE)
        for count in IN_FLOAT:
            yield f"litert-quantizer, min–max, {count} layers in float", partial(self._in_float, count)
        yield "weights only", lambda: quantize.convert(self.saved, optimize=True)

    def _in_float(self, count: int) -> bytes:
        return quantize.by_ranges(self.rounded, self.many, in_float=self.worst[:count])


def choose(ways: Int8Options, judge: Judge, thorough: bool) -> tuple[QuantizationAttempt, ...]:
    """Try one way after the other on validation until a file passes its gate; return the attempts, the best last.

    Args:
        judge: what a file costs on validation.
        thorough: try both quantizers whatever passes, then remedies; else the quick ways alone.
    """
    tried: list[QuantizationAttempt] = []

    def attempt(name: str, make: Callable[[], bytes]) -> None:
        file = make()
        tried.append(QuantizationAttempt(name, file, judge(file)))

    def until_one_passes(some: Iterable[Way]) -> None:
        for way in some:
            if any(not attempted.parity.failed_gates for attempted in tried):
                return
            attempt(*way)

    if thorough:
        for way in chain(ways.quick(), ways.other_quantizer()):
            attempt(*way)
        until_one_passes(ways.remedies())
    else:
        until_one_passes(ways.quick())
    return tuple(sorted(tried, key=lambda attempted: attempted.parity.cost, reverse=True))
